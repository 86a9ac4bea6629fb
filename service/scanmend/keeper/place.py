"""Where the export of a session goes, so that it never takes the place of another session's."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

from scanmend.record import JournalReader


def place_for(session_folder: Path, exports: Path) -> tuple[Path, bool]:
    """The file for a session's export, and whether it is there already, whole.

    A session's name may have been another session's before, whose recording has gone since: then a number follows it.

    Args:
        session_folder: The session's folder.
        exports: The folder of exports.

    Raises:
        RecordingError: There is no such session.
    """
    session_id: int | None = None
    for number in itertools.count(1):
        target = exports / (f"{session_folder.name}.nxs" if number == 1 else f"{session_folder.name}-{number}.nxs")
        if not os.path.lexists(target):
            return target, False
        if session_id is None:
            with JournalReader(session_folder) as reader:
                session_id = reader.session_id
        from scanmend.export.check import is_export_of  # HDF5 costs memory, and this is rare

        if session_id is not None and is_export_of(target, session_id):
            return target, True
    raise AssertionError("numbers do not end")
