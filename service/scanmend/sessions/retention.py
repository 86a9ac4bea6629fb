"""Makes room: removes the oldest recordings that nobody needs any more.

A recording is removed only when it has ended, is whole, is not tagged `keep`, is written by nobody, and was exported
(unless the caller says that this does not matter). It is renamed to a trash name first, so that it is there or not
there, and its receipt goes last: what a crash leaves is never taken for a session that was cut off.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from scanmend.errors import InvalidInput, RecordingError, RecordingNotWritable
from scanmend.record import RECEIPT_NAME, SessionFolder
from scanmend.sessions.catalogue import Catalogue
from scanmend.sessions.folders import SESSIONS, alone
from scanmend.sessions.removals import note_removal, note_stayed
from scanmend.sessions.summary import SessionState, SessionSummary
from scanmend.sessions.survey import EXPORT_SUFFIX

log = logging.getLogger(__name__)

TRASH = ".trash-"
DAY_NS = 86_400_000_000_000
HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
IN_USE = "it is being read"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much is kept.

    Raises:
        InvalidInput: Limits that cannot be.
    """

    most_bytes: int | None = None
    """Room that all recordings together may take; None for no limit."""
    most_days: float | None = None
    """Age since its end, in days, from which a recording may go; None for no limit."""

    def __post_init__(self) -> None:
        if any(limit is not None and not limit >= 0 for limit in (self.most_bytes, self.most_days)):
            raise InvalidInput("A limit below nothing.", mend="Give a size and a number of days of 0 or more.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """A recording that is removed."""

    name: str
    size_bytes: int
    end_unix_ns: int | None
    why: str
    """`age` or `room`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneReport:
    """What was removed, or would be, and what stays although a limit asks for it."""

    removed: tuple[Pruned, ...]
    spared: tuple[tuple[str, str], ...]
    """Name and reason of each recording that a limit asks for and that stays."""
    failed: tuple[tuple[str, str], ...]
    """Name and reason of each that could not be removed."""
    bytes_before: int
    bytes_after: int
    """Room that all recordings take now, or would take."""


def why_spared(session: SessionSummary, *, even_unexported: bool, busy: frozenset[str] = frozenset()) -> str:
    """Why a session may not be removed; empty where it may.

    Args:
        session: The session.
        even_unexported: Whether it may go without an exported file.
        busy: Sessions that the caller itself is reading.
    """
    if session.name in busy:
        return IN_USE
    if session.state is SessionState.OPEN:
        return "it is being written"
    if not session.ended:
        return "it is unfinished"
    if session.state is SessionState.DAMAGED:
        return "it is damaged, and somebody should look at it"
    if session.kept:
        return "it is tagged keep"
    if not even_unexported and not any(_is_export(Path(path), session) for path in session.exports):
        return "it was not exported"
    return ""


def choose(
    sessions: list[SessionSummary],
    limits: Limits,
    now_unix_ns: int,
    *,
    even_unexported: bool = False,
    busy: frozenset[str] = frozenset(),
) -> tuple[list[Pruned], list[tuple[str, str]]]:
    """Say what would be removed, oldest end first, and what is spared although a limit asks for it.

    Args:
        sessions: All of the data folder, in any order.
        limits: What is kept.
        now_unix_ns: The present time.
        even_unexported: Whether sessions without an exported file may go.
        busy: Sessions that the caller itself is reading.
    """
    ordered = sorted(sessions, key=lambda s: (s.end_unix_ns or s.last_unix_ns or 0, s.name))
    left = sum(session.size_bytes for session in sessions)
    removed, spared = [], []
    for session in ordered:
        end = session.end_unix_ns or session.last_unix_ns
        old = limits.most_days is not None and end is not None and now_unix_ns - end > limits.most_days * DAY_NS
        if not old and (limits.most_bytes is None or left <= limits.most_bytes):
            continue
        reason = why_spared(session, even_unexported=even_unexported, busy=busy)
        if reason:
            spared.append((session.name, reason))
            continue
        why = "age" if old else "room"
        removed.append(Pruned(name=session.name, size_bytes=session.size_bytes, end_unix_ns=end, why=why))
        left -= session.size_bytes
    return removed, spared


def prune(
    data_dir: Path,
    limits: Limits,
    now_unix_ns: int,
    *,
    dry_run: bool = False,
    even_unexported: bool = False,
    busy: frozenset[str] = frozenset(),
    by: str = "command",
    beat: Callable[[], None] = lambda: None,
) -> PruneReport:
    """Remove recordings until the limits hold, or nothing is left that may go.

    An exported file that lies in a session's folder is moved beside it first and stays. Each removal is written down
    before it is done (`scanmend.sessions.removals`).

    Args:
        data_dir: The service's data folder.
        limits: What is kept.
        now_unix_ns: The present time.
        dry_run: Whether only to say what would be done.
        even_unexported: Whether sessions without an exported file may go.
        busy: Sessions that the caller itself is reading; they stay.
        by: Who removes: `command` or `keeper`.
        beat: Called now and then; what it raises ends the pruning between two sessions or files.

    Raises:
        RecordingError: The data folder cannot be read, or another command is changing it.
    """
    with Catalogue(data_dir) as catalogue:
        sessions = catalogue.refresh(beat)
        chosen, spared = choose(sessions, limits, now_unix_ns, even_unexported=even_unexported, busy=busy)
        before = sum(session.size_bytes for session in sessions)
        removed: list[Pruned] = []
        failed: list[tuple[str, str]] = []
        if dry_run:
            removed = chosen
        else:
            with alone(data_dir):
                _empty_trash(data_dir, beat)
                for each in chosen:
                    beat()
                    try:
                        session = catalogue.find(each.name)
                        reason = why_spared(session, even_unexported=even_unexported, busy=busy)
                        reason = reason or _read_by_somebody(data_dir, each.name)
                        if reason:  # somebody has tagged it meanwhile, or reads it
                            spared.append((each.name, reason))
                            continue
                        _remove(data_dir, session, _why(each, limits, now_unix_ns), by, beat)
                        removed.append(each)
                    except (RecordingError, InvalidInput) as error:
                        log.error("%s", error)
                        failed.append((each.name, str(error)))
            catalogue.refresh(beat)
    after = before - sum(each.size_bytes for each in removed)
    return PruneReport(
        removed=tuple(removed),
        spared=tuple(spared),
        failed=tuple(failed),
        bytes_before=before,
        bytes_after=after,
    )


def _why(each: Pruned, limits: Limits, now_unix_ns: int) -> str:
    if each.why == "age" and each.end_unix_ns is not None:
        days = (now_unix_ns - each.end_unix_ns) / DAY_NS
        return f"It ended {days:.1f} days ago, and recordings are kept for {limits.most_days:g} days."
    return f"All recordings together may take {limits.most_bytes or 0:,} bytes, and it was the oldest that could go."


def _remove(data_dir: Path, session: SessionSummary, why: str, by: str, beat: Callable[[], None]) -> None:
    noted = note_removal(data_dir, session, why, by, time.time_ns())
    try:
        trash = _put_away(data_dir, session.name)
    except RecordingError:
        note_stayed(data_dir, noted)
        raise
    log.warning("session %s removed (%d bytes): %s", session.name, session.size_bytes, why)
    _throw_away(trash, beat)


def _read_by_somebody(data_dir: Path, name: str) -> str:
    """Why a session that is exported or replayed just now stays; empty for any other."""
    with SessionFolder.open(data_dir / SESSIONS / name) as folder:
        return "" if folder.keep_readers_out() else IN_USE


def _is_export(path: Path, session: SessionSummary) -> bool:
    """Whether an exported file is there, and is one: an empty or an older one must not cost the recording.

    A file that was there before the session ended is of another session, which had its name once.
    """
    try:
        with path.open("rb") as file:
            late = os.fstat(file.fileno()).st_mtime_ns >= (session.end_unix_ns or 0)
            return late and file.read(len(HDF5_MAGIC)) == HDF5_MAGIC
    except OSError:
        return False


def _put_away(data_dir: Path, name: str) -> Path:
    """Rename a session's folder, which nobody may have open for writing, to its name in the trash; gives that.

    Raises:
        RecordingError: Somebody has, or the disk refuses.
    """
    sessions = data_dir / SESSIONS
    path = sessions / name
    trash = sessions / f"{TRASH}{secrets.token_hex(4)}-{name}"
    with SessionFolder.open(path) as folder:
        folder.lock()
        if not folder.keep_readers_out():
            raise RecordingNotWritable(f"The recording of {name} stays: {IN_USE}.", mend="It goes another time.")
        try:
            for export in sorted(path.glob(f"*{EXPORT_SUFFIX}")):
                _move_beside(export, sessions)
            path.rename(trash)
        except OSError as error:
            raise RecordingNotWritable(
                f"The recording of {name} cannot be removed: {error.strerror}.", mend="Run this as the service's user."
            ) from error
    return trash


def _move_beside(export: Path, folder: Path) -> None:
    """Move a file into the folder of all sessions, never over another one."""
    target, number = folder / export.name, 1
    while True:
        try:
            os.link(export, target, follow_symlinks=False)
            break
        except FileExistsError:
            number += 1
            target = folder / f"{export.stem}-{number}{export.suffix}"
    export.unlink()


def _throw_away(trash: Path, beat: Callable[[], None]) -> None:
    """Remove a renamed session; the receipt goes last."""
    try:
        for path in sorted(trash.iterdir()):
            beat()
            if path.name == RECEIPT_NAME:
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
        (trash / RECEIPT_NAME).unlink(missing_ok=True)
        trash.rmdir()
    except OSError as error:
        # It is out of the list; what is left of it goes with the next prune.
        log.warning("%s could not be removed whole: %s", trash.name, error)


def _empty_trash(data_dir: Path, beat: Callable[[], None]) -> None:
    """Finish what a prune that was cut off had begun."""
    with contextlib.suppress(FileNotFoundError):
        for path in (data_dir / SESSIONS).iterdir():
            if path.name.startswith(TRASH) and path.is_dir() and not path.is_symlink():
                _throw_away(path, beat)
