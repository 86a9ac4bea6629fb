"""Frames of a recording in their order: large ones are read ahead by a thread, small ones when they are asked for."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from journals import Shot, hello_for, write_journal
from scanmend.export import RecordedSession
from scanmend.plan import ScanPlan
from scanmend.wire.messages import Mode

SHAPE = (256, 256)
RASTER = ScanPlan.raster(SHAPE, 1000)
PIECES = (RASTER.points, 1000, RASTER.points - 1000, RASTER.points, RASTER.points, 10, RASTER.points - 10)
"""Points of each frame: of 128 KiB, which are read ahead, and of a few."""


@pytest.fixture
def recorded(tmp_path: Path) -> tuple[Path, list[np.ndarray]]:
    rng = np.random.default_rng(4)
    shots, first, index = [], 0, 0
    for points in PIECES:
        end = first + points == RASTER.points
        samples = rng.integers(0, 1 << 16, points, np.uint16)
        shots.append(Shot(samples, pass_index=index, first_point=first, end=end))
        first, index = (0, index + 1) if end else (first + points, index)
    return write_journal(tmp_path, hello_for(SHAPE, Mode.FRAMES), {0: RASTER}, shots), [each.samples for each in shots]


def read_ahead() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("read-ahead")]


def test_frames_of_every_size_come_in_their_order(recorded: tuple[Path, list[np.ndarray]]) -> None:
    folder, samples = recorded
    with RecordedSession(folder) as session:
        frames = session.frames()
        for number, (frame, wanted) in enumerate(zip(frames, samples, strict=True)):
            assert frame.header.seq == number
            np.testing.assert_array_equal(frame.samples[0], wanted)
            assert session.plan(0) is not None, "messages are read while the thread reads"
    assert read_ahead() == []


def test_a_damaged_frame_is_left_out_and_named(recorded: tuple[Path, list[np.ndarray]]) -> None:
    folder, samples = recorded
    (segment,) = sorted(folder.glob("*.smj"))[:1]
    data = bytearray(segment.read_bytes())
    data[data.find(samples[3].tobytes()) + 500] ^= 1
    segment.write_bytes(data)
    with RecordedSession(folder) as session:
        assert [frame.header.seq for frame in session.frames()] == [0, 1, 2, 4, 5, 6]
        assert session.damaged_seqs == {3}
        assert any("frame 3" in text for text in session.problems.texts)


def test_a_reader_that_stops_on_the_way_leaves_no_thread(recorded: tuple[Path, list[np.ndarray]]) -> None:
    folder, _ = recorded
    with pytest.raises(KeyboardInterrupt), RecordedSession(folder) as session:
        for frame in session.frames():
            if frame.header.seq == 3:
                assert read_ahead() != []
                raise KeyboardInterrupt
    assert read_ahead() == []
