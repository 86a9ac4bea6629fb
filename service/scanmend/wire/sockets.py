"""ZeroMQ sockets with every limit set, because the defaults promise nothing.

Each figure's reason stands in docs/protocol.md, section Transport.
"""

from __future__ import annotations

import zmq

from scanmend.errors import ConfigurationError

HIGH_WATER_FRAMES = 32
"""Messages that a socket queues for a peer before it reports that it is full."""

HEARTBEAT_MS = 500
HEARTBEAT_TIMEOUT_MS = 1500
HANDSHAKE_MS = 1000
LINGER_MS = 1000
HEADER_ROOM_BYTES = 4096
"""Above the largest payload: nothing else that a peer may send as one part is larger, plans excepted."""

COPY_THRESHOLD_BYTES = 65_536
"""From this size on a message part is handed to ZeroMQ without a copy."""

_OLDEST_LIBZMQ = (4, 3, 5)


def check_libzmq() -> None:
    """Refuse a libzmq with known holes (CVE-2019-6250, CVE-2019-13132, CVE-2020-15166 and later advisories).

    Raises:
        ConfigurationError: It is older than 4.3.5.
    """
    if zmq.zmq_version_info() < _OLDEST_LIBZMQ:
        raise ConfigurationError(
            f"libzmq {zmq.zmq_version()} has known security holes.",
            mend="Install pyzmq 26.2 or newer: pip install -U pyzmq",
        )


def _common(socket: zmq.Socket[bytes], max_part_bytes: int) -> None:
    socket.setsockopt(zmq.SNDHWM, HIGH_WATER_FRAMES)
    socket.setsockopt(zmq.RCVHWM, HIGH_WATER_FRAMES)
    socket.setsockopt(zmq.MAXMSGSIZE, max_part_bytes)
    socket.setsockopt(zmq.LINGER, LINGER_MS)
    socket.setsockopt(zmq.HEARTBEAT_IVL, HEARTBEAT_MS)
    socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT_MS)
    socket.setsockopt(zmq.HANDSHAKE_IVL, HANDSHAKE_MS)


def configure_router(socket: zmq.Socket[bytes], *, max_part_bytes: int) -> None:
    """Set the options of the service's socket; call it before `bind`.

    Args:
        socket: A ROUTER.
        max_part_bytes: Largest message part that a peer may send; libzmq cuts off who sends a larger one.
    """
    _common(socket, max_part_bytes)
    # A peer that has gone is an error when something is sent to it, not a message lost in silence.
    socket.setsockopt(zmq.ROUTER_MANDATORY, 1)


def configure_dealer(socket: zmq.Socket[bytes], *, max_part_bytes: int) -> None:
    """Set the options of a client's socket; call it before `connect`.

    Args:
        socket: A DEALER.
        max_part_bytes: Largest message part that the service may send.
    """
    _common(socket, max_part_bytes)
    # Nothing is queued for a service that is not there: what was not sent stays in the client's ring.
    socket.setsockopt(zmq.IMMEDIATE, 1)
    socket.setsockopt(zmq.RECONNECT_IVL, 50)
    socket.setsockopt(zmq.RECONNECT_IVL_MAX, 1000)
