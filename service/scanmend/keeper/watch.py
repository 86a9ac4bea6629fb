"""Which sessions have ended and want their export, and which are unfinished; found out at little cost.

The folder of sessions is read again only when its own time has changed, which it does when a session comes or goes.
Of sessions that have not ended, one `stat` a look tells whether the receipt is there.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from scanmend.errors import RecordingError
from scanmend.record import RECEIPT_NAME, SessionFolder
from scanmend.sessions.about import read_about
from scanmend.sessions.folders import SESSIONS, may_be_session


@dataclass(slots=True)
class Seen:
    """A session's folder, as it was when it was looked at."""

    name: str
    inode: int
    since_s: float
    """When it was first seen like this, on the loop's clock."""
    ended_unix_ns: int | None = None
    """When its receipt was written; None before."""


class SessionWatch:
    """The sessions of a data folder.

    Args:
        data_dir: The service's data folder.
    """

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.unfinished: dict[str, Seen] = {}
        self._ended: dict[str, Seen] = {}
        self._folder_ns: int | None = None

    def look(self, now_s: float) -> list[Seen]:
        """Look again; gives the sessions that have ended since the last look, at the first one all that had.

        Raises:
            RecordingError: The folder cannot be read.
        """
        folder = self.data_dir / SESSIONS
        try:
            changed_ns = folder.stat().st_mtime_ns
            if changed_ns != self._folder_ns:
                self._read(folder, now_s)
                self._folder_ns = changed_ns
        except FileNotFoundError:  # nothing was ever recorded
            self.unfinished.clear()
            self._ended.clear()
            self._folder_ns = None
        except OSError as error:
            raise RecordingError(
                f"The recordings in {self.data_dir} cannot be read: {error.strerror}.", mend="Look at their owner."
            ) from error
        return self._newly_ended(folder)

    def path(self, name: str) -> Path:
        """The folder of a session."""
        return self.data_dir / SESSIONS / name

    def _read(self, folder: Path, now_s: float) -> None:
        with os.scandir(folder) as entries:
            found = {
                entry.name: entry.inode()
                for entry in entries
                if may_be_session(entry.name) and entry.is_dir(follow_symlinks=False)
            }
        for known in (self.unfinished, self._ended):
            for name in [name for name, seen in known.items() if not _same(seen, found.get(name), folder)]:
                del known[name]
        for name, inode in found.items():
            if name not in self.unfinished and name not in self._ended:
                self.unfinished[name] = Seen(name, inode, now_s)

    def _newly_ended(self, folder: Path) -> list[Seen]:
        ended = []
        for name, seen in list(self.unfinished.items()):
            seen.ended_unix_ns = _ended_unix_ns(folder, name)
            if seen.ended_unix_ns is None:
                continue
            self._ended[name] = self.unfinished.pop(name)
            ended.append(seen)
        return ended


def noted_exports(path: Path) -> tuple[str, ...]:
    """The files that a session was exported to, as its folder says; none where that cannot be read."""
    try:
        with SessionFolder.open(path) as folder:
            return read_about(folder).exports
    except RecordingError:
        return ()


def _same(seen: Seen, inode: int | None, folder: Path) -> bool:
    """Whether a folder is still that of the session that was seen; a new one may have its name and its inode."""
    if inode != seen.inode:
        return False
    return seen.ended_unix_ns is None or seen.ended_unix_ns == _ended_unix_ns(folder, seen.name)


def _ended_unix_ns(folder: Path, name: str) -> int | None:
    """When a session's receipt was written; None where there is none."""
    try:
        return os.stat(folder / name / RECEIPT_NAME, follow_symlinks=False).st_mtime_ns
    except OSError:
        return None
