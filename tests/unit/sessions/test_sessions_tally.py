"""The count of a journal goes on where it stopped, and comes to the same as a count of all."""

from __future__ import annotations

from pathlib import Path

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from recordings import FIELD, PLAN, begin, record
from scanmend.plan import ScanPlan
from scanmend.record import EntryKind
from scanmend.sessions.tally import Tally, add_number, count
from scanmend.wire.messages import Plan, encode


@given(st.lists(st.integers(0, 30), max_size=60))
def test_ranges_hold_the_numbers_that_were_put_in(numbers: list[int]) -> None:
    ranges: list[tuple[int, int]] = []
    seen: set[int] = set()
    for number in numbers:
        assert add_number(ranges, number) is (number not in seen)
        seen.add(number)
    assert [n for first, last in ranges for n in range(first, last)] == sorted(seen)
    assert all(a[1] < b[0] for a, b in zip(ranges, ranges[1:], strict=False))


def test_a_journal_is_counted_while_it_grows(tmp_path: Path) -> None:
    recorded = begin(tmp_path, "grows")
    packed = msgspec.msgpack.encode(Tally())
    for seq in range(700):  # several segments
        recorded.send(seq)
        if seq % 50 == 0:
            recorded.journal.flush()
            tally = count(recorded.path, msgspec.msgpack.decode(packed, type=Tally))
            assert (tally.frames, tally.seqs, tally.entries_lost) == (seq + 1, [(0, seq + 1)], 0)
            packed = msgspec.msgpack.encode(tally)
    recorded.end(tmp_path)
    assert len(list(recorded.path.glob("journal-*.smj"))) > 2
    grown, whole = count(recorded.path, msgspec.msgpack.decode(packed, type=Tally)), count(recorded.path)
    assert grown == whole
    assert (whole.frames, whole.passes, whole.payload_bytes) == (700, 700, 700 * FIELD.pixels * 2)
    assert whole.account is not None and whole.account.count == 700
    assert [note.name for note in whole.models] == ["pushpull"]
    assert whole.dwell_ns == 700 * PLAN.total_dwell_ns


def test_gaps_and_repeats_are_told_apart(tmp_path: Path) -> None:
    recorded = begin(tmp_path, "gaps")
    for seq in (0, 1, 4, 3, 4, 8):
        recorded.send(seq) if seq not in recorded.samples else recorded.journal.append(
            EntryKind.FRAME, seq, [b"not a header"]
        )
    recorded.journal.close()
    tally = count(recorded.path)
    assert tally.seqs == [(0, 2), (3, 5), (8, 9)] and tally.missing == [(2, 3), (5, 8)]
    assert (tally.frames, tally.highest, tally.unreadable) == (5, 9, 1)


def test_a_plan_with_a_dwell_for_each_point_counts_with_its_sum(tmp_path: Path) -> None:
    recorded = begin(tmp_path, "dwells")
    plan = ScanPlan.raster(FIELD.shape, [100 + n for n in range(FIELD.pixels)])
    recorded.journal.append(
        EntryKind.PLAN, 1, [encode(Plan(session_id=recorded.hello.session_id, plan_id=1, plan=plan))]
    )
    recorded.send(0, plan_id=1)
    recorded.journal.close()
    assert count(recorded.path).dwell_ns == plan.total_dwell_ns


def test_lost_entries_show_by_their_indexes(tmp_path: Path) -> None:
    path = record(tmp_path, "lost", range(20))
    segment = path / "journal-000000.smj"
    data = bytearray(segment.read_bytes())
    at = data.index(b"SMJE", data.index(b"SMFR") + 4)  # the second frame's entry
    data[at : at + 64] = bytes(64)
    segment.write_bytes(data)
    tally = count(path)
    assert (tally.entries_lost, tally.frames, tally.missing) == (1, 19, [(1, 2)])
