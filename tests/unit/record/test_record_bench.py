"""The bench measures, says its figures, and leaves nothing behind; how fast is not asked in a test."""

from __future__ import annotations

from pathlib import Path

import pytest

from scanmend.bench.record import FramePath
from scanmend.errors import RecordingFull
from scanmend.record import JournalSettings
from scanmend.record.bench import bench_record


def test_a_small_run(tmp_path: Path):
    settings = JournalSettings(segment_bytes=2**20, queue_bytes=2**19, batch_bytes=2**18)
    found = bench_record(tmp_path, rounds=3, frames=20, frame_bytes=50_000, settings=settings)
    assert len(found.ratios) == len(found.grouped_ratios) == 3 and min(found.ratios) > 0
    assert found.ratios[0] == found.journal_mb_per_s[0] / found.plain_mb_per_s[0]
    assert 0 < found.append_us_p50 <= found.append_us_p99 and 0 < found.durable_ms_p50 <= found.durable_ms_p99
    assert "asked for: 0.85" in found.summary() and "3 rounds of 20 frames of 0.05 MB" in found.summary()
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_nothing_either(tmp_path: Path):
    with pytest.raises(RecordingFull):
        bench_record(tmp_path, rounds=1, frames=1, settings=JournalSettings(planned_bytes=2**60))
    assert list(tmp_path.iterdir()) == []


def test_the_ways_of_frames_are_compared_turn_by_turn():
    without = ((1.0,) * 99 + (2.0,), (1.0,) * 100)
    recorded = ((1.0,) * 99 + (4.0,), (3.0,) * 100)
    path = FramePath("identity", 512, without, recorded)
    assert path.ratios == pytest.approx((1.03 / 1.01, 3.0))
    found = path.summary()
    assert found["without_ms"]["p50"] == 1.0 and found["recorded_ms"]["p50"] == 2.0
    assert found["p99_ratio"] == pytest.approx({"median": (1.03 / 1.01 + 3) / 2, "min": 1.03 / 1.01, "max": 3.0})
