"""Messages between processes over a unix socket."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import zmq

from scanmend.errors import ConfigurationError, InvalidInput, NotConnected, OversizeMessage
from scanmend.ipc import PEER_GONE, Doorbell, Listener, Sent


@pytest.fixture
def ends(tmp_path: Path):
    with Listener(tmp_path / "bell") as listener, Doorbell.connect(listener.path) as there:
        here = listener.accept()
        assert here is not None
        with here:
            yield here, there


def test_messages_arrive_whole_in_order_and_both_ways(ends):
    here, there = ends
    assert here.receive() is None
    for message in (b"a", b"bc", b"d" * 65536):
        assert there.send(message) is Sent.SENT
    assert [here.receive() for _ in range(4)] == [b"a", b"bc", b"d" * 65536, None]
    assert here.send(b"back") is Sent.SENT and there.receive() == b"back"
    assert here.peer_pid == os.getpid()


def test_the_last_words_come_before_the_end(ends):
    here, there = ends
    there.send(b"bye")
    there.close()
    there.close()
    assert here.receive() == b"bye"
    assert here.receive() is PEER_GONE and here.receive() is PEER_GONE
    assert here.send(b"hello?") is Sent.PEER_GONE


def test_a_peer_that_does_not_read_fills_up_and_nothing_is_lost(ends):
    here, there = ends
    sent = 0
    while there.send(sent.to_bytes(4, "little") * 250) is Sent.SENT:
        sent += 1
    assert sent > 50
    assert [int.from_bytes(here.receive()[:4], "little") for _ in range(sent)] == list(range(sent))
    assert here.receive() is None
    assert there.send(b"again") is Sent.SENT


def test_limits(ends, tmp_path: Path):
    here, there = ends
    with pytest.raises(OversizeMessage):
        there.send(bytes(65537))
    with pytest.raises(InvalidInput):
        there.send(b"")
    there._socket.send(bytes(70_000))
    with pytest.raises(OversizeMessage):
        here.receive()
    with pytest.raises(NotConnected):
        Doorbell.connect(tmp_path / "nobody", timeout_s=0.05)
    with pytest.raises(ConfigurationError):
        Listener(tmp_path / ("x" * 110))
    with pytest.raises(ConfigurationError):
        Listener(tmp_path / "bell")


def test_the_path_is_private_and_goes_with_the_listener(tmp_path: Path):
    listener = Listener(tmp_path / "bell")
    assert listener.path.stat().st_mode & 0o777 == 0o600
    assert listener.accept() is None and listener.fileno() == listener.fd >= 0
    listener.close()
    listener.close()
    assert not listener.path.exists() and listener.fd == -1


def test_works_in_a_zmq_poller_and_tells_of_a_killed_peer(tmp_path: Path):
    script = (
        "import sys, time; from pathlib import Path; from scanmend.ipc import Doorbell\n"
        "bell = Doorbell.connect(Path(sys.argv[1])); bell.send(b'up'); time.sleep(60)\n"
    )
    with Listener(tmp_path / "bell") as listener:
        child = subprocess.Popen([sys.executable, "-c", script, str(listener.path)])
        try:
            poller = zmq.Poller()
            poller.register(listener, zmq.POLLIN)
            assert poller.poll(30_000)
            bell = listener.accept()
            assert bell is not None and bell.peer_pid == child.pid
            with bell:
                poller.register(bell, zmq.POLLIN)
                assert poller.poll(30_000) and bell.receive() == b"up"
                child.send_signal(signal.SIGKILL)
                assert poller.poll(5_000) and bell.receive() is PEER_GONE
        finally:
            child.kill()
            child.wait()


def test_a_reset_connection_counts_as_gone(tmp_path: Path):
    """Closing with unread messages resets the connection instead of ending it."""
    one, two = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with Doorbell(one) as here:
        here.send(b"unread")
        two.close()
        assert here.receive() is PEER_GONE
