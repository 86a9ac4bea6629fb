"""Snapshots: the newest picture of a session with all that is known of it, as files in `data_dir/snapshots/`.

A snapshot is a folder of its own, made under a hidden name by the desk and renamed when it is whole.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import os
import re
import shutil
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from scanmend import __version__
from scanmend.errors import ScanmendError
from scanmend.ipc.engine_link import ModelInfo
from scanmend.web.console_client import Picture
from scanmend.web.desk import Desk
from scanmend.web.problems import ApiError
from scanmend.web.schemas import SessionView
from scanmend.web.schemas_snapshots import SnapshotView

log = logging.getLogger(__name__)

FOLDER = "snapshots"
NAME = re.compile(r"\d{8}T\d{6}\.\d{3}Z_[A-Za-z0-9][A-Za-z0-9_.-]{0,63}\Z")
"""When it was taken, and the session: names in order of the alphabet are in order of time."""
CURSOR = r"^[0-9]{8}T[0-9]{6}\.[0-9]{3}Z_[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"
STAMP = len("20260331T105243.512Z_")
PATH = "/api/v1/snapshots"
FILES = {
    "png": "picture.png",
    "raw_png": "raw.png",
    "tiff": "picture.tif",
    "raw_tiff": "raw.tif",
    "sigma_tiff": "sigma.tif",
    "json": "snapshot.json",
}
"""What a snapshot may consist of, by the word that the API has for it."""
MEDIA_TYPES = {".png": "image/png", ".tif": "image/tiff", ".json": "application/json"}
MOST_TEXT_BYTES = 1 << 20


class Snapshots:
    """The snapshots of a data folder.

    Args:
        data_dir: The folder.
        desk: Draws.
        free_bytes: No snapshot is taken with less room than this on the disk.
    """

    def __init__(self, data_dir: Path, desk: Desk, free_bytes: int) -> None:
        self._folder = data_dir / FOLDER
        self._desk = desk
        self._free_bytes = free_bytes

    async def take(self, picture: Picture, session: SessionView, model: ModelInfo | None, by: str) -> SnapshotView:
        """Keep a picture.

        Raises:
            ApiError: 507, there is no room; 500, it could not be drawn or written.
        """
        now_s = time.time()
        moment = datetime.fromtimestamp(now_s, UTC)
        name = f"{moment:%Y%m%dT%H%M%S}.{moment.microsecond // 1000:03d}Z_{session.name}"
        about = {
            "snapshot": name,
            "session_name": session.name,
            "taken_unix_s": round(now_s, 3),
            "by": by,
            "service": f"scanmend {__version__}",
            "session": session.model_dump(mode="json"),
            "picture": _plain(picture.info),
            "model": None if model is None or not picture.info.restored else _plain(model),
        }
        aside = self._folder / f".{name}.part"
        try:
            await asyncio.to_thread(self._put_planes, aside, picture)
            await self._desk.do({"job": "kept", "folder": str(aside), "about": about, "files": FILES})
            await asyncio.to_thread(os.rename, aside, self._folder / name)
        except (OSError, ScanmendError) as error:
            log.error("no snapshot of %s: %s", session.name, error)
            mend = error.mend if isinstance(error, ScanmendError) else "Look at the disk of the data folder."
            raise ApiError(500, "internal", f"The snapshot could not be kept: {error}", mend=mend) from error
        finally:
            await asyncio.to_thread(shutil.rmtree, aside, ignore_errors=True)
        found = await self.find(name)
        if found is None:
            raise ApiError(500, "internal", "The snapshot went away at once.", mend="Look at the data folder.")
        return found

    async def find(self, name: str) -> SnapshotView | None:
        """One snapshot; None where there is none of this name."""
        return await asyncio.to_thread(self._view, name) if NAME.fullmatch(name) else None

    async def page(self, session: str, limit: int, before: str | None) -> tuple[list[SnapshotView], str | None]:
        """Snapshots, the newest first, and the name before which the next page begins.

        Args:
            session: Of this session; of all where it is empty.
            limit: At most so many.
            before: Those that are older than this one; the newest where it is None.
        """
        return await asyncio.to_thread(self._page, session, limit, before)

    async def file(self, name: str, file: str) -> bytes | None:
        """A file of a snapshot; None where there is none."""
        if not NAME.fullmatch(name) or file not in FILES.values():
            return None
        return await asyncio.to_thread(_read, self._folder / name / file)

    def _put_planes(self, aside: Path, picture: Picture) -> None:
        shape = picture.info.shape
        self._folder.mkdir(mode=0o700, exist_ok=True)
        room = shutil.disk_usage(self._folder).free
        if room < self._free_bytes + 8 * math.prod(shape) * 4:
            raise ApiError(
                507,
                "no_room",
                f"{room / 1e6:.0f} MB are free on the disk of the snapshots.",
                mend="Move recordings away, or serve with another data_dir.",
            )
        aside.mkdir(mode=0o700)
        parts = (("raw", picture.raw, picture.info.raw_dtype), ("estimate", picture.estimate, "float32"))
        for name, data, dtype in (*parts, ("sigma", picture.sigma, "float32")):
            if data:
                np.save(aside / f"{name}.npy", np.frombuffer(data, np.dtype(dtype).newbyteorder("<")).reshape(shape))

    def _page(self, session: str, limit: int, before: str | None) -> tuple[list[SnapshotView], str | None]:
        try:
            names = sorted((path.name for path in self._folder.iterdir() if NAME.fullmatch(path.name)), reverse=True)
        except FileNotFoundError:
            return [], None
        wanted = [n for n in names if (before is None or n < before) and (not session or n[STAMP:] == session)]
        views = [view for name in wanted[:limit] if (view := self._view(name)) is not None]
        return views, wanted[limit - 1] if len(wanted) > limit else None

    def _view(self, name: str) -> SnapshotView | None:
        data = _read(self._folder / name / FILES["json"])
        if data is None:
            return None
        try:
            about: dict[str, Any] = json.loads(data)
            picture = about["picture"]
            return SnapshotView(
                name=name,
                session=about["session_name"],
                taken_unix_s=about["taken_unix_s"],
                by=about["by"],
                restored=picture["restored"],
                model=picture["model"],
                sha256=picture["sha256"],
                files={
                    word: f"{PATH}/{name}/{file}"
                    for word, file in FILES.items()
                    if file == FILES["json"] or file in about["sha256_of_files"]
                },
            )
        except (ValueError, LookupError, TypeError) as error:
            log.warning("the snapshot %s cannot be read: %s", name, error)
            return None


def _plain(value: msgspec.Struct) -> dict[str, Any]:
    """A struct as JSON values; numbers that are none become null."""
    found = msgspec.to_builtins(value)
    return {
        key: None if isinstance(item, float) and not math.isfinite(item) else item
        for key, item in found.items()
        if key not in ("ask", "type", "card", "raw_path")
    }


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None
