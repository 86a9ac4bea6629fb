"""The folder of one session's recording, reached so that no name can lead out of the data folder."""

from __future__ import annotations

import fcntl
import os
import re
import stat
from pathlib import Path

from scanmend.errors import RecordingError, RecordingNotWritable
from scanmend.record.disk import recording_error
from scanmend.wire.messages import check_session_name

RECEIPT_NAME = "receipt.json"
"""The account of a session that has ended, beside its journal."""

_SEGMENT_NAME = re.compile(r"journal-(\d{6,})\.smj", re.ASCII)
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def segment_name(number: int) -> str:
    """The file name of a segment."""
    return f"journal-{number:06d}.smj"


def session_path(data_dir: Path, name: str) -> Path:
    """Where a session's recording lies.

    Raises:
        InvalidInput: The name cannot be one.
    """
    return data_dir / "sessions" / check_session_name(name)


class SessionFolder:
    """An open folder of a recording; every file in it is opened relative to its descriptor, never through a link.

    Args:
        fd: The folder's descriptor, which now belongs to this object.
    """

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._held_fd = -1

    @classmethod
    def make(cls, data_dir: Path, name: str) -> SessionFolder:
        """Open the folder of a session, making it (mode 0700) where there is none.

        Raises:
            InvalidInput: The name cannot be one.
            RecordingNotWritable: The data folder cannot be written, or a link stands in the way.
        """
        check_session_name(name)
        fd = -1
        try:
            data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
            fd = os.open(data_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            for step in ("sessions", name):
                fd = _step_into(fd, step)
        except OSError as error:
            raise recording_error(error, f"make the folder of session {name!r}") from error
        return cls(fd)

    @classmethod
    def open(cls, path: Path) -> SessionFolder:
        """Open an existing folder for reading.

        Raises:
            RecordingError: There is none.
        """
        try:
            return cls(os.open(path, _FOLDER))
        except OSError as error:
            raise RecordingError(
                f"There is no recording in {path.name!r}: {error.strerror}.",
                mend="Look with `scanmend check` which sessions are in the data folder.",
            ) from error

    def lock(self) -> None:
        """Keep every other writer out until this folder is closed or this process dies.

        Raises:
            RecordingNotWritable: Another journal is being written here.
        """
        try:
            fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RecordingNotWritable(
                "Another writer has this session's recording open.",
                mend="End that session first, or use another name.",
            ) from error

    def hold(self) -> None:
        """Keep the recording from being removed while it is read, until this folder is closed or this process dies.

        It hinders neither a writer nor other readers. Before the session has ended there is nothing to hold: then
        nobody removes it.

        Raises:
            RecordingError: It is just being removed.
        """
        if not self._lock_receipt(fcntl.LOCK_SH):
            raise RecordingError("This recording is just being removed.", mend="Open the file that it was exported to.")

    def keep_readers_out(self) -> bool:
        """Let nobody `hold` the recording until this folder is closed; False where somebody does."""
        return self._lock_receipt(fcntl.LOCK_EX)

    def _lock_receipt(self, kind: int) -> bool:
        self._let_go()
        try:
            self._held_fd = os.open(
                RECEIPT_NAME, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=self.fd
            )
            fcntl.flock(self._held_fd, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            self._let_go()
            return False
        except OSError:  # no receipt, or a file system without locks
            pass
        return True

    def _let_go(self) -> None:
        if self._held_fd >= 0:
            os.close(self._held_fd)
            self._held_fd = -1

    def segments(self) -> list[int]:
        """The numbers of the segments, ascending."""
        found = (_SEGMENT_NAME.fullmatch(entry) for entry in os.listdir(self.fd))
        return sorted(int(match[1]) for match in found if match)

    def create_segment(self, number: int) -> int:
        """A new file, mode 0600; its descriptor. Raises OSError."""
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        return os.open(segment_name(number), flags, 0o600, dir_fd=self.fd)

    def open_segment(self, number: int, *, writable: bool = False) -> int:
        """An existing regular file; its descriptor. Raises OSError."""
        flags = (os.O_RDWR if writable else os.O_RDONLY) | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        fd = os.open(segment_name(number), flags, dir_fd=self.fd)
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise FileNotFoundError(2, "not a regular file", segment_name(number))
        return fd

    def remove_segment(self, number: int) -> None:
        """Remove a file. Raises OSError."""
        os.unlink(segment_name(number), dir_fd=self.fd)

    def close(self) -> None:
        """Close it, which gives the locks up; safe to call twice."""
        self._let_go()
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def __enter__(self) -> SessionFolder:
        """Use it in a `with` block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()


def _step_into(parent_fd: int, name: str) -> int:
    """Open a folder inside another one, making it if needed; takes the parent's descriptor."""
    try:
        try:
            os.mkdir(name, 0o700, dir_fd=parent_fd)
            os.fsync(parent_fd)  # a folder whose name is lost takes its files with it
        except FileExistsError:
            pass  # made before; O_NOFOLLOW refuses a link
        return os.open(name, _FOLDER, dir_fd=parent_fd)
    finally:
        os.close(parent_fd)
