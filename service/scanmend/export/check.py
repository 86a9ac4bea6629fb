"""Whether a file is the whole export of a session."""

from __future__ import annotations

from pathlib import Path

import h5py


def is_export_of(path: Path, session_id: int) -> bool:
    """Whether a file holds a session that had ended when it was exported; False for everything that cannot be read.

    Args:
        path: A file, whole since `export_nexus` gives no other its name.
        session_id: The session's number, which no other session has, whatever its name.
    """
    try:
        with h5py.File(path, "r") as file:
            entry = file["entry"]
            return int(entry["session_id"][()]) == session_id and bool(entry["recording/finished"][()])
    except (OSError, KeyError, TypeError, ValueError, RuntimeError, AttributeError):
        return False
