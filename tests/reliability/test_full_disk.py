"""A disk that runs full in the middle of a session: it stops with an error, and the account stays whole."""

from __future__ import annotations

import errno
from pathlib import Path

import numpy as np
import pytest

from in_thread import AcquireInThread
from scanmend.client import Client
from scanmend.errors import RecordingError
from scanmend.field import Channel, Field
from scanmend.record import Disk, EntryKind, scan, session_path, writer

FIELD = Field(shape=(64, 64), pixel_size_nm=1.0)
SEGMENTS = 3


class SmallDisk(Disk):
    """Room for three segments."""

    made = 0

    def allocate(self, fd: int, size_bytes: int) -> None:
        SmallDisk.made += 1
        if SmallDisk.made > SEGMENTS:
            raise OSError(errno.ENOSPC, "No space left on device")
        super().allocate(fd, size_bytes)


def test_a_full_disk_ends_the_recording_and_is_accounted_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SmallDisk, "made", 0)
    monkeypatch.setattr(writer, "Disk", SmallDisk)
    picture = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64)
    with AcquireInThread(tmp_path / "data", segment_bytes=1 << 17) as acquire, Client(acquire.address) as client:
        session = client.session("full", FIELD, channels=[Channel(name="SE")])
        with session, pytest.raises(RecordingError) as raised:
            for n in range(1000):
                session.send(picture + np.uint16(n))
                while session.receive(0) is not None:
                    pass
        assert raised.value.mend, "it says what to do"
        receipt = session.receipt or session.end()
        problems = [problem.code for problem in acquire.status().problems]
    assert "recording_failed" in problems
    assert receipt.balanced
    assert receipt.rejected.keys() == {"recording_failed"}
    assert receipt.count == receipt.durable + receipt.rejected["recording_failed"] + receipt.gaps
    with scan(session_path(tmp_path / "data", "full")) as journal:
        recorded = [entry.seq for entry in journal if entry.kind is EntryKind.FRAME]
        assert journal.report.entries_lost == 0
    assert recorded == list(range(receipt.durable)), "the last acknowledged frame is the last one on the disk"
