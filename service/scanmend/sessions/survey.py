"""Reads one session's folder, and writes nothing: journal, receipt, and what people added."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import msgspec
import xxhash

from scanmend.errors import DamagedRecording, RecordingError
from scanmend.record import RECEIPT_NAME, SessionFolder
from scanmend.sessions.about import About, read_about, read_file
from scanmend.sessions.folders import SESSIONS
from scanmend.sessions.summary import SessionState, SessionSummary
from scanmend.sessions.tally import Tally, count
from scanmend.sessions.words import count_text, ranges_text
from scanmend.settings import EXPORTS
from scanmend.wire.messages import Hello, Receipt

EXPORT_SUFFIX = ".nxs"

_receipts = msgspec.json.Decoder(Receipt)


@dataclass(frozen=True, slots=True)
class Outside:
    """A session's folder as `stat` sees it: cheap to find out, and different whenever anything in it has changed."""

    fingerprint: str
    inode: int
    size_bytes: int
    exports: tuple[str, ...]
    """Exported files in the folder, or beside it under the session's name."""


def look(path: Path, beside: frozenset[str]) -> Outside:
    """Look at a session's folder from outside.

    Args:
        path: The folder.
        beside: What `exports_beside` gave for the data folder.

    Raises:
        RecordingError: The folder has gone, or cannot be read.
    """
    digest = xxhash.xxh3_64()
    size, exports = 0, []
    try:
        with os.scandir(path) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                found = entry.stat(follow_symlinks=False)
                size += found.st_blocks * 512
                digest.update(f"{entry.name}/{found.st_ino}/{found.st_size}/{found.st_mtime_ns};".encode())
                if entry.name.endswith(EXPORT_SUFFIX) and entry.is_file(follow_symlinks=False):
                    exports.append(str(path / entry.name))
        inode = path.stat().st_ino
    except OSError as error:
        raise RecordingError(
            f"The folder of session {path.name} cannot be read: {error.strerror}.", mend="Look at its owner."
        ) from error
    exports += [str(each) for each in _places_beside(path) if str(each) in beside]
    digest.update(";".join(exports).encode())
    return Outside(digest.hexdigest(), inode, size, tuple(exports))


def exports_beside(data_dir: Path) -> frozenset[str]:
    """Exported files that lie in the data folder, in its folder of exports, or beside the sessions' folders."""
    folders = (data_dir, data_dir / EXPORTS, data_dir / SESSIONS)
    return frozenset(str(path) for folder in folders for path in folder.glob(f"*{EXPORT_SUFFIX}"))


def _places_beside(path: Path) -> tuple[Path, ...]:
    name, data_dir = path.name + EXPORT_SUFFIX, path.parent.parent
    return data_dir / name, data_dir / EXPORTS / name, path.parent / name


def read_receipt(folder: SessionFolder) -> Receipt | None:
    """The receipt beside the journal; None where there is none.

    Raises:
        DamagedRecording: It cannot be read.
    """
    data = read_file(folder, RECEIPT_NAME)
    if data is None:
        return None
    try:
        return _receipts.decode(data)
    except (msgspec.DecodeError, RecursionError) as error:
        raise DamagedRecording(
            f"{RECEIPT_NAME} cannot be read: {error}.", mend="The journal holds the same account."
        ) from error


def survey(path: Path, outside: Outside, *, held: bool, tally: Tally | None = None) -> tuple[SessionSummary, Tally]:
    """Read a session's folder.

    Args:
        path: The folder.
        outside: As `look` gave it before.
        held: Whether a service is writing it.
        tally: What an earlier survey of the same, unfinished session gave.

    Raises:
        RecordingError: The folder has gone, or the disk does not give the bytes.
    """
    faults: list[str] = []
    receipt, about = None, About()
    with SessionFolder.open(path) as folder:
        segments = folder.segments()
        try:
            about = read_about(folder)
        except DamagedRecording as error:
            faults.append(error.message)
        try:
            receipt = read_receipt(folder)
        except DamagedRecording as error:
            faults.append(error.message)
    try:
        tally = count(path, tally)
    except RecordingError as error:
        tally = Tally()
        faults.append(error.message)
    ended = receipt is not None or any(RECEIPT_NAME in fault for fault in faults)
    receipt = receipt or (tally.account if ended else None)
    misses = _lost(tally, receipt, segments, held=held) + faults
    if held:
        state = SessionState.OPEN
    elif misses:
        state = SessionState.DAMAGED
    else:
        state = SessionState.ENDED if ended else SessionState.UNFINISHED
    misses += _missing(tally, receipt, ended=ended, held=held)
    return _summary(path.name, tally, receipt, about, outside, state, tuple(misses), ended=ended), tally


