"""How fast an export may go while sessions record: the recording comes first, on the processor and on the disk.

An export is a process of its own. It is stopped and let go on again (SIGSTOP, SIGCONT) by turns of the keeper's loop,
and what it has written is brought to the disk piece by piece, so that no heap of it stands before a journal's next
fdatasync.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

HEAVY_BYTES_PER_S = 4e6
"""Sessions that record more than this hold exports back."""

_WINDOW_S = 1.0


def written_bytes(pid: int | None) -> int | None:
    """What a process has had written to disks since it began; None where that cannot be known."""
    try:
        text = Path(f"/proc/{pid}/io").read_text() if pid else ""
    except OSError:
        return None
    return next((int(line.split()[1]) for line in text.splitlines() if line.startswith("write_bytes:")), None)


class Rate:
    """Growth of a number that may start anew, in units a second, over the last second or more."""

    def __init__(self) -> None:
        self.per_s = 0.0
        self._last: tuple[float, int] | None = None

    def update(self, now_s: float, value: int | None) -> None:
        """Take the number of now; None where it is not known."""
        if value is None:
            self.per_s, self._last = 0.0, None
            return
        if self._last is None or value < self._last[1]:
            self._last = now_s, value
            return
        elapsed_s = now_s - self._last[0]
        if elapsed_s >= _WINDOW_S:
            self.per_s = (value - self._last[1]) / elapsed_s
            self._last = now_s, value


class Turns:
    """Deals out turns of the loop, so that a share of them is worked in.

    Args:
        share: From 0, none, to 1, all.
    """

    def __init__(self, share: float) -> None:
        self._share = share
        self._credit = 0.0

    def next(self, *, heavy: bool) -> bool:
        """Whether the next turn may be worked in.

        Args:
            heavy: Whether sessions record heavily; else every turn may.
        """
        if not heavy:
            self._credit = 0.0
            return True
        self._credit += self._share
        if self._credit < 1.0 - 1e-9:
            return False
        self._credit -= 1.0
        return True


def bring_to_disk(path: Path) -> None:
    """Have what was written to a file go to the disk now, and out of the page cache; nothing where it has gone."""
    with suppress(OSError):
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            os.fdatasync(fd)
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(fd)


def forget_pages(folder: Path) -> None:
    """Give the page cache back what reading a recording has put there: others have better use for it."""
    for path in folder.glob("journal-*.smj"):
        with suppress(OSError):
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(fd)
