"""The parts of a bridge: plans as blocks, passes sent while they are scanned, the far end in another Python."""

from __future__ import annotations

import ast
import json
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from in_thread import AcquireInThread
from makers import BRIDGES, script
from operating import AtConsole
from running import wait_for
from scanmend.client import Client
from scanmend.client.bridge import Bridge, BridgeOptions, Described, FarMicroscope
from scanmend.client.bridge.blocks import Block, as_scanned, blocks_of
from scanmend.client.bridge.far import far_microscope
from scanmend.client.bridge.passes import Part, PassSender
from scanmend.errors import InstrumentError, InvalidInput, NotConnected, PlanError
from scanmend.export.session import RecordedSession
from scanmend.field import Capabilities, Channel, Field
from scanmend.plan import ScanPlan

SHAPE = (8, 12)
RECTANGLES = Capabilities(points=False, rectangles=True, dwell_quantum_ns=100, min_dwell_ns=100)
LINES = Capabilities(points=False, segments=True, dwell_quantum_ns=100, min_dwell_ns=100)
BOTH = Capabilities(points=False, segments=True, rectangles=True, dwell_quantum_ns=100, min_dwell_ns=100)
WHOLE = Capabilities(points=False, dwell_quantum_ns=100, min_dwell_ns=100)

RUNS = [(2, 1, 4), (2, 2, 4), (2, 3, 4), (0, 3, 5), (7, 5, 1)]
PLANS = [
    ("the field", ScanPlan.raster(SHAPE, 1000), WHOLE, [Block(0, 0, 8, 12, 1000, 0)]),
    ("a dwell that is rounded", ScanPlan.raster(SHAPE, 1049), WHOLE, [Block(0, 0, 8, 12, 1000, 0)]),
    (
        "a rectangle",
        ScanPlan.raster(SHAPE, 500, top=2, left=3, height=4, width=5),
        RECTANGLES,
        [Block(2, 3, 4, 5, 500, 0)],
    ),
    ("a serpentine", ScanPlan.serpentine(SHAPE, 500, top=6, left=10), RECTANGLES, [Block(6, 10, 2, 2, 500, 0)]),
    (
        "runs under one another are one block",
        ScanPlan.segments(SHAPE, 700, runs=RUNS),
        BOTH,
        [Block(1, 2, 3, 4, 700, 0), Block(3, 0, 1, 5, 700, 12), Block(5, 7, 1, 1, 700, 17)],
    ),
    (
        "runs with a dwell each, of an instrument of lines",
        ScanPlan.segments(SHAPE, [100] * 3 + [200] * 3, runs=[(0, 0, 3), (0, 1, 3)]),
        LINES,
        [Block(0, 0, 1, 3, 100, 0), Block(1, 0, 1, 3, 200, 3)],
    ),
]


@pytest.mark.parametrize(("name", "plan", "able", "wanted"), PLANS, ids=[plan[0] for plan in PLANS])
def test_the_points_of_the_blocks_are_the_points_of_the_plan(
    name: str, plan: ScanPlan, able: Capabilities, wanted: list[Block]
) -> None:
    run = as_scanned(plan, able)
    blocks = blocks_of(run, able)
    assert blocks == wanted
    for longest_s in (None, 5e-6):
        pixels, dwells = [], []
        for block in blocks_of(run, able, longest_s):
            assert block.first_point == len(pixels)
            rows = np.arange(block.top, block.top + block.height)[:, None] * SHAPE[1]
            pixels += (rows + np.arange(block.left, block.left + block.width)).reshape(-1).tolist()
            dwells += [block.dwell_ns] * block.points
            if longest_s is not None and able.rectangles:
                assert block.height == 1 or block.points * block.dwell_ns <= 5000
        assert pixels == run.pixels.tolist() and dwells == run.dwells_ns.tolist()


