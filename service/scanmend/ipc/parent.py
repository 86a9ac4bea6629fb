"""A child process must not outlive the one that started it."""

from __future__ import annotations

import ctypes
import os
import signal

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def end_with_parent(number: int = signal.SIGTERM, *, parent: int | None = None) -> None:
    """Have the kernel send this process a signal when its parent dies; Linux only, elsewhere nothing happens.

    Call it from the main thread, early: if the parent is dead already, the process ends itself.

    Args:
        number: The signal; SIGKILL also ends a process that was stopped.
        parent: The parent's number, where it was known before this process was; else it is asked for now.
    """
    parent = os.getppid() if parent is None else parent
    try:
        prctl = ctypes.CDLL(None, use_errno=True).prctl
    except AttributeError:  # not Linux
        return
    prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)
    if os.getppid() != parent:
        os.kill(os.getpid(), number)
