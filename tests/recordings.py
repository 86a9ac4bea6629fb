"""Recordings as the service leaves them, made without one."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import xxhash

from scanmend.acquire.closing import account
from scanmend.acquire.ledger import Ledger
from scanmend.acquire.operator_part import OperatorPart
from scanmend.acquire.recordings import Resumed
from scanmend.acquire.session import EndAsked
from scanmend.field import Channel, Field
from scanmend.plan import ScanPlan
from scanmend.record import (
    EntryKind,
    JournalSettings,
    JournalWriter,
    ModelNote,
    create_journal,
    write_note,
    write_receipt,
)
from scanmend.wire.header import FrameFlag, FrameHeader, xxh3
from scanmend.wire.messages import Hello, Plan, Receipt, encode

FIELD = Field(shape=(16, 16), pixel_size_nm=2.0, beam_current_pa=10.0, beam_energy_kev=200.0)
PLAN = ScanPlan.raster(FIELD.shape, 1000)
BEGAN_NS = 1_750_000_000_000_000_000
SECOND_NS = 1_000_000_000
SMALL = JournalSettings(segment_bytes=1 << 17)


@dataclasses.dataclass
class Recorded:
    """What was put into a recording."""

    path: Path
    hello: Hello
    journal: JournalWriter
    ledger: Ledger
    samples: dict[int, np.ndarray] = dataclasses.field(default_factory=dict)

    def send(self, seq: int, *, acquired_unix_ns: int | None = None, plan_id: int = 0) -> None:
        """A whole raster, as one frame."""
        samples = np.random.default_rng(seq).poisson(20, (1, FIELD.pixels)).astype("<u2")
        payload = samples.tobytes()
        header = FrameHeader(
            session_id=self.hello.session_id,
            seq=seq,
            plan_id=plan_id,
            pass_index=seq,
            first_point=0,
            points=FIELD.pixels,
            channels=1,
            dtype="uint16",
            flags=FrameFlag.END_OF_PASS,
            acquired_unix_ns=BEGAN_NS + seq * SECOND_NS if acquired_unix_ns is None else acquired_unix_ns,
            payload_bytes=len(payload),
            payload_xxh3=xxh3(payload),
        )
        self.journal.append(EntryKind.FRAME, seq, [header.pack(), payload])
        self.ledger.take(seq, header.payload_xxh3)
        self.ledger.dropped["superseded"] += 1
        self.samples[seq] = samples

    def receipt(self, count: int | None = None) -> Receipt:
        """The account of what was sent."""
        for seq in self.samples:
            self.ledger.make_durable(seq)
        count = self.ledger.highest if count is None else count
        end = EndAsked(count=count, dropped=0, checksum=self.ledger.checksum(count), reason="finished", asked_mono_ns=0)
        dose = FIELD.dose_e_per_nm2(PLAN.total_dwell_ns * len(self.samples))
        return account(
            Resumed(
                hello=self.hello,
                opened_unix_ns=BEGAN_NS,
                journal=self.journal,
                ledger=self.ledger,
                plans={},
                passes=0,
                operator=OperatorPart.of(self.hello),
                proposals={},
                proposals_made=0,
                proposal_owed=False,
                enough=None,
                executed={},
                damage="",
                end=end,
                dose_e_per_nm2=dose,
                dose_max_e_per_nm2=dose,
            )
        )

    def end(self, data_dir: Path, *, count: int | None = None) -> Receipt:
        """Close it as the service does."""
        receipt = self.receipt(count)
        self.journal.append(EntryKind.RECEIPT, receipt.count, [encode(receipt)])
        self.journal.close()
        write_receipt(data_dir, receipt)
        return receipt


def begin(data_dir: Path, name: str, *, began_ns: int = BEGAN_NS, **options: object) -> Recorded:
    """Open a recording; options change its HELLO."""
    hello = Hello(
        session=name,
        session_id=xxhash.xxh3_64_intdigest(name.encode()) >> 1 | 1,
        client="test bench",
        field=FIELD,
        channels=(Channel(name="SE"),),
    )
    hello = msgspec.structs.replace(hello, **options)
    journal = create_journal(data_dir, name, hello.session_id, settings=SMALL)
    journal.append(EntryKind.SESSION, began_ns, [encode(hello)])
    journal.append(EntryKind.PLAN, 0, [encode(Plan(session_id=hello.session_id, plan_id=0, plan=PLAN))])
    journal.append(
        EntryKind.NOTE, 0, [write_note(ModelNote(name="pushpull", sha256="ab" * 32, provider="CPUExecutionProvider"))]
    )
    return Recorded(data_dir / "sessions" / name, hello, journal, Ledger())


def record(
    data_dir: Path,
    name: str,
    seqs: Sequence[int] = range(5),
    *,
    ended: bool = True,
    began_ns: int = BEGAN_NS,
    **options: object,
) -> Path:
    """A whole recording; gives its folder."""
    recorded = begin(data_dir, name, began_ns=began_ns, **options)
    for seq in seqs:
        recorded.send(seq)
    if ended:
        recorded.end(data_dir)
    else:
        recorded.journal.close()
    return recorded.path
