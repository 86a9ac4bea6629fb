"""Lets every other process go first: processor, disk, and memory when it runs out."""

from __future__ import annotations

import ctypes
import os
import platform
from contextlib import suppress
from pathlib import Path

KEEPER_NICE = 10
"""The keeper itself does little, and has to show that it lives; what it starts goes behind it."""

OOM_SCORE = 800
"""Of 1000: where memory runs out, the kernel ends the keeper or its export, and not what takes frames."""

_IOPRIO_SET = {"x86_64": 251, "aarch64": 30}
_IOPRIO_WHO_PROCESS = 1
_IOPRIO_CLASS_IDLE = 3 << 13


def be_humble(nice: int) -> None:
    """Take a low priority for this process and for the children that it starts; never fails.

    The idle class of the disk is obeyed by some of the kernel's I/O schedulers only, which is why exports are held
    back in other ways as well (`scanmend.keeper.pace`).

    Args:
        nice: On the processor, 0 to 19; a priority that is lower already stays.
    """
    nice = max(nice, os.getpriority(os.PRIO_PROCESS, 0))
    os.setpriority(os.PRIO_PROCESS, 0, nice)
    with suppress(OSError):  # the kernel shares out time among sessions first: without this, nice would say nothing
        Path("/proc/self/autogroup").write_text(str(nice))
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(str(OOM_SCORE))
    number = _IOPRIO_SET.get(platform.machine())
    if number is not None:
        with suppress(AttributeError, OSError):  # another system than Linux
            ctypes.CDLL(None).syscall(number, _IOPRIO_WHO_PROCESS, 0, _IOPRIO_CLASS_IDLE)
