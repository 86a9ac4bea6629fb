"""What a replay sends, in which order and when."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from recordings import BEGAN_NS, FIELD, SECOND_NS, begin, record
from scanmend.errors import DamagedRecording, InvalidInput, RecordingError
from scanmend.plan import ScanPlan
from scanmend.record import EntryKind
from scanmend.sessions.recording import Recording, Shot
from scanmend.sessions.replay import hello_of
from scanmend.wire.messages import Plan, encode


def test_frames_go_in_order_each_behind_its_plan(tmp_path: Path) -> None:
    recorded = begin(tmp_path, "mixed")
    order = list(range(1, 12))
    random.Random(4).shuffle(order)
    recorded.send(0)
    for plan_id in (3, 7):
        plan = Plan(session_id=recorded.hello.session_id, plan_id=plan_id, plan=ScanPlan.raster(FIELD.shape, plan_id))
        recorded.journal.append(EntryKind.PLAN, plan_id, [encode(plan)])
    for seq in order:
        recorded.send(seq, plan_id=(0, 3, 7)[seq % 3])
    recorded.journal.append(EntryKind.PLAN, 9, [encode(Plan(session_id=1, plan_id=9, plan=plan.plan))])
    recorded.journal.close()
    with Recording(recorded.path) as recording:
        steps = list(recording.steps())
        shots = [step for step in steps if isinstance(step, Shot)]
        assert [shot.header.seq for shot in shots] == list(range(12))
        told = [step.plan_id for step in steps if isinstance(step, Plan)]
        assert sorted(told) == [0, 3, 7], "each once, and none that no frame follows"
        for at, step in enumerate(steps):
            if isinstance(step, Shot):
                before = [each.plan_id for each in steps[:at] if isinstance(each, Plan)]
                assert step.header.plan_id in before
        for shot in shots:
            payload = recording.payload(shot)
            assert payload is not None and bytes(payload) == recorded.samples[shot.header.seq].tobytes()


def test_times_are_those_of_the_scan_or_of_the_recording(tmp_path: Path) -> None:
    with Recording(record(tmp_path, "scanned", (0, 1, 5))) as recording:
        assert [shot.after_s for shot in recording.shots] == [0.0, 1.0, 5.0]
    for name, times in (("without", (0, 0, 0)), ("backwards", (5, 4, 6))):
        recorded = begin(tmp_path, name)
        for seq, at in enumerate(times):
            recorded.send(seq, acquired_unix_ns=at and BEGAN_NS + at * SECOND_NS)
        recorded.journal.close()
        with Recording(recorded.path) as recording:
            after = [shot.after_s for shot in recording.shots]
        assert after[0] == 0.0 and sorted(after) == after and after[-1] < 1.0, name


def test_damaged_frames_are_left_out_and_counted(tmp_path: Path) -> None:
    path = record(tmp_path, "hurt", range(4))
    segment = path / "journal-000000.smj"
    data = bytearray(segment.read_bytes())
    at = data.index(b"SMFR")
    data[at + 80 + 100] ^= 1  # a sample of the first frame
    at = data.index(b"SMFR", at + 1)
    data[at + 20] ^= 1  # the wire header of the second
    segment.write_bytes(data)
    with Recording(path) as recording:
        assert [shot.header.seq for shot in recording.shots] == [0, 2, 3] and recording.unreadable == 1
        assert [recording.payload(shot) is None for shot in recording.shots] == [True, False, False]
        assert recording.unreadable == 2


def test_what_cannot_be_replayed_says_so(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="no frames"):
        Recording(record(tmp_path, "empty", (), ended=False))
    path = record(tmp_path, "headless")
    data = bytearray((path / "journal-000000.smj").read_bytes())
    data[4096:4160] = bytes(64)
    (path / "journal-000000.smj").write_bytes(data)
    with pytest.raises(DamagedRecording, match="opening"):
        Recording(path)


def test_the_new_session_asks_for_what_the_old_one_did(tmp_path: Path) -> None:
    path = record(tmp_path, "old", model="auto", deadline_ms=50, held_from=7, rescan="variance", mode="exposure")
    with Recording(path) as recording:
        hello = hello_of(recording, "new", None)
        assert (hello.session, hello.model, hello.rescan, hello.mode) == ("new", "auto", "variance", "exposure")
        assert hello.session_id not in (0, recording.hello.session_id)
        assert (hello.deadline_ms, hello.held_from) == (0, 0)
        assert (hello.field, hello.channels) == (recording.hello.field, recording.hello.channels)
        assert hello.client == "replay of old, test bench"
        assert hello_of(recording, "new", "pushpull").model == "pushpull"
        with pytest.raises(InvalidInput):
            hello_of(recording, "../new", None)
