"""Recordings for the export's tests, written through the journal as the service writes them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from scanmend.field import Channel, Field
from scanmend.plan import ScanPlan
from scanmend.record import EntryKind, JournalSettings, create_journal, session_path
from scanmend.wire.header import FrameFlag, FrameHeader, xxh3
from scanmend.wire.messages import (
    Enough,
    Executed,
    ExecutedStatus,
    Hello,
    Mode,
    Plan,
    Proposal,
    Receipt,
    encode,
)

SESSION_ID = 77
OPENED_UNIX_NS = 1_700_000_000_000_000_000
SEGMENT_BYTES = 1 << 20


@dataclass(frozen=True)
class Shot:
    """A frame to be recorded."""

    samples: np.ndarray
    plan_id: int = 0
    pass_index: int = 0
    first_point: int = 0
    end: bool = True


def hello_for(
    shape: tuple[int, int] = (24, 32), mode: Mode = Mode.EXPOSURE, channels: Sequence[Channel] | None = None, **more
) -> Hello:
    field = Field(shape=shape, pixel_size_nm=0.5, beam_current_pa=20.0, beam_energy_kev=5.0, rotation_deg=12.0)
    more = {"field": field} | more
    return Hello(
        session="one",
        session_id=SESSION_ID,
        client="a test",
        channels=tuple(channels or [Channel(name="SE")]),
        mode=mode,
        model="pushpull",
        **more,
    )


def write_journal(
    data_dir: Path,
    hello: Hello,
    plans: Mapping[int, ScanPlan],
    shots: Iterable[Shot],
    *,
    answers: Sequence[Proposal | Executed | Enough] = (),
    receipt: Receipt | None = None,
    seqs: Sequence[int] | None = None,
    order: Sequence[int] | None = None,
) -> Path:
    """Record a session; gives its folder.

    Args:
        data_dir: Data folder.
        hello: How it is opened.
        plans: By plan id.
        shots: The frames.
        answers: What else was said.
        receipt: Its end; None for a session that was cut off.
        seqs: The frames' numbers; 0, 1, 2 … where it is None.
        order: In which order the frames reached the disk; that of the shots where it is None.
    """
    settings = JournalSettings(segment_bytes=SEGMENT_BYTES)
    journal = create_journal(data_dir, hello.session, hello.session_id, settings=settings)
    journal.append(EntryKind.SESSION, OPENED_UNIX_NS, [encode(hello)])
    for plan_id, plan in plans.items():
        journal.append(EntryKind.PLAN, plan_id, [encode(Plan(session_id=hello.session_id, plan_id=plan_id, plan=plan))])
    frames = [_frame(hello, number, shot) for number, shot in zip(seqs or range(1 << 30), shots, strict=False)]
    for at in order or range(len(frames)):
        seq, head, payload = frames[at]
        journal.append(EntryKind.FRAME, seq, [head, payload])
        journal.flush()
    for message in answers:
        kind = {Proposal: EntryKind.PROPOSAL, Executed: EntryKind.EXECUTED, Enough: EntryKind.ENOUGH}[type(message)]
        journal.append(kind, getattr(message, "proposal_id", 0), [encode(message)])
    if receipt is not None:
        journal.append(EntryKind.RECEIPT, receipt.count, [encode(receipt)])
    journal.close()
    return session_path(data_dir, hello.session)


def _frame(hello: Hello, seq: int, shot: Shot) -> tuple[int, bytes, bytes]:
    samples = np.atleast_2d(shot.samples).astype(hello.channels[0].numpy_dtype)
    payload = samples.tobytes()
    header = FrameHeader(
        session_id=hello.session_id,
        seq=seq,
        plan_id=shot.plan_id,
        pass_index=shot.pass_index,
        first_point=shot.first_point,
        points=samples.shape[1],
        channels=samples.shape[0],
        dtype=hello.channels[0].dtype,
        flags=FrameFlag.END_OF_PASS if shot.end else FrameFlag(0),
        acquired_unix_ns=OPENED_UNIX_NS + 1_000_000 * (seq + 1),
        payload_bytes=len(payload),
        payload_xxh3=xxh3(payload),
    )
    return seq, header.pack(), payload


def receipt_for(hello: Hello, count: int) -> Receipt:
    return Receipt(
        session=hello.session,
        session_id=hello.session_id,
        count=count,
        scanned=count,
        dropped_by_client=0,
        received=count,
        durable=count,
        rejected={"oversize": 0},
        gaps=0,
        missing=[],
        duplicates=0,
        conflicts=0,
        damaged=0,
        restored_in=count,
        restored_out=count,
        passed_through={},
        dropped={"superseded": 0},
        live_in=count,
        live_out=0,
        live_dropped=count,
        proposals=1,
        executed={"accepted": 1},
        dose_e_per_nm2=3.5,
        dose_max_e_per_nm2=None,
        budget_e_per_nm2=None,
        checksum_matches=True,
        recording=hello.session,
        delivery="durable",
        reason="finished",
        balanced=True,
    )


def said(hello: Hello, plan: ScanPlan) -> list[Proposal | Executed | Enough]:
    """A proposal that was run as plan 1, one that was never answered, and the end of them."""
    first = Proposal(
        session_id=hello.session_id,
        proposal_id=1,
        plan=plan,
        policy="uncertainty",
        reason="These pixels are the least sure.",
        based_on_frames=1,
        dose_e_per_nm2=2.0,
        duration_ns=5_000,
        sigma_now=0.3,
        sigma_expected=0.2,
        expires_unix_ns=OPENED_UNIX_NS + 10**9,
    )
    second = Proposal(
        **{name: getattr(first, name) for name in first.__struct_fields__}
        | {"proposal_id": 2, "dose_e_per_nm2": float("nan")}
    )
    answer = Executed(
        session_id=hello.session_id, proposal_id=1, status=ExecutedStatus.ACCEPTED, plan_id=1, reason="run at once"
    )
    enough = Enough(
        session_id=hello.session_id,
        code="target",
        reason="Sure enough.",
        based_on_frames=2,
        passes=2,
        sigma_now=0.1,
        sigma_of_range=0.01,
        dose_e_per_nm2=4.0,
    )
    return [first, answer, second, enough]
