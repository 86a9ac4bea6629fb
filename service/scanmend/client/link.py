"""The one place where a session touches a socket; it never waits."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import zmq

from scanmend.client.core import SessionCore, State
from scanmend.errors import InvalidInput
from scanmend.field import MAX_CHANNELS
from scanmend.wire.messages import MAX_PLAN_BYTES
from scanmend.wire.sockets import COPY_THRESHOLD_BYTES, HEADER_ROOM_BYTES, check_libzmq, configure_dealer

Message = Sequence[bytes | memoryview]
Tap = Callable[[Message], Iterable[Message]]
"""Sees each message on its way out and gives those that really go: for simulated faults and for tests."""


class Link:
    """A DEALER socket and the core that it serves.

    Args:
        context: The ZeroMQ context.
        address: The service's, for example `tcp://127.0.0.1:7501`.
        core: The session.
        tap: What alters messages on their way out, or None.

    Raises:
        InvalidInput: The address cannot be one.
    """

    def __init__(
        self, context: zmq.Context[zmq.Socket[bytes]], address: str, core: SessionCore, tap: Tap | None
    ) -> None:
        check_libzmq()
        self.core = core
        self.blocked = False
        """Whether something is due that the socket did not take."""
        self.socket = context.socket(zmq.DEALER)
        # The largest part that can come is a picture, samples passed through, or a plan.
        largest = max(MAX_PLAN_BYTES, core.hello.field.pixels * 4 * min(len(core.hello.channels), MAX_CHANNELS))
        configure_dealer(self.socket, max_part_bytes=largest + HEADER_ROOM_BYTES)
        self._tap = tap
        try:
            self.socket.connect(address)
        except zmq.ZMQError as error:
            self.socket.close(0)
            raise InvalidInput(
                f"{address!r} is not an address: {error}.", mend="Give one like tcp://127.0.0.1:7501."
            ) from error
        # Only the transport knows of a break that was mended within moments: nothing is missing then but answers.
        self._breaks = self.socket.get_monitor_socket(zmq.EVENT_DISCONNECTED)

    def turn(self) -> int:
        """Read all that came, let time pass, and send all that is due.

        Returns:
            Number of messages read.
        """
        socket, core = self.socket, self.core
        came = 0
        while int(self._breaks.get(zmq.EVENTS)) & zmq.POLLIN:
            self._breaks.recv_multipart(zmq.DONTWAIT)
            core.connection_broke()
        while int(socket.get(zmq.EVENTS)) & zmq.POLLIN:
            frames = socket.recv_multipart(zmq.DONTWAIT, copy=False)
            core.feed([frame.buffer for frame in frames])
            came += 1
        core.tick()
        while (parts := core.outgoing()) is not None:
            try:
                self._send(parts)
            except zmq.Again:
                self.blocked = True
                return came
            core.sent()
        self.blocked = False
        return came

    def _send(self, parts: Message) -> None:
        if self._tap is not None:
            for message in self._tap(parts):
                self.socket.send_multipart([bytes(part) for part in message], zmq.DONTWAIT)
        elif len(parts) == 2:
            self.socket.send(parts[0], zmq.DONTWAIT | zmq.SNDMORE)
            self.socket.send(parts[1], zmq.DONTWAIT, copy=len(parts[1]) < COPY_THRESHOLD_BYTES)
        else:
            self.socket.send(parts[0], zmq.DONTWAIT)

    def poll(self, timeout_s: float) -> None:
        """Wait until there is something to do, at most so long; the only call that waits."""
        events = zmq.POLLIN | zmq.POLLOUT if self.blocked else zmq.POLLIN
        self.socket.poll(max(1, int(timeout_s * 1000)), events)

    def close(self) -> None:
        """Close the socket; what was not sent to an open session is still sent for a second."""
        self.socket.disable_monitor()
        self._breaks.close(0)
        self.socket.close(None if self.core.state is State.OPEN else 0)
