"""The recorded sessions for the API: the catalogue, in a thread, and looked at once a second at most.

The catalogue is SQLite and reads journals; the event loop must wait for neither
(`docs/decisions/0017-roles-and-children.md`).
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import json
import time
from dataclasses import dataclass
from pathlib import Path

from scanmend.errors import InvalidInput
from scanmend.sessions import Catalogue, Query, SessionSummary

FRESH_S = 1.0

Key = tuple[int, str]
"""By what the list is sorted, highest first: when a session began, and its name."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Which recordings somebody wants to see."""

    query: Query
    dose_min_e_per_nm2: float | None
    limit: int
    after: Key | None
    """The last one of the page before."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page of the list."""

    sessions: list[SessionSummary]
    next: str | None
    found: int
    of: int
    remarks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Known:
    sessions: list[SessionSummary]
    remarks: tuple[str, ...]
    at_s: float


class Library:
    """The recordings of a data folder.

    Args:
        data_dir: The folder.
    """

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self._known: _Known | None = None
        self._turn = asyncio.Lock()

    async def page(self, asked: Asked) -> Page:
        """The recordings that were asked for, the one that began last first.

        Raises:
            RecordingError: The folder cannot be read, or another command holds it.
        """
        known = await self._fresh()
        return await asyncio.to_thread(_page, known, asked)

    async def names(self) -> list[str]:
        """The names of all recordings.

        Raises:
            RecordingError: As `page`.
        """
        return [session.name for session in (await self._fresh()).sessions]

    async def find(self, name: str) -> SessionSummary:
        """One recording.

        Raises:
            InvalidInput: There is none of this name.
            RecordingError: It cannot be read.
        """

        def look() -> SessionSummary:
            with Catalogue(self.data_dir) as catalogue:
                return catalogue.find(name)

        return await asyncio.to_thread(look)

    def forget(self) -> None:
        """Something was changed: the next list is made anew."""
        self._known = None

    async def _fresh(self) -> _Known:
        async with self._turn:  # whoever comes meanwhile takes what the first one finds
            known = self._known
            if known is None or time.monotonic() - known.at_s > FRESH_S:
                known = self._known = await asyncio.to_thread(self._look)
            return known

    def _look(self) -> _Known:
        with Catalogue(self.data_dir) as catalogue:
            sessions = catalogue.refresh()
            sessions.sort(key=_key, reverse=True)
            return _Known(sessions, tuple(catalogue.remarks), time.monotonic())


def _key(session: SessionSummary) -> Key:
    return session.start_unix_ns or 0, session.name


def _page(known: _Known, asked: Asked) -> Page:
    least = asked.dose_min_e_per_nm2
    found = [
        session
        for session in known.sessions
        if asked.query.matches(session)
        and (least is None or (session.dose_e_per_nm2 is not None and session.dose_e_per_nm2 >= least))
    ]
    rest = found if asked.after is None else [session for session in found if _key(session) < asked.after]
    page = rest[: asked.limit]
    more = cursor(_key(page[-1])) if len(rest) > len(page) else None
    return Page(page, more, len(found), len(known.sessions), known.remarks)


def cursor(key: Key) -> str:
    """A place in the list as a word for addresses."""
    return base64.urlsafe_b64encode(json.dumps(key, separators=(",", ":")).encode()).decode().rstrip("=")


def read_cursor(text: str) -> Key:
    """The place that `cursor` wrote.

    Raises:
        InvalidInput: It is none.
    """
    try:
        began, name = json.loads(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, TypeError) as error:
        raise _no_cursor() from error
    if type(began) is not int or type(name) is not str:
        raise _no_cursor()
    return began, name


def _no_cursor() -> InvalidInput:
    return InvalidInput("This is no cursor.", mend="Give the `next` of the page before, as it is.")


def mark_of(session: SessionSummary) -> str:
    """A word that changes when the samples of a recording do, and at most once a minute while it is open."""
    minute = 0 if session.ended else (session.last_unix_ns or 0) // 60_000_000_000
    text = f"{session.session_id} {session.frames_on_disk if session.ended else minute} {session.state}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]
