"""The bench measures, says its figures, and leaves nothing behind; how fast is not asked in a test."""

from __future__ import annotations

from pathlib import Path

import pytest

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
