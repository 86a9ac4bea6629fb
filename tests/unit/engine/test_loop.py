"""Whatever acquire sends, in whatever order: each `Work` gets exactly one `Done`, in order within its session."""

from __future__ import annotations

import tempfile
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from engine_process import frame_header
from hypothesis import given, settings
from hypothesis import strategies as st

from scanmend.engine.loop import EngineLoop
from scanmend.engine.models import LiveModels
from scanmend.field import Channel, Field
from scanmend.ipc import Doorbell, Listener, SlotRing
from scanmend.ipc import engine_link as link
from scanmend.plan import ScanPlan
from scanmend.wire.messages import Executed, ExecutedStatus, Hello, Mode

FIELD = Field(shape=(12, 16), pixel_size_nm=1.0, beam_current_pa=10.0)
PLANS = (ScanPlan.raster(FIELD.shape, 1000), ScanPlan.random(FIELD.shape, 500, coverage=0.5))
SESSIONS = (1, 2, 3)

ACTS = st.lists(
    st.tuples(
        st.sampled_from(
            ["open", "plan", "work", "work", "work", "work", "executed", "ask", "close", "junk", "turn", "turn"]
        ),
        st.sampled_from(SESSIONS),
        st.integers(0, 2),
        st.integers(0, 3),
        st.booleans(),
    ),
    max_size=40,
)


class Peer:
    """acquire's end of a doorbell whose other end is a loop in this thread."""

    def __init__(self, folder: Path, models: LiveModels) -> None:
        listener = Listener(folder / "engine.sock")
        self.bell = Doorbell.connect(folder / "engine.sock")
        accepted = listener.accept()
        assert accepted is not None
        listener.close()
        self.far_end = accepted
        self.loop = EngineLoop(accepted, models, folder, lambda: None)
        self.rings = [SlotRing.create(folder, slots=1, slot_bytes=12 * FIELD.pixels) for _ in range(2)]
        samples = np.random.default_rng(0).poisson(9, FIELD.pixels).astype(np.uint16)
        self.rings[0].array(0, (FIELD.pixels,), np.uint16)[:] = samples
        self.tickets: dict[int, int] = {}
        self.closes: Counter[int] = Counter()
        self.asks = 0
        self.said: list[Any] = []

    def act(self, act: str, session_id: int, plan_id: int, pass_index: int, end: bool) -> None:
        ticket = len(self.tickets) + 1
        match act:
            case "open":
                infos = [link.RingInfo(path=str(r.path), slots=1, slot_bytes=r.slot_bytes) for r in self.rings]
                hello = Hello(
                    session=f"s{session_id}",
                    session_id=session_id,
                    field=FIELD,
                    channels=(Channel(name="HAADF"),) if session_id < 3 else (Channel(name="BF"), Channel(name="SE")),
                    mode=Mode.EXPOSURE if session_id == 1 else Mode.FRAMES,
                    rescan="uncertainty" if session_id == 1 else None,
                    model="identity",
                )
                self.send(link.OpenSession(hello=hello, frames_in=infos[0], pictures_out=infos[1]))
            case "plan":
                plan = msgspec.msgpack.encode(PLANS[plan_id % 2]) if plan_id < 2 else b"not a plan"
                self.send(link.PlanNotice(session_id=session_id, plan_id=plan_id % 2, data=plan))
            case "work" | "junk":
                points = PLANS[plan_id % 2].points // (1 if end else 2)
                channels = 2 if session_id == 3 else 1
                header = frame_header(
                    ticket,
                    np.zeros((channels, points), np.uint16),
                    session_id=session_id,
                    end=end,
                    plan_id=plan_id,
                    pass_index=pass_index,
                )
                data = header.pack() if act == "work" else b"junk"
                self.tickets[ticket] = session_id
                self.send(link.Work(ticket=ticket, session_id=session_id, header=data, slot_in=0, slot_out=0))
            case "executed":
                answer = Executed(session_id=session_id, proposal_id=ticket, status=ExecutedStatus.DECLINED)
                self.send(link.ExecutedNotice(executed=answer))
            case "ask":
                self.asks += 1
                kind = link.AskRaw if end else link.AskDose
                more = {"channel": plan_id} if end else {}
                self.send(kind(session_id=session_id, ask=self.asks, **more))
            case "close":
                self.closes[session_id] += 1
                self.send(link.CloseSession(session_id=session_id))
            case "turn":
                self.turn()

    def turn(self) -> bool:
        self.loop._receive()
        return self.loop._one_turn()

    def finish(self) -> None:
        while self.turn():
            pass
        while isinstance(data := self.bell.receive(), bytes):
            self.said.append(link.decode_from_engine(data))

    def send(self, message: Any) -> None:
        self.bell.send(link.encode(message))

    def close(self) -> None:
        self.loop.stop_asked = True
        self.loop.run()
        self.bell.close()
        self.far_end.close()
        for ring in self.rings:
            ring.close()


@pytest.fixture(scope="module")
def models() -> LiveModels:
    return LiveModels.load(threads=1, runtimes=["onnxruntime"], tune_s=0)


@settings(max_examples=120, deadline=None)
@given(acts=ACTS)
def test_exactly_one_done_for_each_work(models: LiveModels, acts: list[tuple[str, int, int, int, bool]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        peer = Peer(Path(folder), models)
        try:
            for act in acts:
                peer.act(*act)
            peer.finish()
        finally:
            peer.close()
    done = [message for message in peer.said if isinstance(message, link.Done)]
    summaries = Counter(m.session_id for m in peer.said if isinstance(m, link.SessionSummary))
    assert Counter(d.ticket for d in done) == Counter(peer.tickets.keys())
    for one in done:
        assert one.session_id == peer.tickets[one.ticket]
        assert one.restored + one.superseded + bool(one.reason) == 1
        assert bool(one.reason) == bool(one.error)
    assert summaries == peer.closes
    painted = [m for m in peer.said if isinstance(m, (link.DoseMade, link.RawMade))]
    assert sorted(m.ask for m in painted) == list(range(1, peer.asks + 1))
    order: dict[int, list[int]] = defaultdict(list)
    for one in done:
        if one.seq:  # junk has no seq, and is answered at once
            order[one.session_id].append(one.ticket)
    if not any(act[0] in ("open", "close") for act in acts[1:]):
        assert all(tickets == sorted(tickets) for tickets in order.values())


def test_files_of_plans_that_nobody_reads_are_removed(models: LiveModels, tmp_path: Path) -> None:
    def plan_file(name: str, session_id: int) -> Path:
        path = tmp_path / f"plan-{name}"
        path.write_bytes(msgspec.msgpack.encode(PLANS[0]))
        peer.send(link.PlanNotice(session_id=session_id, plan_id=0, path=str(path)))
        return path

    peer = Peer(tmp_path, models)
    try:
        peer.act("open", 1, 0, 0, False)
        left = [plan_file("unknown", 9), plan_file("opened anew", 1)]
        peer.act("open", 1, 0, 0, False)
        peer.loop._receive()
        assert not any(path.exists() for path in left)
        read = plan_file("read", 1)
        peer.finish()
        assert not read.exists() and 0 in peer.loop._sessions[1].plans
        last = plan_file("the end", 1)
        peer.loop._receive()
    finally:
        peer.close()
    assert not last.exists()
