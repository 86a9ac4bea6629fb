"""The file under an HDF5 file: a disk that is full must not reach the HDF5 library.

HDF5 keeps trying to write what it holds when a write has failed, and in the end takes the process with it
(segmentation fault at exit, seen with HDF5 2.0.0). So a failure is remembered here and told to the exporter, and HDF5
goes on writing into nothing until its file is closed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py


class Sink:
    """A file object for h5py that never fails to write; ask `check` whether it did."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        self._at = 0
        self._size = os.fstat(self._fd).st_size
        self._failure: OSError | None = None

    def check(self) -> None:
        """Raise the OSError of the first write that failed, if any did."""
        if self._failure is not None:
            raise self._failure

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Set the position; gives it."""
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        return self._at

    def tell(self) -> int:
        """The position."""
        return self._at

    def write(self, data: memoryview) -> int:
        """Write at the position; after a failure, only claim to."""
        view, done = memoryview(data).cast("B"), 0
        try:
            while self._failure is None and done < len(view):
                done += os.pwrite(self._fd, view[done:], self._at + done)
        except OSError as error:
            self._failure = error
        self._at += len(view)
        self._size = max(self._size, self._at)
        return len(view)

    def read(self, size: int) -> bytes:
        """Read at the position; h5py knows a file object by this method, and reads with `readinto`."""
        buffer = bytearray(size)
        self.readinto(memoryview(buffer))
        return bytes(buffer)

    def readinto(self, buffer: memoryview) -> int:
        """Read at the position; zeros where the file has nothing."""
        view, done = memoryview(buffer).cast("B"), 0
        while done < len(view) and (piece := os.pread(self._fd, len(view) - done, self._at + done)):
            view[done : done + len(piece)] = piece
            done += len(piece)
        view[done:] = bytes(len(view) - done)
        self._at += len(view)
        return len(view)

    def truncate(self, size: int | None = None) -> int:
        """Set the file's size; gives it."""
        self._size = self._at if size is None else size
        try:
            if self._failure is None:
                os.ftruncate(self._fd, self._size)
        except OSError as error:
            self._failure = error
        return self._size

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """Close the file; safe to call twice."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


@contextmanager
def hdf5_file(path: Path) -> Iterator[tuple[h5py.File, Sink]]:
    """A new HDF5 file in place of an existing empty one; what failed to be written is raised when the block ends.

    Raises:
        OSError: The disk is full, or fails.
    """
    sink = Sink(path)
    try:
        with h5py.File(sink, "w") as file:
            yield file, sink
        sink.check()
    finally:
        sink.close()
