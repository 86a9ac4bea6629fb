"""Downloads of recordings: `scanmend export` in a child process, one at a time, streamed, gone afterwards."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from fastapi import Request
from starlette.responses import StreamingResponse

from scanmend.metrics import WebCounters
from scanmend.web.aside import Aside, Finished
from scanmend.web.made_files import MadeFile
from scanmend.web.problems import ApiError
from scanmend.web.schemas_recordings import ExportKind, ExportPicture

log = logging.getLogger(__name__)

COMMAND = (sys.executable, "-m", "scanmend.cli", "export")
TIMEOUT_S = 3600.0
PREFIX = ".download-"
"""Folders in the data folder in which downloads are made; those that a killed service left are removed."""

KINDS: dict[ExportKind, tuple[str, str]] = {
    "nexus": (".nxs", "application/x-hdf5"),
    "tiff": (".ome.tif", "image/tiff"),
    "npz": (".npz", "application/octet-stream"),
    "png": (".png", "image/png"),
    "csv": (".csv", "text/csv"),
    "zarr": (".zarr.zip", "application/zip"),
    "movie": (".gif", "image/gif"),
}
"""Suffix and media type of each kind of file."""
MEDIA_TYPES = tuple(dict.fromkeys(media for _, media in KINDS.values()))
MAY_SHOW_RESTORED: tuple[ExportKind, ...] = ("tiff", "png", "movie")


@dataclass(frozen=True, slots=True)
class ExportWish:
    """What somebody wants to have of a recording."""

    name: str
    kind: ExportKind
    picture: ExportPicture | None
    """None for what such a file shows by itself."""
    model: str | None


class Exports:
    """Makes downloads.

    Args:
        data_dir: The service's data folder.
        counters: What web counts itself.
        command: What is run, before its options.
        timeout_s: Most time of an export.
    """

    def __init__(
        self,
        data_dir: Path,
        counters: WebCounters,
        command: Sequence[str] = COMMAND,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._data_dir = data_dir
        self._counters = counters
        self._command = tuple(command)
        self._aside = Aside(
            busy=partial(
                ApiError,
                429,
                "busy",
                "Another download is being made.",
                mend="Ask again when it is done, or run scanmend export.",
                headers={"Retry-After": "10"},
            ),
            too_slow=partial(
                ApiError,
                503,
                "too_slow",
                f"The export took longer than {timeout_s:g} s.",
                mend="Run scanmend export at the service's machine, which may take as long as it needs.",
            ),
            timeout_s=timeout_s,
        )

    async def make(self, wish: ExportWish, request: Request) -> MadeFile:
        """Make the file; another one is refused meanwhile.

        Raises:
            ApiError: 429 while another one is made or taken; 422 where this recording gives no such file; 503 where it
                takes too long or nobody waits; 500 where it fails.
        """
        self._aside.take()
        try:
            return await self._made(wish, request)
        finally:
            self._aside.release()

    async def download(self, wish: ExportWish, request: Request) -> StreamingResponse:
        """Make the file, then stream it; another one is refused until this one has been taken.

        Raises:
            ApiError: As of `make`.
        """
        self._aside.take()
        try:
            made = await self._made(wish, request)
        except BaseException:
            self._aside.release()
            raise
        return made.response(self._aside.release)

    def close(self) -> None:
        """Let nothing run on."""
        self._aside.close()

    def tidy(self) -> None:
        """Remove what a service that was killed has left; not while this one makes a download."""
        for left in self._data_dir.glob(f"{PREFIX}*"):
            if left.is_dir() and not left.is_symlink():
                shutil.rmtree(left, ignore_errors=True)

    async def _made(self, wish: ExportWish, request: Request) -> MadeFile:
        try:
            folder = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix=PREFIX, dir=self._data_dir))
            try:
                file = await self._export(wish, folder, request)
            finally:
                # The file is open: what is removed here goes with its last byte, also when this process is killed.
                await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        except OSError as error:
            raise ApiError(
                503,
                "no_room",
                f"The file cannot be made: {error.strerror}.",
                mend="Look at the disk of the data folder.",
            ) from error
        self._counters.exports_made += 1
        suffix, media_type = KINDS[wish.kind]
        shown = "" if wish.picture is None else f".{wish.picture}"
        return MadeFile(file, os.fstat(file.fileno()).st_size, f"{wish.name}{shown}{suffix}", media_type)

    async def _export(self, wish: ExportWish, folder: Path, request: Request) -> BinaryIO:
        target = folder / f"{wish.name}{KINDS[wish.kind][0]}"
        words = [wish.name, f"--to={wish.kind}", f"--out={target}", f"--data-dir={self._data_dir}", "--threads=1"]
        if wish.picture is not None:
            words.append(f"--picture={wish.picture}")
        if wish.model is not None:
            words.append(f"--model={wish.model}")
        done = await self._aside.run([*self._command, *words, "--json", "--child"], request)
        if done.code != 0:
            raise _problem(done)
        return await asyncio.to_thread(target.open, "rb")


def _problem(done: Finished) -> ApiError:
    """What a child that failed said."""
    complaint = done.complaint.decode("utf-8", "replace")[-2000:]
    try:
        found: Any = json.loads(done.printed)
        problem = found["problem"]
        detail, mend, code = str(problem["detail"]), str(problem["mend"]), str(problem["code"])
    except (ValueError, LookupError, TypeError):
        log.error("scanmend export ended with code %s: %s", done.code, complaint)
        return ApiError(500, "internal", "The export failed.", mend="The service's log has the reason.")
    if code == "impossible":
        return ApiError(422, "impossible", detail, mend=mend)
    log.error("scanmend export failed: %s %s", detail, complaint)
    return ApiError(500, "internal", detail, mend=mend)
