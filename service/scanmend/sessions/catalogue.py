"""The catalogue of a data folder: a table of its sessions in `sessions.sqlite`, made from the recordings.

It is a cache. Nothing stands in it that does not stand in the recordings; it may be deleted at any time, and the
service neither reads nor writes it. Each listing looks at every session's folder from outside and reads again only
those that have changed (`docs/decisions/0012-session-catalogue.md`).
"""

from __future__ import annotations

import json
import logging
import os
import sqlite3
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self, get_origin, get_type_hints

import msgspec

from scanmend.errors import RecordingError
from scanmend.sessions.folders import alone, find_session, held_inodes, session_folders
from scanmend.sessions.summary import SessionState, SessionSummary
from scanmend.sessions.survey import Outside, exports_beside, look, survey
from scanmend.sessions.tally import Tally

log = logging.getLogger(__name__)

FILE_NAME = "sessions.sqlite"
SCHEMA = 1
"""Version of the table; a file with another one is made anew. Raise it with every change of `SessionSummary`."""

BUSY_S = 5.0
"""Another command that writes has this long; then this one goes on without leaving what it found."""

_FIELDS = tuple(get_type_hints(SessionSummary))
_LISTS = frozenset(name for name, kind in get_type_hints(SessionSummary).items() if get_origin(kind) is tuple)
_OWN = ("fingerprint", "inode", "progress")
_COLUMNS = (*_FIELDS, *_OWN)
_READ_ON = (SessionState.OPEN, SessionState.UNFINISHED)
"""Of these the journal may have grown; of others it is counted anew."""

_tallies = msgspec.msgpack.Decoder(Tally)


