"""Lets every other process go first: processor, disk, and memory when it runs out."""

from __future__ import annotations

import ctypes
import os
import platform
from contextlib import suppress
from pathlib import Path

OOM_SCORE = 800
"""Of 1000: where memory runs out, the kernel ends the keeper or an export, and not what takes frames."""

_IOPRIO_SET = {"x86_64": 251, "aarch64": 30}
_IOPRIO_WHO_PROCESS = 1
_IOPRIO_CLASS_IDLE = 3 << 13


def be_humble(nice: int) -> None:
    """Take a low priority for this process and for the children that it starts; never fails.

    Linux shares out time among sessions before it looks at `nice`, so a process that is to come after those of other
    sessions is started in a session of its own (`start_new_session=True`).

    The idle class of the disk is obeyed by some of the kernel's I/O schedulers only, which is why exports are held
    back in other ways as well (`scanmend.keeper.pace`).

    Args:
        nice: On the processor, 0 to 19; a priority that is lower already stays.
    """
    nice = max(nice, os.getpriority(os.PRIO_PROCESS, 0))
    os.setpriority(os.PRIO_PROCESS, 0, nice)
    if os.getsid(0) == os.getpid():  # else it is the priority of others too
        with suppress(OSError):
            Path("/proc/self/autogroup").write_text(str(nice))
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(str(OOM_SCORE))
    number = _IOPRIO_SET.get(platform.machine())
    if number is not None:
        with suppress(AttributeError, OSError):  # another system than Linux
            ctypes.CDLL(None).syscall(number, _IOPRIO_WHO_PROCESS, 0, _IOPRIO_CLASS_IDLE)
