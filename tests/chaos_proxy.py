"""A TCP link that can be cut, stalled and slowed, between a client and a service on loopback."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections import deque
from types import TracebackType
from typing import Self

CHUNK = 1 << 16


class _Way:
    """One direction of one connection."""

    def __init__(self, source: socket.socket, target: socket.socket) -> None:
        self.source, self.target = source, target
        self.waiting: deque[tuple[float, bytes]] = deque()

    @property
    def bytes_waiting(self) -> int:
        return sum(len(data) for _, data in self.waiting)


class ChaosProxy(threading.Thread):
    """Forwards connections to a service.

    Args:
        address: Of the service, `tcp://127.0.0.1:PORT`.
    """

    def __init__(self, address: str) -> None:
        super().__init__(daemon=True, name="chaos-proxy")
        self._upstream = ("127.0.0.1", int(address.rsplit(":", 1)[1]))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setblocking(False)
        self.address = f"tcp://127.0.0.1:{self._listener.getsockname()[1]}"
        self.delay_s = 0.0
        """How long each piece is held back."""
        self.stalled = False
        """Whether bytes are held back for good; the connections stay open, as behind a router that forgot them."""
        self.down = False
        """Whether connections are reset as soon as they are made."""
        self.cuts = 0
        """Connections that were reset in the middle."""
        self._ways: list[_Way] = []
        self._lock = threading.Lock()
        self._over = threading.Event()

    def cut(self) -> None:
        """Reset all connections, wherever in a message they are."""
        with self._lock:
            for way in self._ways[::2]:
                for end in (way.source, way.target):
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    end.close()
                self.cuts += 1
            self._ways.clear()

    def run(self) -> None:
        while not self._over.is_set():
            self._accept()
            with self._lock:
                moved = any([self._move(way) for way in list(self._ways)])
            if not moved:
                time.sleep(0.001)

    def _accept(self) -> None:
        try:
            near, _ = self._listener.accept()
        except BlockingIOError:
            return
        if self.down:
            near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            near.close()
            return
        try:
            far = socket.create_connection(self._upstream)
        except OSError:
            near.close()
            return
        for end in (near, far):
            end.setblocking(False)
        with self._lock:
            self._ways += [_Way(near, far), _Way(far, near)]

    def _move(self, way: _Way) -> bool:
        if self.stalled:
            return False
        moved = False
        try:
            if way.bytes_waiting < 16 * CHUNK:
                data = way.source.recv(CHUNK)
                if not data:
                    self._drop(way)
                    return True
                way.waiting.append((time.monotonic() + self.delay_s, data))
                moved = True
        except BlockingIOError:
            pass
        except OSError:
            self._drop(way)
            return True
        try:
            while way.waiting and way.waiting[0][0] <= time.monotonic():
                due, data = way.waiting.popleft()
                sent = way.target.send(data)
                if sent < len(data):
                    way.waiting.appendleft((due, data[sent:]))
                moved = True
        except BlockingIOError:
            way.waiting.appendleft((due, data))
        except OSError:
            self._drop(way)
        return moved

    def _drop(self, way: _Way) -> None:
        pair = {way.source, way.target}
        self._ways = [other for other in self._ways if {other.source, other.target} != pair]
        for end in pair:
            end.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self.join()
        self.cut()
        self._listener.close()
