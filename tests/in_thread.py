"""The real acquire in a thread of the test, without an engine, for tests that look at its answers one by one."""

from __future__ import annotations

import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec
import zmq

from scanmend.acquire import engine_desk
from scanmend.acquire.loop import Acquire
from scanmend.field import Channel, Field
from scanmend.ipc import HeartbeatBoard, RunDir
from scanmend.plan import ScanPlan
from scanmend.settings import Settings
from scanmend.wire.header import FrameFlag, FrameHeader, xxh3
from scanmend.wire.messages import Delivery, Hello, Plan, decode_service, encode

SHAPE = (32, 32)
FIELD = Field(shape=SHAPE, pixel_size_nm=1.0, beam_current_pa=10.0)
PLAN = ScanPlan.raster(SHAPE, 1000)


class AcquireInThread:
    """acquire on a free port; frames pass through at once, since no engine will ever come."""

    def __init__(self, data_dir: Path, **settings: Any) -> None:
        self._settings = Settings(**{"port": 0, "data_dir": data_dir, **settings})
        self._patience = engine_desk.FIRST_START_NS

    def __enter__(self) -> Self:
        engine_desk.FIRST_START_NS = 0
        self._run_dir = RunDir.create()
        self._board = HeartbeatBoard.create(self._run_dir.path / "heartbeat", ["acquire"])
        self.acquire = Acquire(self._settings, self._run_dir.path)
        try:
            self.acquire.startup()
        except BaseException:
            self._tidy()
            raise
        self.address = self.acquire.address
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        return self

    def _run(self) -> None:
        try:
            self.acquire.main_loop()
        except BaseException as error:
            self._error = error
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.acquire.stop_asked = True
        self._thread.join(timeout=20)
        assert not self._thread.is_alive(), "acquire's thread does not end"
        self.acquire.shutdown()
        self._tidy()
        if self._error is not None:
            raise self._error

    def _tidy(self) -> None:
        self._board.close()
        self._run_dir.remove()
        engine_desk.FIRST_START_NS = self._patience

    def status(self) -> Any:
        """What the console would be told now."""
        return self.acquire.status()


class Peer:
    """A bare DEALER that says what a test wants to have said."""

    def __init__(self, address: str) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.socket = self._context.socket(zmq.DEALER)
        self.socket.connect(address)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._context.destroy(linger=0)

    def say(self, *parts: bytes) -> None:
        self.socket.send_multipart(list(parts))

    def hear(self, kind: type | None = None, timeout_s: float = 5.0) -> Any:
        """The next control message, or the next one of a kind; RESTORED messages are skipped."""
        while self.socket.poll(int(timeout_s * 1000)):
            parts = self.socket.recv_multipart()
            if len(parts) > 1:
                continue
            message = decode_service(parts[0])
            if kind is None or isinstance(message, kind):
                return message
        raise AssertionError(f"no {kind.__name__ if kind else 'message'} came within {timeout_s} s")


def hello(name: str = "s", session_id: int = 7, **changes: Any) -> Hello:
    """A HELLO that is in order, with changes."""
    plain = Hello(
        session=name,
        session_id=session_id,
        field=FIELD,
        channels=(Channel(name="HAADF", dtype="uint16"),),
        record=False,
        delivery=Delivery.RECEIVED,
    )
    return msgspec.structs.replace(plain, **changes)


def plan_message(session_id: int = 7, plan_id: int = 1, plan: ScanPlan = PLAN) -> bytes:
    return encode(Plan(session_id=session_id, plan_id=plan_id, plan=plan))


def frame_parts(seq: int = 0, payload: bytes | None = None, **changes: Any) -> tuple[bytes, bytes]:
    """A FRAME that is in order, with changes to its header."""
    data = bytes(2 * SHAPE[0] * SHAPE[1]) if payload is None else payload
    fields: dict[str, Any] = {
        "session_id": 7,
        "seq": seq,
        "plan_id": 1,
        "pass_index": seq % (1 << 32),
        "first_point": 0,
        "points": SHAPE[0] * SHAPE[1],
        "channels": 1,
        "dtype": "uint16",
        "flags": FrameFlag.END_OF_PASS,
        "payload_bytes": len(data),
        "payload_xxh3": xxh3(data),
    }
    return FrameHeader(**{**fields, **changes}).pack(), data


class RelayThread:
    """A relay in a thread; what goes wrong there is raised where the block is left."""

    def __init__(self, relay: Any, series: int = 0) -> None:
        self.relay = relay
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(series,), name="relay")

    def _run(self, series: int) -> None:
        try:
            self.relay.run(series)
        except BaseException as error:
            self._error = error

    def __enter__(self) -> Any:
        self._thread.start()
        return self.relay

    def __exit__(self, *_: object) -> None:
        self.relay.stop_asked = True
        self._thread.join(20)
        assert not self._thread.is_alive(), "the relay does not end"
        if self._error is not None:
            raise self._error
