"""From the catalogue's rows to the API's answers about recorded sessions."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec

from scanmend.errors import RecordingError, ScanmendError
from scanmend.record import SessionFolder
from scanmend.sessions import SessionSummary, find_session
from scanmend.sessions.survey import read_receipt
from scanmend.web.schemas_recordings import NoteView, RecordingDetail, RecordingFile, RecordingView, ReplayView

PATH = "/api/v1/recordings"


def recording(session: SessionSummary) -> RecordingView:
    """A row of the catalogue for the API."""
    return RecordingView(**_fields(session))


def detail(data_dir: Path, session: SessionSummary, replay: ReplayView | None) -> RecordingDetail:
    """A row with the session's files and receipt; reads the disk.

    Raises:
        InvalidInput: The session has gone.
        RecordingError: Its folder cannot be read.
    """
    path = find_session(data_dir, session.name)
    receipt = None
    try:
        with os.scandir(path) as entries:
            files = sorted((e.name, e.stat(follow_symlinks=False).st_size) for e in entries if e.name[0] != ".")
        if session.ended:
            with SessionFolder.open(path) as folder:
                receipt = read_receipt(folder)
    except OSError as error:
        raise RecordingError(
            f"The folder of session {session.name} cannot be read: {error.strerror}.", mend="Look at its owner."
        ) from error
    except ScanmendError:
        receipt = None  # `misses` says so already
    return RecordingDetail(
        **_fields(session),
        notes=[NoteView(at_unix_s=note.unix_ns / 1e9, text=note.text) for note in session.notes],
        files=[RecordingFile(name=name, bytes=size) for name, size in files],
        receipt=None if receipt is None else _plain(msgspec.to_builtins(receipt)),
        replay=replay,
    )


def _fields(session: SessionSummary) -> dict[str, Any]:
    known = session.height_px is not None and session.width_px is not None
    return {
        "name": session.name,
        "session_id": None if session.session_id is None else str(session.session_id),
        "state": session.state,
        "reason": session.reason,
        "balanced": session.balanced,
        "began_unix_s": _seconds(session.start_unix_ns),
        "ended_unix_s": _seconds(session.end_unix_ns),
        "client": session.client,
        "shape": (session.height_px, session.width_px) if known else None,
        "pixel_size_nm": session.pixel_size_nm,
        "beam_current_pa": session.beam_current_pa,
        "beam_energy_kev": session.beam_energy_kev,
        "mode": session.mode,
        "channels": list(session.channels),
        "policy": session.policy,
        "model_asked": session.model_asked,
        "models": list(session.models),
        "passes": session.passes,
        "frames": session.frames,
        "frames_on_disk": session.frames_on_disk,
        "missing": session.gaps,
        "rejected": session.rejected,
        "dropped_by_client": session.dropped_by_client,
        "sample_bytes": session.payload_bytes,
        "size_bytes": session.size_bytes,
        "dose_e_per_nm2": _finite(session.dose_e_per_nm2),
        "dose_max_e_per_nm2": _finite(session.dose_max_e_per_nm2),
        "budget_e_per_nm2": _finite(session.budget_e_per_nm2),
        "misses": list(session.misses),
        "exported": list(session.exports),
        "tags": list(session.tags),
        "note": session.notes[-1].text if session.notes else "",
        "thumbnail": f"{PATH}/{quote(session.name)}/thumbnail.png",
    }


def _seconds(unix_ns: int | None) -> float | None:
    return None if unix_ns is None else unix_ns / 1e9


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _plain(receipt: dict[str, Any]) -> dict[str, Any]:
    """A receipt as JSON can hold it: ids as strings, numbers that are none as null."""
    receipt = {**receipt, "session_id": str(receipt["session_id"])}
    return {key: _finite(value) if isinstance(value, float) else value for key, value in receipt.items()}