def _lost(tally: Tally, receipt: Receipt | None, segments: list[int], *, held: bool) -> list[str]:
    """What was recorded and is gone."""
    lost = []
    if not held and tally.entries == 0:
        return ["There is no journal." if not segments else "Nothing in its journal can be read."]
    if not held and not tally.hello:
        lost.append("The session's opening is gone: its field and channels are not known.")
    if tally.entries_lost:
        lost.append(f"{count_text(tally.entries_lost, 'entry', 'entries')} of the journal cannot be found.")
    if tally.unreadable:
        lost.append(f"{count_text(tally.unreadable, 'entry', 'entries')} of the journal cannot be read.")
    if receipt is not None and tally.frames < receipt.durable:
        lost.append(
            f"{count_text(receipt.durable - tally.frames, 'frame')} of {receipt.durable} durable ones are gone."
        )
    return lost


def _missing(tally: Tally, receipt: Receipt | None, *, ended: bool, held: bool) -> list[str]:
    """What the session lacks although all that was recorded is there."""
    if receipt is None:
        absent = [] if ended or held else ["It was not ended: it has no receipt."]
        gaps, missing, rejected = _gaps(tally), tally.missing, 0
    else:
        absent = []
        gaps, missing, rejected = receipt.gaps, receipt.missing, sum(receipt.rejected.values())
    if gaps:
        absent.append(f"{count_text(gaps, 'frame')} never came: {ranges_text(missing)}.")
    if rejected and receipt is not None:
        codes = ", ".join(f"{number} {code.replace('_', ' ')}" for code, number in receipt.rejected.items())
        absent.append(f"{count_text(rejected, 'frame')} {'was' if rejected == 1 else 'were'} not taken: {codes}.")
    if tally.recorded_from:
        absent.append(f"The recording began with frame {tally.recorded_from}, on an operator's word.")
    dropped = tally.dropped_by_client if receipt is None else receipt.dropped_by_client
    if dropped:
        absent.append(f"{count_text(dropped, 'frame')} {'was' if dropped == 1 else 'were'} discarded by the client.")
    if receipt is not None and not receipt.balanced:
        absent.append("Its account does not balance.")
    return absent


def _gaps(tally: Tally) -> int:
    return sum(last - first for first, last in tally.missing)


def _summary(
    name: str,
    tally: Tally,
    receipt: Receipt | None,
    about: About,
    outside: Outside,
    state: SessionState,
    misses: tuple[str, ...],
    *,
    ended: bool,
) -> SessionSummary:
    hello = tally.opening
    field = hello.field if hello is not None else None
    dose = field.dose_e_per_nm2(tally.dwell_ns) if field is not None else None
    return SessionSummary(
        name=name,
        session_id=tally.session_id,
        state=state,
        ended=ended,
        reason=receipt.reason if receipt else "",
        balanced=receipt.balanced if receipt else None,
        start_unix_ns=tally.opened_unix_ns or tally.first_unix_ns,
        end_unix_ns=tally.last_unix_ns if ended else None,
        last_unix_ns=tally.last_unix_ns,
        client=hello.client if hello else "",
        width_px=field.shape[1] if field else None,
        height_px=field.shape[0] if field else None,
        pixel_size_nm=field.pixel_size_nm if field else None,
        beam_current_pa=field.beam_current_pa if field else None,
        beam_energy_kev=field.beam_energy_kev if field else None,
        mode=hello.mode if hello else "",
        channels=_channels(hello),
        policy=(hello.rescan or "") if hello else "",
        model_asked=hello.model if hello else "",
        models=tuple(note.name for note in tally.models),
        passes=tally.passes,
        frames=receipt.count if receipt else tally.highest,
        frames_received=receipt.received if receipt else tally.frames,
        frames_durable=receipt.durable if receipt else None,
        frames_on_disk=tally.frames,
        gaps=receipt.gaps if receipt else _gaps(tally),
        rejected=sum(receipt.rejected.values()) if receipt else 0,
        dropped_by_client=receipt.dropped_by_client if receipt else tally.dropped_by_client,
        payload_bytes=tally.payload_bytes,
        size_bytes=outside.size_bytes,
        dose_e_per_nm2=receipt.dose_e_per_nm2 if receipt else dose,
        dose_max_e_per_nm2=receipt.dose_max_e_per_nm2 if receipt else None,
        budget_e_per_nm2=hello.dose_budget_e_per_nm2 if hello else None,
        misses=misses,
        exports=tuple(dict.fromkeys((*about.exports, *_of_this_one(outside.exports, tally, ended=ended)))),
        tags=about.tags,
        notes=about.notes,
    )


def _of_this_one(exports: tuple[str, ...], tally: Tally, *, ended: bool) -> list[str]:
    """Files that bear the session's name, without those of an older session that bore it before."""
    return [path for path in exports if _modified_unix_ns(path) >= (tally.last_unix_ns or 0 if ended else 0)]


def _modified_unix_ns(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return 0


def _channels(hello: Hello | None) -> tuple[str, ...]:
    return tuple(channel.name for channel in hello.channels) if hello is not None else ()
