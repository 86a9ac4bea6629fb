"""Small pictures of recordings, drawn once by the desk and kept in `data_dir/thumbnails/`."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from pathlib import Path

from scanmend.errors import ScanmendError
from scanmend.record import session_path
from scanmend.sessions import SessionSummary
from scanmend.web.desk import Desk
from scanmend.web.library import Library, mark_of
from scanmend.web.problems import ApiError

log = logging.getLogger(__name__)

FOLDER = "thumbnails"
MOST_KEPT = 5000
"""Of more, those that were drawn first are removed."""
_MOST_REMEMBERED = 1000


class Thumbnails:
    """The thumbnails of a data folder.

    Args:
        library: The recordings.
        desk: Draws.
    """

    def __init__(self, library: Library, desk: Desk) -> None:
        self._data_dir = library.data_dir
        self._desk = desk
        self._without: dict[str, str] = {}
        """Why there is none, by the file's name: a list asks again and again."""

    async def get(self, session: SessionSummary) -> bytes:
        """The thumbnail of a recording, a PNG.

        Raises:
            ApiError: 404, there is nothing to show.
        """
        path = self._data_dir / FOLDER / f"{session.name}.{mark_of(session)}.png"
        if (data := await asyncio.to_thread(_read, path)) is not None:
            return data
        if path.name not in self._without:
            try:
                await asyncio.to_thread(self._make_room, path)
                job = {"job": "thumbnail", "folder": str(session_path(self._data_dir, session.name))}
                await self._desk.do({**job, "target": str(path)})
            except (ScanmendError, OSError) as error:
                log.info("there is no thumbnail of %s: %s", session.name, error)
                if len(self._without) >= _MOST_REMEMBERED:
                    self._without.clear()
                self._without[path.name] = error.message if isinstance(error, ScanmendError) else str(error)
        data = await asyncio.to_thread(_read, path)
        if data is None:
            why = self._without.get(path.name, "It could not be kept.")
            raise ApiError(404, "no_picture", f"There is no picture of {session.name}. {why}", mend="Do without it.")
        return data

    def _make_room(self, path: Path) -> None:
        """Make the folder; remove what this one replaces, and the oldest where there are too many."""
        path.parent.mkdir(mode=0o700, exist_ok=True)
        kept = []
        for other in path.parent.glob("*.png"):
            if other.name.rsplit(".", 2)[0] == path.name.rsplit(".", 2)[0]:
                other.unlink(missing_ok=True)
                continue
            with contextlib.suppress(FileNotFoundError):
                kept.append((other.stat().st_mtime_ns, other))
        for _, other in sorted(kept)[: max(0, len(kept) - MOST_KEPT + 1)]:
            other.unlink(missing_ok=True)


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None