@pytest.mark.parametrize(
    ("plan", "able", "said"),
    [
        (ScanPlan.jittered_grid(SHAPE, 1000, pitch_px=2), BOTH, "runs segments or rectangles only"),
        (ScanPlan.raster(SHAPE, 1000, top=1), WHOLE, "the whole field only"),
        (ScanPlan.raster(SHAPE, np.arange(100, 9700, 100)), RECTANGLES, "one dwell for all pixels of a rectangle"),
        (ScanPlan.segments(SHAPE, 1000, runs=[(4, 0, -3)]), BOTH, "from left to right"),
        (ScanPlan.segments(SHAPE, [100, 200], runs=[(0, 0, 2)]), LINES, "each with one dwell"),
        (ScanPlan.jittered_grid(SHAPE, 1000, pitch_px=2), Capabilities(), "not single points"),
    ],
)
def test_a_plan_that_no_blocks_make_is_refused_in_words(plan: ScanPlan, able: Capabilities, said: str) -> None:
    with pytest.raises(PlanError, match=said):
        blocks_of(as_scanned(plan, able), able)


# A pass that is sent while it is scanned --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[AcquireInThread, Path]]:
    data_dir = tmp_path_factory.mktemp("bridge") / "data"
    with AcquireInThread(data_dir) as running:
        yield running, data_dir


PASSES: list[tuple[str, list[tuple[int, int, bool]], int]] = [
    ("as it comes", [(0, 40, True), (40, 56, True)], 0),
    ("in one", [(0, 96, True)], 0),
    ("a gap of what was lost", [(0, 10, True), (10, 6, False), (16, 80, True)], 6),
    ("the end lost", [(0, 10, True), (10, 86, False)], 86),
    ("the beginning lost", [(0, 90, False), (90, 6, True)], 90),
    ("ended early", [(0, 10, True), (10, 1, True)], 0),
]


@pytest.mark.parametrize(("name", "parts", "lost"), PASSES, ids=[each[0] for each in PASSES])
def test_a_pass_ends_with_its_last_point_and_tells_what_was_lost(
    service: tuple[AcquireInThread, Path], name: str, parts: list[tuple[int, int, bool]], lost: int
) -> None:
    running, data_dir = service
    plan, told = ScanPlan.raster(SHAPE, 1000), []
    values = np.arange(192, dtype=np.uint16).reshape(2, 96)
    field = Field(shape=SHAPE, pixel_size_nm=1.0)
    channels = [Channel(name="a"), Channel(name="b")]
    session_name = name.replace(" ", "-")
    with Client(running.address) as client, client.session(session_name, field, channels=channels) as session:
        sender = PassSender(session, plan, 0, before_end=told.append)
        for first, points, good in parts:
            sender.take(Part(first, points, values[:, first : first + points] if good else None))
        assert not sender.ended or parts[-1][0] + parts[-1][1] == plan.points
        sender.finish()
        assert sender.ended and told == [sum(points for _, points, _ in parts)] and sender.lost == lost
        receipt = session.end()
    assert receipt.balanced and receipt.dropped_by_client == lost and receipt.rejected == {}
    with RecordedSession(data_dir / "sessions" / session_name) as recorded:
        frames = list(recorded.frames())
    assert [frame.header.end_of_pass for frame in frames] == [False] * (len(frames) - 1) + [True]
    for frame in frames:
        at = frame.header.first_point
        np.testing.assert_array_equal(frame.samples, values[:, at : at + frame.header.points])
    good_points = sum(points for _, points, good in parts if good)
    assert sum(frame.header.points for frame in frames) == good_points


def test_nothing_is_sent_of_a_pass_of_which_nothing_could_be_used(service: tuple[AcquireInThread, Path]) -> None:
    field = Field(shape=SHAPE, pixel_size_nm=1.0)
    with Client(service[0].address) as client, client.session("nothing", field) as session:
        sender = PassSender(session, ScanPlan.raster(SHAPE, 1000), 0)
        sender.take(Part(0, 96, None))
        sender.finish()
        assert not sender.ended and session.stats.sent == 0


# What the class of a microscope gives -----------------------------------------------------------------------------