class Catalogue:
    """The sessions of a data folder. Use it in a `with` block.

    Args:
        data_dir: The service's data folder.
        rebuild: Whether to forget what is in the file and read every recording again.

    Raises:
        RecordingError: There is no such folder.
    """

    def __init__(self, data_dir: Path, *, rebuild: bool = False) -> None:
        self.data_dir = data_dir
        self.remarks: list[str] = []
        """What the user should know about the catalogue itself, a sentence each."""
        self.read_again = 0
        """How many sessions the last refresh had to read."""
        self._db = self._open(rebuild=rebuild)

    def refresh(self, beat: Callable[[], None] = lambda: None) -> list[SessionSummary]:
        """Bring the table up to date, and give every session, the one that began last first.

        Args:
            beat: Called before each session; what it raises ends the refreshing, and nothing is stored.

        Raises:
            RecordingError: The data folder cannot be read.
        """
        known = self._known()
        held, beside = held_inodes(), exports_beside(self.data_dir)
        rows: dict[str, tuple[SessionSummary, str, int, bytes]] = {}
        changed: list[str] = []
        for path in session_folders(self.data_dir):
            beat()
            try:
                outside = look(path, beside)
                row = known.get(path.name)
                if row is None or not _is_current(row, outside, held):
                    row = self._read(path, outside, row, held=outside.inode in held)
                    changed.append(path.name)
            except RecordingError as error:
                if path.is_dir():  # one that went meanwhile is simply gone
                    self.remarks.append(f"{path.name}: {error}")
                continue
            rows[path.name] = row
        self.read_again = len(changed)
        self._store([rows[name] for name in changed], known.keys() - rows.keys())
        return sorted((row[0] for row in rows.values()), key=lambda s: (s.start_unix_ns or 0, s.name), reverse=True)

    def find(self, name: str) -> SessionSummary:
        """One session.

        Raises:
            InvalidInput: There is none of this name; the text names those that are spelt alike.
            RecordingError: Its folder cannot be read.
        """
        path = find_session(self.data_dir, name)
        outside, held = look(path, exports_beside(self.data_dir)), held_inodes()
        row = self._known().get(name)
        if row is None or not _is_current(row, outside, held):
            row = self._read(path, outside, row, held=outside.inode in held)
            self._store([row], ())
        return row[0]

    def close(self) -> None:
        """Close the file; safe to call twice."""
        self._db.close()

    def __enter__(self) -> Self:
        """Use it in a `with` block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    def _read(
        self, path: Path, outside: Outside, row: tuple[SessionSummary, str, int, bytes] | None, *, held: bool
    ) -> tuple[SessionSummary, str, int, bytes]:
        tally = None
        if row is not None and row[0].state in _READ_ON and row[2] == outside.inode:
            with suppress(msgspec.DecodeError):
                tally = _tallies.decode(row[3])
        summary, tally = survey(path, outside, held=held, tally=tally)
        return summary, outside.fingerprint, outside.inode, msgspec.msgpack.encode(tally)

    # The file -------------------------------------------------------------------------------------------------------

    def _open(self, *, rebuild: bool) -> sqlite3.Connection:
        path = self.data_dir / FILE_NAME
        with alone(self.data_dir):
            try:
                try:
                    return _connect(path, rebuild=rebuild)
                except sqlite3.OperationalError:
                    raise
                except sqlite3.DatabaseError as error:  # not a database, or a damaged one
                    aside = path.with_name(f"{FILE_NAME}.damaged-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}")
                    path.rename(aside)
                    for suffix in ("-wal", "-shm"):
                        path.with_name(FILE_NAME + suffix).unlink(missing_ok=True)
                    self.remarks.append(
                        f"The catalogue could not be read ({error}); it lies in {aside.name} now, and is made anew."
                    )
                    return _connect(path, rebuild=False)
            except (sqlite3.OperationalError, OSError) as error:
                log.info("the catalogue is kept in memory: %s", error)
                self.remarks.append(f"The catalogue cannot be kept in {self.data_dir} ({error}); this list is right.")
                return _prepare(sqlite3.connect(":memory:", isolation_level=None), rebuild=False)

    def _known(self) -> dict[str, tuple[SessionSummary, str, int, bytes]]:
        """Every row that can be understood, by name."""
        rows: dict[str, tuple[SessionSummary, str, int, bytes]] = {}
        try:
            for found in self._db.execute(f"SELECT {', '.join(_COLUMNS)} FROM sessions"):  # noqa: S608 - our names
                values: dict[str, Any] = dict(zip(_COLUMNS, found, strict=True))
                fingerprint, inode, progress = (values.pop(name) for name in _OWN)
                values |= {name: json.loads(values[name]) for name in _LISTS}
                summary = msgspec.convert(values, SessionSummary, strict=False)
                rows[summary.name] = (summary, fingerprint, inode, progress)
        except (sqlite3.Error, ValueError, TypeError) as error:
            log.warning("a row of the catalogue cannot be read, and the recordings are: %s", error)
        return rows

    def _store(self, rows: Iterable[tuple[SessionSummary, str, int, bytes]], gone: Iterable[str]) -> None:
        marks = ", ".join("?" * len(_COLUMNS))
        values = [(*_plain(summary), *own) for summary, *own in rows]
        names = [(name,) for name in gone]
        if not values and not names:
            return
        try:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                self._db.executemany(f"INSERT OR REPLACE INTO sessions VALUES ({marks})", values)  # noqa: S608
                self._db.executemany("DELETE FROM sessions WHERE name = ?", names)
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            log.info("what was found does not go into the catalogue: %s", error)


def _is_current(row: tuple[SessionSummary, str, int, bytes], outside: Outside, held: frozenset[int]) -> bool:
    """Whether a row still says how its session stands."""
    is_open = row[0].state is SessionState.OPEN
    return row[1] == outside.fingerprint and not is_open and outside.inode not in held


def _plain(summary: SessionSummary) -> list[object]:
    values = msgspec.to_builtins(summary)
    return [json.dumps(values[name], ensure_ascii=False) if name in _LISTS else values[name] for name in _FIELDS]


def _connect(path: Path, *, rebuild: bool) -> sqlite3.Connection:
    # SQLite would make it readable for everybody, and follow a link.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
    db = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        return _prepare(db, rebuild=rebuild)
    except BaseException:
        db.close()
        raise


def _prepare(db: sqlite3.Connection, *, rebuild: bool) -> sqlite3.Connection:
    """Make the table where there is none, or one of another version.

    Raises:
        sqlite3.DatabaseError: The file is damaged.
    """
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if version == SCHEMA and not rebuild:
        verdict = db.execute("PRAGMA quick_check(1)").fetchone()[0]
        if verdict != "ok":
            raise sqlite3.DatabaseError(str(verdict))
        return db
    columns = ", ".join("name TEXT PRIMARY KEY" if name == "name" else name for name in _COLUMNS)
    db.execute("BEGIN IMMEDIATE")
    db.execute("DROP TABLE IF EXISTS sessions")
    db.execute(f"CREATE TABLE sessions ({columns}) WITHOUT ROWID")
    db.execute(f"PRAGMA user_version = {SCHEMA}")
    db.execute("COMMIT")
    return db
