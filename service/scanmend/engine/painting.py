"""Pictures that somebody asked for beside the restored ones, each left in a file of the run folder for who asked."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from scanmend.engine.exposures import SessionExposure
from scanmend.engine.other_channels import OtherChannels
from scanmend.ipc.engine_link import AskDose, AskRaw, DoseMade, RawMade
from scanmend.rescan import DoseLedger
from scanmend.restoration import FloatPicture


def paint_dose(ask: AskDose, ledger: DoseLedger, run_dir: Path) -> DoseMade:
    """The dose of each pixel so far.

    Raises:
        OSError: There is no room for it.
    """
    dose = ledger.dose_e_per_nm2
    path = "" if dose is None else _leave(run_dir, "dose", dose)
    return DoseMade(session_id=ask.session_id, ask=ask.ask, path=path)


def paint_raw(ask: AskRaw, others: OtherChannels, exposure: SessionExposure, run_dir: Path) -> RawMade:
    """What a channel that is not restored holds so far.

    Raises:
        OSError: There is no room for it.
    """
    found = others.picture(ask.channel)
    if found is None:
        return RawMade(session_id=ask.session_id, ask=ask.ask)
    values, dwell_ns = found
    return RawMade(
        session_id=ask.session_id,
        ask=ask.ask,
        path=_leave(run_dir, "raw", values),
        frames_included=exposure.frames_included,
        coverage=exposure.coverage,
        reference_dwell_ns=dwell_ns,
    )


def _leave(run_dir: Path, kind: str, picture: FloatPicture) -> str:
    path = run_dir / f"{kind}-{secrets.token_hex(12)}"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(picture.data)
    return str(path)
