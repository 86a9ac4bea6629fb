"""The rebuild of an exposure from a journal that goes on growing, or that a failing disk has cut short."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engine_process import frame_header
from test_session import RASTER, SAMPLES, Bench

from scanmend.engine.rebuild import rebuild
from scanmend.ipc.engine_link import RebuildSkip
from scanmend.record import EntryKind, JournalWriter, create_journal, session_path
from scanmend.wire.messages import Mode, Plan, encode


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[JournalWriter]:
    """With the session's HELLO and its plan, two entries."""
    made = create_journal(tmp_path, "s", 1)
    made.append(EntryKind.SESSION, 0, [b"HELLO"])
    made.append(EntryKind.PLAN, 0, [encode(Plan(session_id=1, plan_id=0, plan=RASTER))])
    yield made
    made.close()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Callable[..., Bench]]:
    made: list[Bench] = []

    def make(**more: Any) -> Bench:
        made.append(Bench(tmp_path, None, mode=Mode.EXPOSURE, **more))
        return made[-1]

    yield make
    for one in made:
        one.close()


def record(journal: JournalWriter, *seqs: int) -> None:
    samples = SAMPLES.reshape(1, -1)
    for seq in seqs:
        journal.append(EntryKind.FRAME, seq, [frame_header(seq, samples).pack(), samples.tobytes()])
    journal.flush()


def test_what_is_recorded_after_the_engine_was_told_is_added_once(
    tmp_path: Path, journal: JournalWriter, bench: Callable[..., Bench]
) -> None:
    record(journal, 0, 1, 2)
    skip = RebuildSkip(seqs=[2], from_index=journal.next_index)
    record(journal, 3, 4)  # while the engine rebuilds another session
    one = bench()
    found = rebuild(one.session, session_path(tmp_path, "s"), skip, lambda: None)
    assert found.last is not None
    assert (found.frames, found.last.seq, found.problems) == (2, 1, ())
    done = [one.frame(seq, SAMPLES) for seq in (2, 3, 4)]
    assert [each.frames_included for each in done] == [3, 4, 5]
    np.testing.assert_array_equal(one.session.ledger.dwell_ns, 5 * 1000)


def test_what_is_not_there_is_told_of(tmp_path: Path, journal: JournalWriter, bench: Callable[..., Bench]) -> None:
    record(journal, 0, 1)
    skip = RebuildSkip(from_index=journal.next_index + 1)
    found = rebuild(bench().session, session_path(tmp_path, "s"), skip, lambda: None)
    assert (found.frames, found.problems) == (2, ("entries 4 to 4 are not there",))
