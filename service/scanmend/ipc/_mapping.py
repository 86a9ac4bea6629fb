"""One file, mapped into memory, whose life its owner decides.

`multiprocessing.shared_memory` is not used: before Python 3.13 it registers whoever attaches with the resource
tracker, which may unlink the segment when an attaching process ends (CPython issue 82300).
"""

from __future__ import annotations

import errno
import mmap
import os
from pathlib import Path

from scanmend.errors import ConfigurationError


class Mapping:
    """A shared mapping of a whole file.

    Args:
        path: The file.
        create_bytes: Make the file anew with this size; 0 maps an existing one.
        writable: Whether this process may write to it.

    Raises:
        ConfigurationError: The file exists already, is missing, is a link, or memory ran out.
    """

    def __init__(self, path: Path, *, create_bytes: int = 0, writable: bool = True) -> None:
        self.path = path
        flags = (os.O_RDWR if writable else os.O_RDONLY) | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = -1
        try:
            fd = os.open(path, flags | (os.O_CREAT | os.O_EXCL if create_bytes else 0), 0o600)
            if create_bytes:
                # Takes the memory now: without it a full /dev/shm is a SIGBUS at the first write.
                os.posix_fallocate(fd, 0, create_bytes)
            size = os.fstat(fd).st_size
            protection = mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0)
            # MAP_POPULATE maps every page here, so that the first frames do not pay for page faults.
            self._map = mmap.mmap(fd, size, mmap.MAP_SHARED | mmap.MAP_POPULATE, protection)
        except (OSError, ValueError) as error:
            if create_bytes and fd >= 0:
                path.unlink(missing_ok=True)
            raise _as_configuration_error(error, create_bytes) from error
        finally:
            if fd >= 0:
                os.close(fd)
        self.memory = memoryview(self._map)
        self.closed = False

    def close(self) -> None:
        """Give the mapping up; memory that somebody still looks at stays mapped until they let go of it.

        An array over a slot keeps the mapping alive by reference, so nothing ever reads unmapped memory.
        """
        if self.closed:
            return
        self.closed = True
        try:
            self.memory.release()
            self._map.close()
        except BufferError:
            # A view is still held: dropping our references hands the unmapping to the last holder.
            self.memory = memoryview(b"")
            del self._map

    def unlink(self) -> None:
        """Remove the file's name; whoever has it mapped keeps the memory."""
        self.path.unlink(missing_ok=True)


def _as_configuration_error(error: OSError | ValueError, create_bytes: int) -> ConfigurationError:
    """Say what is wrong without the file's name, which is a secret of the run."""
    code = error.errno if isinstance(error, OSError) else None
    if code in (errno.ENOSPC, errno.ENOMEM):
        return ConfigurationError(
            f"Shared memory has no room for {create_bytes / 2**20:.0f} MiB.",
            mend="Give /dev/shm more room (docker: --shm-size), or ask for fewer or smaller slots.",
        )
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return ConfigurationError(
        f"A file of shared memory cannot be used: {reason}.",
        mend="Restart the service; it makes a fresh run folder.",
    )
