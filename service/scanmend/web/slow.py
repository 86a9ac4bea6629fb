"""Server protocols that do not wait for ever: uvicorn's own close no slow client.

- A request must be complete `RECEIVE_S` after its first byte (or after the connection, for the first one).
- A client that does not read its answer for `WRITE_S` is cut off.
- Of more than `MAX_CONNECTIONS`, the one that has waited longest for its request is cut off, so that slow clients
  push out each other and not the good one.
- At most `MAX_SOCKETS_PER_IP` live sockets from one address.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

log = logging.getLogger(__name__)

RECEIVE_S = 10.0
WRITE_S = 10.0
MAX_CONNECTIONS = 400
MAX_SOCKETS_PER_IP = 16

_sockets_by_ip: Counter[str] = Counter()
_waiting: dict[DeadlineHttp, None] = {}
"""HTTP connections without a complete request, oldest first. One server runs in a process."""


class DeadlineHttp(H11Protocol):
    """HTTP with a deadline for requests and for the reading of answers."""

    _receive_timer: asyncio.TimerHandle | None = None
    _write_timer: asyncio.TimerHandle | None = None
    _upgraded = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._await_request()
        if len(self.connections) > MAX_CONNECTIONS and _waiting:
            next(iter(_waiting)).cut("the longest wait among too many connections")

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timers."""
        self._request_complete()
        self._cancel_write()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes, and see whether the request is complete."""
        super().data_received(data)
        self._look()

    def on_response_complete(self) -> None:
        """See whether a next request has begun already."""
        super().on_response_complete()
        self._look()

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """Hand over to the WebSocket, if its address has not too many."""
        self._upgraded = True  # h11 still waits for the end of this request, and never sees it
        self._request_complete()
        self._cancel_write()
        ip = self.client[0] if self.client else ""
        if _sockets_by_ip[ip] >= MAX_SOCKETS_PER_IP:
            self.cut("too many live sockets from one address")
            return
        super().handle_websocket_upgrade(event)

    def pause_writing(self) -> None:
        """The client does not read."""
        super().pause_writing()
        self._write_timer = self._write_timer or self.loop.call_later(WRITE_S, self.cut, "an answer nobody reads")

    def resume_writing(self) -> None:
        """It reads again."""
        super().resume_writing()
        self._cancel_write()

    def _look(self) -> None:
        if self._upgraded or self.transport.is_closing():
            return
        if self.conn.their_state is h11.SEND_BODY or (self.conn.their_state is h11.IDLE and self.conn.trailing_data[0]):
            self._await_request()
        else:
            self._request_complete()

    def _await_request(self) -> None:
        if self._receive_timer is None:
            self._receive_timer = self.loop.call_later(RECEIVE_S, self.cut, "no complete request")
            _waiting[self] = None

    def _request_complete(self) -> None:
        if self._receive_timer is not None:
            self._receive_timer.cancel()
            self._receive_timer = None
            _waiting.pop(self, None)

    def _cancel_write(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None

    def cut(self, why: str) -> None:
        """End the connection at once."""
        log.debug("an HTTP connection was cut: %s", why)
        self._request_complete()
        self.transport.abort()


class DeadlineSocket(WebSocketsSansIOProtocol):
    """A live socket whose browser must read."""

    _write_timer: asyncio.TimerHandle | None = None
    _counted = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count it."""
        super().connection_made(transport)
        _sockets_by_ip[self._ip()] += 1
        self._counted = True

    def connection_lost(self, exc: Exception | None) -> None:
        """Count it out."""
        if self._counted:
            self._counted = False
            _sockets_by_ip[self._ip()] -= 1
        self._cancel_write()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """The browser does not read."""
        super().pause_writing()
        self._write_timer = self._write_timer or self.loop.call_later(WRITE_S, self.cut)

    def resume_writing(self) -> None:
        """It reads again."""
        super().resume_writing()
        self._cancel_write()

    def _ip(self) -> str:
        return self.client[0] if self.client else ""

    def _cancel_write(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None

    def cut(self) -> None:
        """End the connection at once."""
        log.info("a live socket was cut: its browser reads nothing")
        self.transport.abort()


def sockets_open() -> dict[str, Any]:
    """Live sockets by address, those with none left out."""
    return {ip: count for ip, count in _sockets_by_ip.items() if count > 0}
