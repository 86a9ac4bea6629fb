"""What was removed to make room, and why: `removed.jsonl` in the data folder, one line a recording.

The catalogue is made from the recordings and cannot tell of one that has gone. A line is on the disk before the
recording is touched, so that nothing goes without one; one that could not be removed gets a second line that says so.
"""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path

import msgspec

from scanmend.errors import RecordingNotWritable
from scanmend.sessions.summary import SessionSummary

FILE_NAME = "removed.jsonl"
MOST_READ_BYTES = 16 << 20
"""Of a longer file the end is read."""


class Removal(msgspec.Struct, frozen=True, kw_only=True):
    """A recording that was removed."""

    unix_ns: int
    """When, nanoseconds since 1970."""
    name: str
    session_id: int | None
    why: str
    """A sentence."""
    by: str
    """`keeper`, or `command` for `scanmend sessions prune`."""
    start_unix_ns: int | None
    end_unix_ns: int | None
    frames: int
    size_bytes: int
    exports: tuple[str, ...]
    """Where the session is still to be found, as far as it was known."""
    undone: bool = False
    """Whether it stayed after all."""


_decoder = msgspec.json.Decoder(Removal)


def note_removal(data_dir: Path, session: SessionSummary, why: str, by: str, unix_ns: int) -> Removal:
    """Write down that a recording is about to be removed.

    Raises:
        RecordingNotWritable: It cannot be written down; then nothing must be removed.
    """
    removal = Removal(
        unix_ns=unix_ns,
        name=session.name,
        session_id=session.session_id,
        why=why,
        by=by,
        start_unix_ns=session.start_unix_ns,
        end_unix_ns=session.end_unix_ns,
        frames=session.frames_on_disk,
        size_bytes=session.size_bytes,
        exports=session.exports,
    )
    _append(data_dir / FILE_NAME, removal)
    return removal


def note_stayed(data_dir: Path, removal: Removal) -> None:
    """Write down that a recording could not be removed.

    Raises:
        RecordingNotWritable: It cannot be written down.
    """
    _append(data_dir / FILE_NAME, msgspec.structs.replace(removal, undone=True))


def removals(data_dir: Path) -> list[Removal]:
    """What was removed, the last first; lines that cannot be read are passed over."""
    try:
        with (data_dir / FILE_NAME).open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - MOST_READ_BYTES))
            lines = file.read(MOST_READ_BYTES).splitlines()
    except FileNotFoundError:
        return []
    found: dict[tuple[str, int | None], Removal] = {}
    for line in lines:
        with contextlib.suppress(msgspec.DecodeError):  # cut off with the power, or by the limit above
            removal = _decoder.decode(line)
            found.pop((removal.name, removal.session_id), None)
            found[removal.name, removal.session_id] = removal
    return [each for each in reversed(found.values()) if not each.undone]


def _append(path: Path, removal: Removal) -> None:
    line = msgspec.json.encode(removal) + b"\n"
    try:
        fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            before = os.fstat(fd).st_size
            if os.write(fd, line) != len(line):
                os.ftruncate(fd, before)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(fd)
        finally:
            os.close(fd)
    except OSError as error:
        raise RecordingNotWritable(
            f"It cannot be written down in {path} that {removal.name} is removed, so it stays: {error.strerror}.",
            mend="Free a little space by hand, or look at the file's owner.",
        ) from error