class Simple:
    """A microscope of one's own, whose faults can be chosen."""

    def __init__(self, **changes: Any) -> None:
        self.said: dict[str, Any] = {
            "program": "a test",
            "field": {"shape": list(SHAPE), "pixel_size_nm": 2.0, "beam_current_pa": 10.0},
            "channels": [{"name": "SE"}],
            "capabilities": {"points": False, "rectangles": True},
            **changes,
        }
        self.calls: list[Any] = []
        self.gives: list[Any] = []

    def describe(self) -> dict[str, Any]:
        return self.said

    def begin(self, top: int, left: int, height: int, width: int, dwell_ns: int) -> None:
        self.calls.append((top, left, height, width, dwell_ns))
        self.points = height * width

    def read(self, timeout_s: float) -> Any:
        if self.gives:
            return self.gives.pop(0)
        return 0, self.points, np.arange(self.points, dtype=np.uint16)[None]

    def stop(self) -> None:
        self.calls.append("stop")

    def close(self) -> None:
        self.calls.append("close")


def test_a_description_is_checked() -> None:
    described = Described.of(Simple(longest_block_s=2, remarks=["one"]))
    assert described.field.pixel_size_nm == 2.0 and described.capabilities.rectangles
    assert described.longest_block_s == 2.0 and described.remarks == ("one",)
    for wrong in (
        {"channels": []},
        {"channels": [{"name": "SE", "dtype": "float64"}]},
        {"field": {"shape": [4, 4]}},
        {"field": {"shape": [4, 4], "pixel_size_nm": -1.0}},
        {"capabilities": {"rectangles": "yes"}},
        {"longest_block_s": 0},
        {"surprise": 1},
    ):
        with pytest.raises(InvalidInput, match="describe"):
            Described.of(Simple(**wrong))


@pytest.mark.parametrize(
    ("gives", "said"),
    [
        ((0, 97, np.zeros((1, 97), np.uint16)), "of a block of 96"),
        ((0, 96, np.zeros((2, 96), np.uint16)), r"shape \(2, 96\)"),
        ((0, 0, np.zeros((1, 0), np.uint16)), "points 0 to -1"),
        ((-1, 5, None), "points -1 to 3"),
    ],
)
def test_samples_that_cannot_be_end_the_session_blanked(
    service: tuple[AcquireInThread, Path], gives: Any, said: str
) -> None:
    microscope = Simple()
    microscope.gives = [gives]
    name = f"wrong-{abs(hash(said))}"
    with Client(service[0].address) as client, pytest.raises(InstrumentError, match=said):
        Bridge(microscope, client, BridgeOptions(mode="frames", passes=1)).run(name)
    assert microscope.calls[-1] == "stop"
    with RecordedSession(service[1] / "sessions" / name) as recorded:
        assert recorded.receipt is not None and recorded.receipt.reason == "aborted"


def test_a_microscope_that_gives_nothing_more_is_not_waited_for_for_ever(
    service: tuple[AcquireInThread, Path],
) -> None:
    microscope = Simple()
    microscope.gives = [(0, 5, np.zeros((1, 5), np.uint16))] + [None] * 10_000_000
    options = BridgeOptions(mode="frames", passes=1, silence_s=0.05)
    with Client(service[0].address) as client, pytest.raises(InstrumentError, match="gave 5 of 96 points"):
        Bridge(microscope, client, options).run("silent")
    assert microscope.calls[-1] == "stop"


def test_ctrl_c_ends_after_the_pass(service: tuple[AcquireInThread, Path]) -> None:
    class Pressing(Simple):
        def begin(self, *block: int) -> None:
            bridge.stop_asked = True
            super().begin(*block)

    microscope = Pressing()
    with Client(service[0].address) as client:
        bridge = Bridge(microscope, client, BridgeOptions(mode="frames"))
        receipt = bridge.run("ctrl-c")
    assert receipt is not None and receipt.reason == "stopped" and receipt.received == 1
    assert microscope.calls[-1] == "stop"


def test_each_session_asks_anew_what_the_microscope_is_set_to(service: tuple[AcquireInThread, Path]) -> None:
    microscope = Simple()
    with Client(service[0].address) as client:
        bridge = Bridge(microscope, client, BridgeOptions(mode="frames", passes=1))
        for name, pixel_size_nm in (("near", 2.0), ("nearer", 0.5)):
            microscope.said["field"] = {"shape": list(SHAPE), "pixel_size_nm": pixel_size_nm}
            bridge.run(name)
            with RecordedSession(service[1] / "sessions" / name) as recorded:
                assert recorded.hello.field.pixel_size_nm == pixel_size_nm


