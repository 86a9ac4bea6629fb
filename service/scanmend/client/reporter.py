"""Reports what concerns no session: above all an instrument that is not there."""

from __future__ import annotations

import contextlib
import time
from typing import Literal

import zmq

from scanmend._version import __version__
from scanmend.client.problems import ProblemBook
from scanmend.errors import InvalidInput, ProtocolError
from scanmend.wire.messages import MAX_CONTROL_BYTES, Nack, NackCode, decode_service
from scanmend.wire.sockets import HEADER_ROOM_BYTES, check_libzmq, configure_dealer

REPEAT_S = 2.0
"""Least time between two messages about one kind of problem that say the same."""

QUIET_S = 60.0
"""A service that does not know PROBLEM is left alone for so long."""

QUEUED = 16
"""Messages kept while the service is not there; the newest of a kind counts, so that old ones do no harm."""

LINGER_MS = 200


class Reporter:
    """A connection of its own that carries nothing but problems; it never waits.

    Args:
        context: The ZeroMQ context.
        address: The service's.
        program: What the client is, for people.
    """

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], address: str, program: str = "") -> None:
        self._context, self._address = context, address
        self._book = ProblemBook(0, (program or f"scanmend-python {__version__}")[:64])
        self._socket: zmq.Socket[bytes] | None = None
        self._told_s: dict[str, float] = {}
        """When each kind was told last."""
        self._quiet_until_s = 0.0

    def report(self, code: str, text: str, *, mend: str, level: str, points: int, stands: bool) -> None:
        """Tell a problem, unless the same was told a moment ago.

        Raises:
            InvalidInput: As `ProblemBook.report`, or the address cannot be one.
        """
        now_s = time.monotonic()
        code = self._book.report(code, text, mend=mend, level=level, points=points, stands=stands)
        if now_s - self._told_s.get(code, float("-inf")) >= REPEAT_S:
            self._told_s[code] = now_s
            self._send()

    def clear(self, code: str) -> None:
        """Tell that a problem is over, where it was told."""
        if self._told_s.pop(code, None) is not None:
            self._book.clear(code)
            self._send()

    def close(self) -> None:
        """Close the connection; what was said a moment ago is still sent."""
        if self._socket is not None:
            self._socket.close(LINGER_MS)
            self._socket = None

    def _send(self) -> None:
        now_s = time.monotonic()
        socket = self._open()
        self._read(socket, now_s)
        while now_s >= self._quiet_until_s and (data := self._book.due(now_s, hurry=True)) is not None:
            try:
                socket.send(data, zmq.DONTWAIT)
            except zmq.Again:
                return  # it stays untold, and goes with the next one
            self._book.sent(now_s)

    def _open(self) -> zmq.Socket[bytes]:
        if self._socket is not None:
            return self._socket
        check_libzmq()
        socket = self._context.socket(zmq.DEALER)
        configure_dealer(socket, max_part_bytes=MAX_CONTROL_BYTES + HEADER_ROOM_BYTES)
        # Unlike a session's, these wait in the socket for the service: nobody is here later to send them.
        socket.setsockopt(zmq.IMMEDIATE, 0)
        socket.setsockopt(zmq.SNDHWM, QUEUED)
        try:
            socket.connect(self._address)
        except zmq.ZMQError as error:
            socket.close(0)
            raise InvalidInput(
                f"{self._address!r} is not an address: {error}.", mend="Give one like tcp://127.0.0.1:7501."
            ) from error
        self._socket = socket
        return socket

    def _read(self, socket: zmq.Socket[bytes], now_s: float) -> None:
        """An old service answers that it does not know the message."""
        with contextlib.suppress(zmq.Again, ProtocolError):
            while True:
                answer = decode_service(socket.recv(zmq.DONTWAIT))
                if isinstance(answer, Nack) and answer.code == NackCode.MALFORMED:
                    self._quiet_until_s = now_s + QUIET_S


class Reporting:
    """What both clients can say of problems that belong to no session."""

    _reporter: Reporter

    def report_problem(
        self,
        code: str,
        text: str,
        *,
        mend: str = "",
        level: Literal["warning", "error"] = "warning",
        points: int = 0,
        stands: bool = False,
    ) -> None:
        """Have the service show a problem that belongs to no session: an instrument that cannot be reached.

        It never waits. One that stands is shown for ten seconds after it was reported last, so report it again while
        it holds; else it is shown for a minute. For the arguments see `Session.report_problem`.

        Raises:
            InvalidInput: The code or the level cannot be, or there is no text.
        """
        self._reporter.report(code, text, mend=mend, level=level, points=points, stands=stands)

    def clear_problem(self, code: str) -> None:
        """A problem that was reported without a session is over."""
        self._reporter.clear(code)
