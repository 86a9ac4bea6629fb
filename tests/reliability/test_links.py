"""Bad links and bad neighbours: what was sent arrives once, and nobody else is slowed down."""

from __future__ import annotations

import random
import socket
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import xxhash
from test_kills import pictures, recorded

from chaos_proxy import ChaosProxy
from running import RunningService, wait_for
from scanmend.client import Client, Session
from scanmend.field import Channel, Field

FIELD = Field(shape=(128, 128), pixel_size_nm=1.0, beam_current_pa=10.0)


class Stream(threading.Thread):
    """Sends pictures until told to stop, and ends the session."""

    def __init__(self, address: str, name: str) -> None:
        super().__init__(daemon=True)
        self._address, self._name = address, name
        self._stop_asked = threading.Event()
        self.session: Session | None = None
        self.sent: list[int] = []
        self.error: BaseException | None = None

    @property
    def durable(self) -> int:
        return 0 if self.session is None else self.session.stats.durable_upto

    def run(self) -> None:
        try:
            with Client(self._address, timeout_s=5.0) as client:
                options = {"channels": [Channel(name="HAADF")], "hold_timeout_s": 30.0}
                with client.session(self._name, FIELD, **options) as self.session:
                    for picture in pictures(1):
                        self.sent.append(xxhash.xxh3_64_intdigest(picture.tobytes()))
                        self.session.send(picture)
                        while self.session.receive(0) is not None:
                            pass
                        if self._stop_asked.is_set():
                            break
                        time.sleep(0.002)
        except BaseException as error:
            self.error = error
            raise

    def goes_on(self, frames: int = 20, timeout_s: float = 20.0) -> None:
        """Wait until so many more frames are safe."""
        goal = self.durable + frames
        wait_for(lambda: self.durable >= goal or self.error is not None, timeout_s, "the stream does not go on")

    def stall_with_frames_on_their_way(self, link: ChaosProxy) -> None:
        """Stall the link at a moment when frames were sent that the service does not have."""

        def caught() -> bool:
            assert self.session is not None
            link.stalled = True
            time.sleep(0.03)
            stats = self.session.stats
            link.stalled = stats.sent > stats.received_upto  # else it waited for credit: let it go on
            return link.stalled

        wait_for(caught, 20.0, "nothing is on its way")

    def finish(self) -> None:
        """Stop sending and wait for the receipt."""
        self._stop_asked.set()
        self.join(60)
        assert not self.is_alive() and self.error is None


def check(stream: Stream, data_dir: Path, name: str) -> None:
    """Every picture is recorded once, in order, and the account says so."""
    assert stream.session is not None
    receipt = stream.session.receipt
    assert receipt is not None
    count = len(stream.sent)
    assert (receipt.count, receipt.received, receipt.durable, receipt.gaps) == (count, count, count, 0)
    assert receipt.balanced and receipt.conflicts == 0
    assert list(recorded(data_dir, name)) == stream.sent


def test_a_link_that_is_cut_again_and_again_loses_and_doubles_nothing(tmp_path: Path) -> None:
    dice = random.Random(5)
    with RunningService(tmp_path / "data") as service, ChaosProxy(service.address) as link:
        stream = Stream(link.address, "cut")
        stream.start()
        for number in range(8):
            stream.goes_on()
            time.sleep(dice.uniform(0.0, 0.1))
            if number % 4 == 3:  # at least these cuts meet frames on their way, on the fastest machine too
                stream.stall_with_frames_on_their_way(link)
            link.down = bool(number % 2)  # every other time the link stays away for a while
            link.cut()
            link.stalled = False
            if link.down:
                time.sleep(dice.uniform(0.2, 0.8))
                link.down = False
        stream.goes_on()
        stream.finish()
        assert stream.session is not None and link.cuts >= 8
        assert stream.session.stats.reconnects + stream.session.stats.resent >= 1
        check(stream, service.data_dir, "cut")


def test_a_link_that_goes_dead_for_four_seconds_is_noticed_and_taken_up_again(tmp_path: Path) -> None:
    with RunningService(tmp_path / "data") as service, ChaosProxy(service.address) as link:
        stream = Stream(link.address, "dead")
        stream.start()
        stream.goes_on()
        assert stream.session is not None
        before = stream.session.stats
        link.stalled = True  # no reset, no end: half open
        time.sleep(4.0)
        held = stream.durable
        link.stalled = False
        stream.goes_on(timeout_s=10.0)
        assert held <= before.durable_upto + 2 * before.in_ring + 32, "frames got through a dead link"
        stream.finish()
        check(stream, service.data_dir, "dead")


def test_a_slow_link_is_only_slow(tmp_path: Path) -> None:
    with RunningService(tmp_path / "data") as service, ChaosProxy(service.address) as link:
        link.delay_s = 0.03
        stream = Stream(link.address, "slow")
        stream.start()
        stream.goes_on(60)
        stream.finish()
        assert stream.session is not None and stream.session.stats.resent == 0
        check(stream, service.data_dir, "slow")


@pytest.mark.timeout(180)
def test_a_neighbour_that_never_reads_costs_nobody_else_anything(tmp_path: Path) -> None:
    with (
        RunningService(tmp_path / "data") as service,
        ChaosProxy(service.address) as link,
        Client(link.address) as idle,
    ):
        acquire = psutil.Process(service.pid("acquire"))
        channels = [Channel(name="HAADF")]
        lazy = idle.session("lazy", FIELD, channels=channels, when_unread="drop_oldest", hold_timeout_s=0.2)
        for picture in pictures(2):
            lazy.send(picture)
            if lazy.stats.sent == 8:
                break
        link.stalled = True  # it will not read another byte, and does not go away
        stream = Stream(service.address, "good")
        stream.start()
        stream.goes_on(50)
        memory = acquire.memory_info().rss
        stream.goes_on(400, timeout_s=60.0)
        assert acquire.memory_info().rss - memory < 48 << 20
        stream.finish()
        check(stream, service.data_dir, "good")
        link.stalled = False
        assert lazy.end().gaps == 0


def test_noise_on_the_port_reaches_no_session(tmp_path: Path) -> None:
    """Bytes that are no ZeroMQ, connections that never speak, and a good stream beside them."""
    dice = np.random.default_rng(9)
    with RunningService(tmp_path / "data") as service:
        port = int(service.address.rsplit(":", 1)[1])
        stream = Stream(service.address, "beside")
        stream.start()
        stream.goes_on()
        silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(100)]
        for _ in range(200):
            with socket.create_connection(("127.0.0.1", port)) as noisy:
                try:
                    noisy.sendall(dice.bytes(int(dice.integers(1, 4096))))
                except OSError:
                    pass
        stream.goes_on(100)
        for one in silent:
            one.close()
        stream.finish()
        check(stream, service.data_dir, "beside")
