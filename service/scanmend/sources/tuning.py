"""Settings of a process that unpacks images all the time; adapters set them when they are built."""

from __future__ import annotations

import ctypes
import sys

KEPT_BYTES = 1 << 28
LARGEST_BYTES = 1 << 25
"""The most that glibc takes here."""

SWITCH_S = 0.0005

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


def tune_process() -> None:
    """Keep freed memory, and let threads that unpack have Python's lock sooner.

    A thread that comes back from unpacking waits for Python's lock until the one that receives has had it for the
    switch interval. With the usual 5 ms that is longer than unpacking takes.
    """
    keep_freed_memory()
    sys.setswitchinterval(SWITCH_S)


def keep_freed_memory() -> bool:
    """Have glibc give no freed memory back to the system, up to `KEPT_BYTES`; gives whether it does.

    Each stack of images is some megabytes, which glibc would ask of the system and give back every time; the system
    clears every page of it before, which took a fifth of the processor time of reading 256² images.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another library than glibc
        return False
    return bool(mallopt(_M_TRIM_THRESHOLD, KEPT_BYTES) and mallopt(_M_MMAP_THRESHOLD, LARGEST_BYTES))
