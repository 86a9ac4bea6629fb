"""Closes a recording that was cut off and that no service will take up again."""

from __future__ import annotations

import logging
import math
import time
from pathlib import Path

from scanmend.acquire.closing import account
from scanmend.acquire.recordings import Resumed, resume
from scanmend.acquire.session import EndAsked
from scanmend.errors import DamagedRecording, InvalidInput, PlanError, ProtocolError, RecordingError
from scanmend.record import EntryKind, JournalReader, SessionFolder, write_receipt
from scanmend.rescan.dose import DoseLedger
from scanmend.sessions.folders import alone, find_session, services_on
from scanmend.sessions.survey import read_receipt
from scanmend.sessions.tally import ANY_SIZE, count
from scanmend.settings import Settings
from scanmend.wire.header import FrameHeader
from scanmend.wire.messages import Receipt, encode

log = logging.getLogger(__name__)

REASON = "recovered"
"""What the receipt of a session that was closed this way gives as the reason of its end."""

SEGMENT_BYTES = 1 << 20
"""The receipt is all that is written, so that it fits on a disk that is nearly full."""


def close_session(settings: Settings, name: str, *, beside_service: bool = False) -> Receipt:
    """Give a session that was cut off its receipt, with the frames that it has.

    The journal is read from end to end, its torn tail is cut off, and the receipt goes behind it and beside it, as at
    the end of every session. What became of its frames before the cut is not known: each counts as dropped, policy
    `service_restarted`, as after a restart of the service. The dose is counted anew from the frames.

    Args:
        settings: Those of the service; its data folder.
        name: The session.
        beside_service: Whether a running service does not matter: it listens already, and what it does not hold it
            does not take up any more. What it holds is locked, and stays as it is.

    Raises:
        InvalidInput: No such session, or it has its receipt.
        RecordingError: A service runs on this data folder, or writes this session; or the disk gives up.
        DamagedRecording: Nothing in it tells whose recording it is.
    """
    path = find_session(settings.data_dir, name)
    pids = services_on(settings.data_dir)
    if pids and not beside_service:
        raise RecordingError(
            f"A service (process {pids[0]}) runs on {settings.data_dir} and looks after its sessions.",
            mend="Wait until it ends the session by itself (abandon_s, 10 minutes), or stop it first.",
        )
    with alone(settings.data_dir):
        with SessionFolder.open(path) as folder:
            if read_receipt(folder) is not None:
                raise InvalidInput(f"Session {name} has ended and has its receipt.", mend="There is nothing to close.")
        known = count(path)
        hello = known.opening
        if hello is None:
            raise DamagedRecording(
                f"The opening of session {name} cannot be read, so that it cannot be closed.",
                mend="What frames are there can still be read, as docs/recording.md shows.",
            )
        if hello.session != name:
            raise RecordingError(
                f"The folder {name} holds session {hello.session}.", mend=f"Rename the folder to {hello.session} first."
            )
        if known.account is not None:  # the service died between its last two acts
            return _leave(settings.data_dir, name, path, known.account)
        return _close(settings, name, path)


def _leave(data_dir: Path, name: str, path: Path, receipt: Receipt) -> Receipt:
    if receipt.session != name:
        raise RecordingError(f"The receipt in {name} is of {receipt.session}.", mend="Report this as a fault.")
    with SessionFolder.open(path) as folder:
        folder.lock()
        write_receipt(data_dir, receipt)
    return receipt


def _close(settings: Settings, name: str, path: Path) -> Receipt:
    sizes = {"segment_bytes": SEGMENT_BYTES, "free_bytes": 0}
    resumed = resume(settings.model_copy(update=sizes), settings.data_dir, path)
    try:
        _count_dose(path, resumed)
        ledger = resumed.ledger
        resumed.end = EndAsked(
            count=ledger.highest,
            dropped=ledger.dropped_by_client,
            checksum=ledger.checksum(ledger.highest),
            reason=REASON,
            asked_mono_ns=time.monotonic_ns(),
        )
        receipt = account(resumed)
        resumed.journal.append(EntryKind.RECEIPT, receipt.count, [encode(receipt)])
    finally:
        resumed.journal.close()
    write_receipt(settings.data_dir, receipt)
    log.info("session %s closed: %d frames, balanced %s", name, receipt.count, receipt.balanced)
    return receipt


def _count_dose(path: Path, resumed: Resumed) -> None:
    """The dose of every frame once, as the engine counts it while a session runs."""
    ledger = DoseLedger(resumed.hello.field)
    seen: set[int] = set()
    with JournalReader(path) as reader:
        for entry in reader.entries(kinds=(EntryKind.FRAME,)):
            try:
                header = FrameHeader.unpack(reader.head(entry), max_payload_bytes=ANY_SIZE)
            except ProtocolError:
                continue  # counted as damage elsewhere
            plan = resumed.plans.get(header.plan_id)
            if plan is None or header.seq in seen:
                continue
            seen.add(header.seq)
            try:
                ledger.add(plan, header.first_point, header.first_point + header.points)
            except (PlanError, IndexError, ValueError) as error:
                log.warning("frame %d does not fit its plan, and has no dose: %s", header.seq, error)
    mean, most = ledger.spent_e_per_nm2, ledger.spent_max_e_per_nm2
    resumed.dose_e_per_nm2 = None if math.isnan(mean) else mean
    resumed.dose_max_e_per_nm2 = None if math.isnan(most) else most