@pytest.mark.parametrize("word", ["start", "stop", "ctrl-c"])
def test_a_session_that_an_operator_starts_moves_no_beam_before(
    service: tuple[AcquireInThread, Path], word: str
) -> None:
    running, _ = service
    microscope, name = Simple(), f"waits-{word}"

    def operate() -> None:
        with AtConsole(running.acquire.run_dir) as console:
            wait_for(lambda: any(s.hello.session == name for s in running.status().sessions), 10, "no session")
            assert microscope.calls == [], "it scanned before it was started"
            if word == "ctrl-c":
                bridge.stop_asked = True
            else:
                assert console.command(name, word) == "sent"

    with Client(running.address) as client:
        bridge = Bridge(microscope, client, BridgeOptions(mode="frames", passes=1, start="operator"))
        operator = threading.Thread(target=operate)
        operator.start()
        receipt = bridge.run(name)
        operator.join(timeout=10)
    assert receipt is not None and receipt.balanced
    assert receipt.received == (1 if word == "start" else 0)
    assert receipt.reason == ("finished" if word == "start" else "stopped")
    assert microscope.calls[-1] == "stop"


# Far ends ---------------------------------------------------------------------------------------------------------


class FarEnd:
    """`far_end.serve` in a thread of the test."""

    def __init__(self, microscope: Any) -> None:
        self.microscope = microscope
        lines: list[str] = []
        arguments = {"port": 0, "token": "open sesame", "once": True, "tell": lines.append}
        self.thread = threading.Thread(target=script("far_end").serve, args=[microscope], kwargs=arguments)
        self.thread.start()
        wait_for(lambda: bool(lines), 5, "the far end does not begin")
        self.place = lines[0].split()[2]

    def __enter__(self) -> FarEnd:
        return self

    def __exit__(self, *_: object) -> None:
        self.thread.join(timeout=10)
        assert not self.thread.is_alive()
        assert self.microscope.calls[-1] == "close", "the far end leaves the microscope"
        assert "stop" in self.microscope.calls[-3:], "a far end without a near end has the beam blanked"


def test_a_far_microscope_is_as_the_one_beside(service: tuple[AcquireInThread, Path]) -> None:
    microscope = Simple()
    microscope.gives = [None, (0, 12, None)]
    with FarEnd(microscope) as far, Client(service[0].address) as client:
        near = far_microscope(far.place, "open sesame")
        microscope.gives += [(12, 84, np.arange(84, dtype=">u2")[None])]
        receipt = Bridge(near, client, BridgeOptions(mode="frames", passes=1, dwell_ns=500)).run("far")
        near.close()
    assert receipt is not None and receipt.balanced and receipt.dropped_by_client == 12
    assert microscope.calls[0] == (0, 0, 8, 12, 500)
    with RecordedSession(service[1] / "sessions" / "far") as recorded:
        samples = np.concatenate([frame.samples for frame in recorded.frames()], axis=1)
    np.testing.assert_array_equal(samples[0], np.arange(84))


def test_what_the_makers_library_raises_is_told_at_the_near_end() -> None:
    class Broken(Simple):
        def begin(self, *block: int, **named: int) -> None:
            raise ValueError("the column valve is closed")

    with FarEnd(Broken()) as far:
        near = far_microscope(far.place, "open sesame")
        with pytest.raises(InstrumentError, match="ValueError: the column valve is closed"):
            near.begin(0, 0, 1, 1, 100)
        with pytest.raises(InstrumentError, match="no verb 'close'"):
            near._ask("close")
        near.close()
        near.stop()  # a far end that is gone has stopped by itself


def test_a_near_end_without_the_token_moves_no_beam() -> None:
    microscope = Simple()
    with FarEnd(microscope) as far:
        near = far_microscope(far.place, "guessed")
        with pytest.raises(InstrumentError, match="another token"):
            near.begin(0, 0, 1, 1, 100)
        near.close()
    assert microscope.calls == ["stop", "stop", "close"]


