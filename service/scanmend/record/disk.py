"""What the journal asks of a disk, and the real one."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
from collections.abc import Sequence
from typing import Protocol

from scanmend.errors import RecordingError, RecordingFull, RecordingNotWritable

log = logging.getLogger(__name__)

Buffer = bytes | memoryview


class JournalIO(Protocol):
    """The disk's verbs, in the order in which a segment meets them; tests give a slow, full or torn one."""

    def free_bytes(self, fd: int) -> int:
        """How much room the file system has for us. Called once, before a session is accepted."""
        ...

    def allocate(self, fd: int, size_bytes: int) -> None:
        """Reserve the whole segment and make it ready for writes of whole blocks. OSError when there is no room."""
        ...

    def write(self, fd: int, buffers: Sequence[Buffer], offset: int) -> int:
        """Write at an offset; how many bytes were taken, which may be fewer than given."""
        ...

    def sync(self, fd: int, *, metadata: bool = False) -> None:
        """Return when the file's data (a folder's entries with `metadata`) would survive a power cut."""
        ...

    def truncate(self, fd: int, size_bytes: int) -> None:
        """Cut a file to this size."""
        ...


class Disk:
    """The real disk. Every call releases the interpreter lock while the kernel works."""

    past_the_cache = True
    """Whether writes go past the page cache, where the file system can do that; `scanmend.record.blocks` says why."""

    def free_bytes(self, fd: int) -> int:
        """Room for unprivileged users, in bytes."""
        found = os.fstatvfs(fd)
        return found.f_bavail * found.f_frsize

    def allocate(self, fd: int, size_bytes: int) -> None:
        """posix_fallocate: real blocks, so that no later write of the segment can meet a full disk."""
        os.posix_fallocate(fd, 0, size_bytes)
        if self.past_the_cache:
            try:
                fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_DIRECT)
            except OSError as error:
                if error.errno not in (errno.EINVAL, errno.ENOTSUP):
                    raise
                log.info("this file system writes through the page cache only")

    def write(self, fd: int, buffers: Sequence[Buffer], offset: int) -> int:
        """One pwritev."""
        return os.pwritev(fd, buffers, offset)

    def sync(self, fd: int, *, metadata: bool = False) -> None:
        """fdatasync, or fsync for a folder."""
        if metadata:
            os.fsync(fd)
        else:
            os.fdatasync(fd)

    def truncate(self, fd: int, size_bytes: int) -> None:
        """Give the blocks behind this size back."""
        os.ftruncate(fd, size_bytes)


def recording_error(error: OSError, doing: str) -> RecordingError:
    """The error of our tree for an error of the system.

    Args:
        error: What the system said.
        doing: What was tried, as in "The journal cannot {doing}".
    """
    reason = error.strerror or str(error)
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return RecordingFull(
            f"The journal cannot {doing}: {reason}.",
            mend="Free space in the recording folder or name another one (data_dir), then start the session again.",
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.ELOOP, errno.ENOENT):
        return RecordingNotWritable(
            f"The journal cannot {doing}: {reason}.",
            mend="Let the service's user write to the recording folder, or name another one (data_dir).",
        )
    return RecordingError(
        f"The journal cannot {doing}: {reason}.",
        mend="Look at the disk (dmesg, smartctl); nothing after the last durable frame is claimed to be recorded.",
    )


def write_all(io: JournalIO, fd: int, buffers: Sequence[Buffer], offset: int) -> int:
    """Write every byte, however often the disk takes only a part.

    A short count is what a disk that runs full gives first; the next call gives the error.

    Args:
        io: The disk.
        fd: The file.
        buffers: What; each C-contiguous.
        offset: Where.

    Returns:
        The offset behind the last byte.

    Raises:
        OSError: From the disk, or ENOSPC when it takes nothing more without saying why.
    """
    pending = list(buffers)
    first = 0
    while first < len(pending):
        taken = io.write(fd, pending[first : first + _IOV_MAX], offset)
        if taken <= 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        offset += taken
        while first < len(pending) and taken >= len(pending[first]):
            taken -= len(pending[first])
            first += 1
        if taken:
            pending[first] = memoryview(pending[first])[taken:]
    return offset


_IOV_MAX = min(1024, os.sysconf("SC_IOV_MAX"))
