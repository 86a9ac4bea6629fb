"""A tiny acquire that drives a real engine process over a real doorbell and real rings."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec
import numpy as np

from scanmend.field import Channel, Field
from scanmend.ipc import Doorbell, HeartbeatBoard, Listener, PeerGone, RunDir, SlotRing
from scanmend.ipc import engine_link as link
from scanmend.plan import ScanPlan
from scanmend.settings import Settings
from scanmend.wire.header import FrameFlag, FrameHeader, xxh3
from scanmend.wire.messages import Hello, Proposal


class FakeAcquire:
    """Owns run folder, rings and engine; `with FakeAcquire() as acquire: …`."""

    def __init__(self, *, model: str = "pushpull", slots: int = 8, **settings: Any) -> None:
        self.run_dir = RunDir.create()
        self.board = HeartbeatBoard.create(self.run_dir.path / "heartbeat", ["acquire", "engine", "web"])
        self.listener = Listener(self.run_dir.path / "engine.sock")
        made = Settings(model=model, **{"threads": 1, "tune_s": 0.0, **settings})
        (self.run_dir.path / "settings.json").write_text(made.model_dump_json())
        self.slots, self.tickets, self.session_id = slots, 0, 0
        self.said: list[Any] = []
        self.rings: dict[int, tuple[SlotRing, SlotRing, Hello]] = {}
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "scanmend.engine", str(self.run_dir.path / "settings.json")]
        self.process = subprocess.Popen([*command, str(self.run_dir.path)], env={**os.environ, "OMP_NUM_THREADS": "1"})
        self.accept()

    def accept(self) -> None:
        select.select([self.listener.fd], [], [], 30)
        bell = self.listener.accept()
        assert bell is not None
        self.bell: Doorbell = bell
        self.ready: link.EngineReady = self.wait_for(link.EngineReady)

    def wait_for(self, kind: type[Any], timeout_s: float = 30.0) -> Any:
        """The next message of a kind; others are kept in `said`."""
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            data = self.bell.receive()
            if data is None:
                select.select([self.bell.fileno()], [], [], 0.1)
                continue
            assert not isinstance(data, PeerGone), "the engine has gone"
            message = link.decode_from_engine(data)
            if isinstance(message, kind):
                return message
            self.said.append(message)
        raise AssertionError(f"no {kind.__name__} within {timeout_s} s; said: {self.said}")

    def open(
        self, shape: tuple[int, int], *, opening: dict[str, Any] | None = None, again: bool = False, **hello: Any
    ) -> int:
        """Open a session, the next one or the last one again; gives its id."""
        self.session_id += not again
        session_id = self.session_id
        field = hello.pop("field", Field(shape=shape, pixel_size_nm=1.0, beam_current_pa=10.0))
        hello.setdefault("channels", (Channel(name="HAADF"),))
        said = Hello(session=f"s{session_id}", session_id=session_id, field=field, **hello)
        size = 4 * shape[0] * shape[1]
        rings = [SlotRing.create(self.run_dir.path, slots=self.slots, slot_bytes=n) for n in (16 * size, 3 * size)]
        self.rings[session_id] = (rings[0], rings[1], said)
        infos = [link.RingInfo(path=str(r.path), slots=r.slots, slot_bytes=r.slot_bytes) for r in rings]
        self.send(link.OpenSession(hello=said, frames_in=infos[0], pictures_out=infos[1], **(opening or {})))
        return session_id

    def plan(self, plan: ScanPlan, *, plan_id: int = 0, session_id: int | None = None) -> None:
        session_id = session_id or self.session_id
        self.send(link.PlanNotice(session_id=session_id, plan_id=plan_id, data=msgspec.msgpack.encode(plan)))

    def send(self, message: Any) -> None:
        self.bell.send(link.encode(message))

    def frame(
        self, seq: int, samples: np.ndarray, *, session_id: int | None = None, end: bool = True, **header: Any
    ) -> int:
        """Hand a frame to the engine; gives its slot."""
        session_id = session_id or self.session_id
        samples = np.atleast_2d(samples)
        slot = seq % self.slots
        ring = self.rings[session_id][0]
        ring.array(slot, samples.shape, samples.dtype)[:] = samples
        live = header.pop("live", False)
        head = frame_header(seq, samples, session_id=session_id, end=end, **header).pack()
        self.tickets += 1
        work = link.Work(
            ticket=self.tickets, session_id=session_id, header=head, slot_in=slot, slot_out=slot, live=live
        )
        self.send(work)
        return slot

    def pictures(self, slot: int) -> np.ndarray:
        """Estimate, sigma and raw of an output slot of the last session."""
        _, ring, hello = self.rings[self.session_id]
        return ring.array(slot, (3, *hello.field.shape), np.float32).copy()

    def end(self) -> int:
        """Ask the engine to stop."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(10)

    def __enter__(self) -> FakeAcquire:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.bell.close()
        for ring_in, ring_out, _ in self.rings.values():
            ring_in.close()
            ring_out.close()
        self.listener.close()
        self.board.close()
        self.run_dir.remove()


def frame_header(seq: int, samples: np.ndarray, *, session_id: int = 1, end: bool = True, **more: Any) -> FrameHeader:
    """A FRAME header for samples."""
    fields = {"plan_id": 0, "pass_index": seq, "first_point": 0, **more}
    return FrameHeader(
        session_id=session_id,
        seq=seq,
        channels=samples.shape[0],
        points=samples.shape[1],
        dtype=samples.dtype.name,
        flags=FrameFlag.END_OF_PASS if end else FrameFlag(0),
        payload_bytes=samples.nbytes,
        payload_xxh3=xxh3(np.ascontiguousarray(samples).data.cast("B")),
        **fields,
    )


def scan(picture: np.ndarray, plan: ScanPlan, dtype: str = "uint16") -> np.ndarray:
    """What a counting detector without noise gives for a plan: `(1, points)`; the picture is counts per µs."""
    return np.rint(picture.reshape(-1)[plan.pixels] * (plan.dwells_ns / 1000)).astype(dtype)[None]


def proposal_of(made: link.ProposalMade) -> Proposal:
    """The proposal, also where it was too large for a message."""
    if made.proposal is not None:
        return made.proposal
    path = Path(made.path)
    assert path.stat().st_mode & 0o077 == 0
    return msgspec.msgpack.decode(path.read_bytes(), type=Proposal)