@pytest.mark.parametrize("said", [b"\xff\xff\xff\xff", b"\0\0\0\x02[]", b"\0\0\0\x02{{", b"\0\0"])
def test_a_far_end_ends_what_is_no_near_end(said: bytes) -> None:
    microscope = Simple()
    with FarEnd(microscope) as far:
        host, port = far.place.split(":")
        with socket.create_connection((host, int(port))) as stranger:
            stranger.sendall(said)
            stranger.shutdown(socket.SHUT_WR)
            assert stranger.recv(1) == b""
    assert microscope.calls == ["stop", "stop", "close"]


def answer(said: Any, samples: bytes = b"") -> bytes:
    body = said if isinstance(said, bytes) else json.dumps(said).encode()
    return struct.pack(">I", len(body)) + body + samples


@pytest.mark.parametrize(
    "said",
    [
        struct.pack(">I", 1 << 30),
        answer(b"[]"),
        answer(b"{{"),
        answer({"result": "text"}),
        answer({"result": [0, 4], "dtype": "object", "shape": [1, 4], "nbytes": 32}),
        answer({"result": [0, 4], "dtype": "uint16", "shape": [1, 4], "nbytes": 6}),
        answer({"result": [0, 4], "dtype": "uint16", "shape": [-1, -4], "nbytes": 8}),
        answer({"result": [0, 4], "dtype": "uint16", "shape": [1, 1 << 40], "nbytes": 1 << 41}),
        answer({"result": [0, 4], "dtype": "uint16", "shape": [1, 4], "nbytes": 8}, b"\0\0"),
        b"",
    ],
)
def test_a_near_end_believes_no_far_end(said: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        near = FarMicroscope("127.0.0.1", listening.getsockname()[1], "word")
        there, _ = listening.accept()
        with there:
            there.sendall(said)
            there.shutdown(socket.SHUT_WR)
            with pytest.raises(NotConnected):
                near.read(0.1)
        near.close()


def test_no_far_end_and_no_place() -> None:
    with pytest.raises(InvalidInput, match="host and port"):
        far_microscope("7511", "word")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        free = listening.getsockname()[1]
    with pytest.raises(NotConnected, match="No far end answers"):
        far_microscope(f"127.0.0.1:{free}", "word")


LOADS = """
import sys
old = set(sys.modules)
import scanmend.client.bridge
for name in sorted(set(sys.modules) - old):
    print(name, getattr(sys.modules[name], "__file__", None) or "")
"""


def test_the_client_of_a_bridge_needs_four_packages_and_no_unix() -> None:
    """What README.md says a maker's Python needs; makers' PCs run Windows."""
    done = subprocess.run([sys.executable, "-c", LOADS], capture_output=True, text=True, timeout=60, check=True)
    loaded = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    packages = {name.split(".")[0] for name in loaded if name.split(".")[0] not in sys.stdlib_module_names}
    helpers = {"cython_runtime", "typing_extensions"}  # pyzmq's own
    assert {name for name in packages - helpers if not name.startswith("_")} == {
        "scanmend",
        "numpy",
        "zmq",
        "msgspec",
        "xxhash",
    }
    ours = [Path(file) for name, file in loaded.items() if name.startswith("scanmend")]
    assert len(ours) > 20
    for path in ours:
        words = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        imported = {alias.name for node in words if isinstance(node, ast.Import) for alias in node.names}
        assert not imported & {"fcntl", "resource", "termios", "pwd", "grp", "mmap", "syslog"}, path


def test_the_scripts_run_in_old_pythons_and_load_no_library_by_themselves() -> None:
    names = sorted(path.stem for path in BRIDGES.glob("*.py"))
    assert names == ["autoscript", "autoscript_tem", "far_end", "gatan", "jeol", "nion_swift"]
    for name in names:
        tree = ast.parse((BRIDGES / f"{name}.py").read_text(encoding="utf-8"), feature_version=(3, 7))
        top = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
        modules = {alias.name for node in top if isinstance(node, ast.Import) for alias in node.names}
        assert not any(isinstance(node, ast.ImportFrom) for node in top)
        known = {"argparse", "hmac", "json", "numpy", "secrets", "select", "socket", "struct", "sys", "time"}
        assert modules <= known, f"{name} loads {modules - known}"
