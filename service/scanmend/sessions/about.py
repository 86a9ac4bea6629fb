"""Tags, notes and exported files of a session: what people add to a recording.

They lie in `about.json` in the session's folder, beside the journal, so that they go wherever the recording goes and
the catalogue can be made anew at any time. The file is written aside and renamed: a reader finds the old or the new.
"""

from __future__ import annotations

import os
import re
import secrets
import stat
import time
from pathlib import Path

import msgspec

from scanmend.errors import DamagedRecording, InvalidInput, RecordingNotWritable
from scanmend.record import SessionFolder
from scanmend.sessions.folders import alone, find_session

FILE_NAME = "about.json"
KEEP = "keep"
"""A session with this tag is never pruned."""

MAX_FILE_BYTES = 1 << 20
MAX_TEXT = 4000
MAX_NOTES = 1000
_TAG = re.compile(r"\w[\w.:-]{0,63}")


class Note(msgspec.Struct, frozen=True, kw_only=True):
    """A remark that somebody made on a session."""

    unix_ns: int
    """When it was made, nanoseconds since 1970."""
    text: str


class About(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What people have added to a recording."""

    tags: tuple[str, ...] = ()
    """In alphabetical order."""
    notes: tuple[Note, ...] = ()
    """Oldest first."""
    exports: tuple[str, ...] = ()
    """Absolute paths of files that the session was exported to."""


_decoder = msgspec.json.Decoder(About)


def check_tag(tag: str) -> str:
    """Give a tag back if it may be one.

    Raises:
        InvalidInput: It may not.
    """
    if not _TAG.fullmatch(tag):
        raise InvalidInput(
            f"{tag!r} cannot be a tag.", mend="Use 1 to 64 letters, digits, '_', '.', ':' and '-'; begin with a letter."
        )
    return tag


def read_file(folder: SessionFolder, name: str) -> bytes | None:
    """A small file of a session's folder, never through a link; None where there is none.

    Raises:
        DamagedRecording: It cannot be read, is too large, or is no file.
    """
    try:
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder.fd)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DamagedRecording(f"{name} cannot be read: {error.strerror}.", mend="Look at its owner.") from error
    with os.fdopen(fd, "rb") as file:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode) or found.st_size > MAX_FILE_BYTES:
            raise DamagedRecording(f"{name} is not a file of this service.", mend="Move it away.")
        return file.read(MAX_FILE_BYTES)


def read_about(folder: SessionFolder) -> About:
    """The tags, notes and exports of a session; empty where nobody added any.

    Raises:
        DamagedRecording: The file cannot be read.
    """
    data = read_file(folder, FILE_NAME)
    if data is None:
        return About()
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, RecursionError) as error:
        raise DamagedRecording(
            f"{FILE_NAME}, which holds tags and notes, cannot be read: {error}.",
            mend="Mend the JSON by hand, or move the file away.",
        ) from error


def change_tags(data_dir: Path, name: str, *, add: tuple[str, ...] = (), remove: tuple[str, ...] = ()) -> About:
    """Add tags to a session and take tags away.

    Raises:
        InvalidInput: No such session, or a word that cannot be a tag.
        RecordingNotWritable: The folder cannot be written.
        DamagedRecording: What is there cannot be read; nothing is changed.
    """
    for tag in (*add, *remove):
        check_tag(tag)
    with alone(data_dir), SessionFolder.open(find_session(data_dir, name)) as folder:
        about = read_about(folder)
        tags = tuple(sorted((set(about.tags) - set(remove)) | set(add)))
        return _write(folder, msgspec.structs.replace(about, tags=tags))


def add_note(data_dir: Path, name: str, text: str, *, unix_ns: int | None = None) -> About:
    """Add a remark to a session.

    Raises:
        InvalidInput: No such session, or a text that cannot be kept.
        RecordingNotWritable: The folder cannot be written.
        DamagedRecording: What is there cannot be read; nothing is changed.
    """
    text = text.strip()
    if not 0 < len(text) <= MAX_TEXT or not all(char.isprintable() or char in "\n\t" for char in text):
        raise InvalidInput("This cannot be a note.", mend=f"Write 1 to {MAX_TEXT} readable characters.")
    with alone(data_dir), SessionFolder.open(find_session(data_dir, name)) as folder:
        about = read_about(folder)
        if len(about.notes) >= MAX_NOTES:
            raise InvalidInput(f"Session {name} has {MAX_NOTES} notes.", mend=f"Shorten its {FILE_NAME} by hand.")
        note = Note(unix_ns=time.time_ns() if unix_ns is None else unix_ns, text=text)
        return _write(folder, msgspec.structs.replace(about, notes=(*about.notes, note)))


def note_export(data_dir: Path, name: str, path: Path) -> About:
    """Remember that a session was exported to a file, so that it may be pruned.

    Raises:
        InvalidInput: No such session, or no such file.
        RecordingNotWritable: The folder cannot be written.
        DamagedRecording: What is there cannot be read; nothing is changed.
    """
    if not path.is_file():
        raise InvalidInput(f"There is no file {path}.", mend="Name the file that the session was exported to.")
    with alone(data_dir), SessionFolder.open(find_session(data_dir, name)) as folder:
        about = read_about(folder)
        exports = tuple(dict.fromkeys((*about.exports, str(path.resolve()))))
        return _write(folder, msgspec.structs.replace(about, exports=exports))


def _write(folder: SessionFolder, about: About) -> About:
    aside = f".{FILE_NAME}.{secrets.token_hex(4)}"
    data = msgspec.json.format(msgspec.json.encode(about), indent=2)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        fd = os.open(aside, flags, 0o600, dir_fd=folder.fd)
        try:
            with os.fdopen(fd, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(fd)
            os.rename(aside, FILE_NAME, src_dir_fd=folder.fd, dst_dir_fd=folder.fd)
        except OSError:
            os.unlink(aside, dir_fd=folder.fd)
            raise
        os.fsync(folder.fd)
    except OSError as error:
        raise RecordingNotWritable(
            f"{FILE_NAME} cannot be written: {error.strerror}.",
            mend="Run the command as the service's user, on a disk that can be written and has room.",
        ) from error
    return about
