"""Begins, paces and finishes the export of one session."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path

from scanmend.errors import ExportError
from scanmend.keeper.job import Job, export_job
from scanmend.keeper.pace import bring_to_disk, forget_pages
from scanmend.keeper.place import place_for
from scanmend.keeper.room import left_bytes, room_on
from scanmend.keeper.watch import SessionWatch, noted_exports
from scanmend.sessions.about import note_export
from scanmend.settings import Settings

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class NoRoom:
    """An export has to wait for room."""

    text: str


class Exporting:
    """Exports into the folder of the settings, one session at a time.

    Args:
        settings: The service's.
        watch: The sessions.
        errors: A file for the last words of an export.
    """

    def __init__(self, settings: Settings, watch: SessionWatch, errors: Path) -> None:
        self.folder = settings.exports_folder.resolve()
        self._settings = settings
        self._watch = watch
        self._errors = errors
        self._tended = 0

    def begin(self, session: str) -> Job | NoRoom | None:
        """Begin to export a session; None where there is one already, which is noted.

        Raises:
            ScanmendError: The folder of exports cannot be used, or the recording cannot be read.
        """
        self._make_folder()
        path = self._watch.path(session)
        if noted_exports(path):
            return None
        target, whole = place_for(path, self.folder)
        if whole:
            note_export(self._settings.data_dir, session, target)
            return None
        wanted, room = _size_bytes(path), room_on(self.folder)
        left = left_bytes(self.folder, self._settings.data_dir, self._settings.free_bytes)
        if room is not None and room.free_bytes - wanted < left:
            return NoRoom(
                f"Session {session} waits for its export: {self.folder} has {room.free_bytes / 1e6:,.0f} MB free, "
                f"it may take {wanted / 1e6:,.0f} MB, and {left / 1e6:,.0f} MB are left to recordings."
            )
        log.info("session %s is exported to %s", session, target)
        return export_job(self._settings, session, target, self._errors)

    def tend(self, job: Job) -> NoRoom | None:
        """Bring what an export has written to the disk; says so where it would take the recordings' room."""
        if job.aside is not None:
            bring_to_disk(job.aside)
        self._tended += 1
        if self._tended % 50 == 0:
            forget_pages(self._watch.path(job.session))
        left = left_bytes(self.folder, self._settings.data_dir, self._settings.free_bytes)
        room = room_on(self.folder)
        if room is not None and room.free_bytes < left // 2:
            free = f"{room.free_bytes / 1e6:,.0f} MB"
            return NoRoom(f"The export of session {job.session} was stopped: only {free} are free.")
        return None

    def finish(self, job: Job) -> None:
        """Note an export that went well, where it has not noted itself.

        Raises:
            ScanmendError: It cannot be noted, or the file is not there.
        """
        path = self._watch.path(job.session)
        forget_pages(path)
        if job.target is None:
            return
        if not job.target.is_file():
            raise ExportError(f"{job.target} is not there after its export.", mend="Look at the disk.")
        if str(job.target.resolve()) not in noted_exports(path):
            note_export(self._settings.data_dir, job.session, job.target)
        log.info("session %s was exported: %s, %d bytes", job.session, job.target, job.target.stat().st_size)

    def _make_folder(self) -> None:
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            usable = os.access(self.folder, os.W_OK | os.X_OK)
        except OSError:
            usable = False
        if not usable:
            raise ExportError(
                f"The folder {self.folder} cannot be written, so that nothing is exported.",
                mend="Give the service's user the right to write there, or set SCANMEND_EXPORTS_DIR to another folder.",
            )


def _size_bytes(folder: Path) -> int:
    """Room that a recording takes, which is more than its export needs."""
    return sum(path.stat().st_blocks * 512 for path in folder.glob("journal-*.smj"))
