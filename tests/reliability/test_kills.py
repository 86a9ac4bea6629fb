"""Processes die in the middle of a stream: nothing that was acknowledged as durable is lost."""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import xxhash

from running import RunningService, wait_for
from scanmend.client import Client
from scanmend.field import Channel, Field
from scanmend.record import EntryKind, scan, session_path
from scanmend.wire.header import FrameHeader

FIELD = Field(shape=(128, 128), pixel_size_nm=1.0, beam_current_pa=10.0)
KILLS = 20


class Killer(threading.Thread):
    """Kills one process again and again at random times, each time in a stream that has got going again."""

    def __init__(self, service: RunningService, name: str, kills: int, seed: int) -> None:
        super().__init__(daemon=True)
        self.service, self.name_, self.left, self.random = service, name, kills, random.Random(seed)
        self.error: BaseException | None = None
        self.killed = 0
        self.durable = 0
        """How far the stream has got; the test's own thread keeps it up to date."""

    def run(self) -> None:
        try:
            while self.left:
                goal = self.durable + 20
                wait_for(lambda goal=goal: self.durable >= goal, 30.0, "the stream does not go on")  # type: ignore[misc]
                time.sleep(self.random.uniform(0.0, 0.3))
                pid = self.service.kill(self.name_)
                self.killed += 1
                self.left -= 1
                self.service.wait_restarted(self.name_, pid)
        except BaseException as error:
            self.error = error
            raise


def pictures(seed: int) -> Iterator[np.ndarray]:
    rng = np.random.default_rng(seed)
    base = rng.poisson(20, FIELD.shape).astype(np.uint16)
    for n in itertools.count():
        yield np.roll(base, n, axis=1) + np.uint16(n % 1000)


@pytest.mark.timeout(300)
def test_acquire_is_killed_twenty_times_and_no_frame_is_missing(tmp_path: Path) -> None:
    # Five restarts within 60 s are the supervisor's limit, so the kills are spread over four services, one data folder
    # and one session each.
    killed = 0
    for round_ in range(KILLS // 5):
        data_dir = tmp_path / f"data-{round_}"
        with RunningService(data_dir) as service:
            killer = Killer(service, "acquire", 5, seed=round_)
            sent: list[int] = []
            with Client(service.address) as client:
                with client.session("killed", FIELD, channels=[Channel(name="HAADF")], hold_timeout_s=30.0) as session:
                    killer.start()
                    for picture in pictures(round_):
                        sent.append(xxhash.xxh3_64_intdigest(picture.tobytes()))
                        session.send(picture)
                        while session.receive(0) is not None:
                            pass
                        killer.durable = session.stats.durable_upto
                        if not killer.is_alive():
                            break
                        time.sleep(0.002)
                    killer.join()
                    assert killer.error is None
            receipt = session.receipt
            assert receipt is not None
            assert (receipt.count, receipt.gaps, receipt.durable) == (len(sent), 0, len(sent))
            assert receipt.balanced and receipt.checksum_matches
            killed += killer.killed
        assert list(recorded(data_dir, "killed")) == sent
    assert killed == KILLS


def recorded(data_dir: Path, name: str) -> Iterator[int]:
    """xxh3 of each recorded frame's samples, in the order of their numbers; each number once."""
    found: dict[int, int] = {}
    with scan(session_path(data_dir, name)) as entries:
        for entry in entries:
            if entry.kind is EntryKind.FRAME:
                head, payload = entries.body(entry)
                header = FrameHeader.unpack(bytes(head), max_payload_bytes=1 << 30)
                assert header.seq not in found, "a frame stands in the record twice"
                found[header.seq] = xxhash.xxh3_64_intdigest(payload)
        assert entries.report.entries_lost == 0
    assert sorted(found) == list(range(len(found)))
    for seq in range(len(found)):
        yield found[seq]


@pytest.mark.parametrize("name", ["engine", "web"])
def test_the_death_of_engine_or_web_loses_no_frame(tmp_path: Path, name: str) -> None:
    with RunningService(tmp_path / "data") as service:
        with Client(service.address) as client:
            with client.session("goes-on", FIELD, channels=[Channel(name="HAADF")], hold_timeout_s=30.0) as session:
                answered = restored_after = 0
                count = 0
                killed_pid = 0
                deadline = time.monotonic() + 60
                for count, picture in enumerate(pictures(7), start=1):
                    session.send(picture)
                    if count == 40:
                        killed_pid = service.kill(name)
                    while (restored := session.receive(0)) is not None:
                        answered += 1
                        restored_after += restored.restored and count > 60
                    if restored_after >= 20 and count > 100:
                        break
                    assert time.monotonic() < deadline, "nothing is restored after the kill"
                    time.sleep(0.005)
                service.wait_restarted(name, killed_pid)
                for _ in session:
                    answered += 1
                    if answered == count:
                        break
        receipt = session.receipt
        assert receipt is not None and receipt.balanced
        assert (receipt.count, receipt.durable, receipt.gaps) == (count, count, 0)
        assert receipt.restored_out + sum(receipt.passed_through.values()) == count
        if name == "web":
            assert receipt.passed_through == {}
