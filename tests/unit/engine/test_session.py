"""A session of the engine with models that misbehave, in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from engine_process import frame_header

from scanmend.engine.assess import UnusableOutput, assess
from scanmend.engine.catalogue import Catalogue
from scanmend.engine.choice import Choice as ModelChoice
from scanmend.engine.choice import Option
from scanmend.engine.exposures import InputNotFinite, SessionExposure
from scanmend.engine.models import LiveModels
from scanmend.engine.restorer import Restorer
from scanmend.engine.runtimes import Candidate, Picture, RuntimeInfo
from scanmend.engine.session import EngineSession
from scanmend.engine.tune import Choice
from scanmend.errors import ModelError
from scanmend.exposure import ExposureBuilder
from scanmend.field import Capabilities, Channel, DetectorKind, Field
from scanmend.frame import Frame
from scanmend.ipc import SlotRing
from scanmend.ipc import engine_link as link
from scanmend.plan import ScanPlan
from scanmend.rescan import watch
from scanmend.wire.header import PassReason
from scanmend.wire.messages import EnoughCode, Executed, ExecutedStatus, Hello, Mode

SHAPE = (24, 32)
FIELD = Field(shape=SHAPE, pixel_size_nm=1.0)
RASTER = ScanPlan.raster(SHAPE, 1000)

Change = Callable[[np.ndarray, np.ndarray], None]


class Fake:
    """A runtime that gives its values back, and then does something to them."""

    info = RuntimeInfo(runtime="fake", provider="Fake", precision="f32", threads=1)

    def __init__(self, change: Change | None = None) -> None:
        self.change = change

    def warm_up(self, shape: tuple[int, int]) -> None: ...

    def run(self, picture: Picture, estimate: np.ndarray, sigma: np.ndarray) -> None:
        estimate[:] = picture.values
        sigma[:] = 1
        if self.change is not None:
            self.change(estimate, sigma)

    def close(self) -> None: ...


def _set(array: str, value: float, *, everywhere: bool = False) -> Change:
    def change(estimate: np.ndarray, sigma: np.ndarray) -> None:
        target = estimate if array == "estimate" else sigma
        target[...] = value if everywhere else target
        target[3, 4] = value

    return change


def _raise(error: Exception) -> Change:
    def change(*_: np.ndarray) -> None:
        raise error

    return change


BAD: dict[str, tuple[Change, PassReason]] = {
    "one NaN": (_set("estimate", np.nan), PassReason.OUTPUT_NOT_FINITE),
    "one infinity": (_set("estimate", np.inf), PassReason.OUTPUT_NOT_FINITE),
    "NaN sigma": (_set("sigma", np.nan), PassReason.OUTPUT_NOT_FINITE),
    "negative sigma": (_set("sigma", -1.0), PassReason.ENGINE_FAILED),
    "one grey": (_set("estimate", 9.0, everywhere=True), PassReason.ENGINE_FAILED),
    "huge": (_set("estimate", 1e6), PassReason.ENGINE_FAILED),
    "far below": (_set("estimate", -1e6), PassReason.ENGINE_FAILED),
    "raises": (_raise(ModelError("out of memory")), PassReason.ENGINE_FAILED),
    "a bug": (_raise(ZeroDivisionError("oops")), PassReason.ENGINE_FAILED),
}


ANY = Candidate(runtime="fake", provider="Fake")


class Bench:
    """A session with rings, whose messages end in a list."""

    def __init__(self, folder: Path, change: Change | None, *, fallback: bool = True, **hello: Any) -> None:
        catalogue = Catalogue()
        restorers = {"identity": Restorer(catalogue.load("identity"), Choice(Fake(change), ANY))}
        if fallback:
            restorers["pushpull"] = Restorer(catalogue.load("pushpull"), Choice(Fake(), ANY))
        self.said: list[Any] = []
        self.ring_in = SlotRing.create(folder, slots=1, slot_bytes=8 * FIELD.pixels)
        self.ring_out = SlotRing.create(folder, slots=1, slot_bytes=12 * FIELD.pixels)
        infos = [
            link.RingInfo(path=str(ring.path), slots=1, slot_bytes=ring.slot_bytes)
            for ring in (self.ring_in, self.ring_out)
        ]
        hello = {"model": "identity", "channels": (Channel(name="HAADF"),), **hello}
        opening = link.OpenSession(
            hello=Hello(session="s", session_id=1, field=FIELD, **hello), frames_in=infos[0], pictures_out=infos[1]
        )
        self.models = LiveModels(restorers, [], ["identity"])
        self.session = EngineSession(opening, self.models, self.said.append, lambda: None, folder)
        self.session.take_plan(link.PlanNotice(session_id=1, plan_id=0, data=msgspec.msgpack.encode(RASTER)))

    def frame(self, seq: int, samples: np.ndarray) -> link.Done:
        return self.part(seq, 0, samples.reshape(-1))

    def part(self, pass_index: int, first_point: int, samples: np.ndarray) -> link.Done:
        """Some points of a pass, line by line."""
        samples = samples.reshape(1, -1)
        self.ring_in.array(0, samples.shape, samples.dtype)[:] = samples
        seq, end = len(self.said), first_point + samples.size == FIELD.pixels
        header = frame_header(seq, samples, end=end, pass_index=pass_index, first_point=first_point)
        work = link.Work(ticket=seq, session_id=1, header=header.pack(), slot_in=0, slot_out=0)
        before = len(self.said)
        self.session.work(work, header, superseded=False)
        done = [message for message in self.said[before:] if isinstance(message, link.Done)]
        assert len(done) == 1
        return done[0]

    def close(self) -> None:
        self.session.close()
        self.ring_in.close()
        self.ring_out.close()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Callable[..., Bench]]:
    made: list[Bench] = []

    def make(change: Change | None = None, **more: Any) -> Bench:
        made.append(Bench(tmp_path, change, **more))
        return made[-1]

    yield make
    for one in made:
        one.close()


SAMPLES = np.random.default_rng(0).poisson(9, SHAPE).astype(np.uint16)


@pytest.mark.parametrize("name", BAD)
def test_bad_output_is_caught_and_after_three_another_model_goes_on(name: str, bench: Callable[..., Bench]) -> None:
    change, reason = BAD[name]
    one = bench(change)
    for seq in range(3):
        done = one.frame(seq, SAMPLES)
        assert (done.restored, done.reason) == (False, reason)
        assert done.error
    problems = [message for message in one.said if isinstance(message, link.EngineProblem)]
    done = one.frame(3, SAMPLES)
    if name == "a bug":  # not the model's fault, as far as anybody knows
        assert not problems
        return
    assert [p.code for p in problems] == ["model_failed"]
    assert "pushpull" in problems[0].text
    assert (done.restored, done.model) == (True, "pushpull")


@pytest.mark.parametrize(
    ("rescan", "sizes", "wanted"),
    [
        (None, [768], ["identity"]),
        (None, [192] * 4, ["identity"] * 4),  # four parts may wait together: as much time as the pass has
        (None, [64] * 12, ["pushpull"] * 12),
        (None, [700, 68], ["identity"] * 2),  # a short rest of a pass is not the time that there is
        ("variance", [64] * 12, ["pushpull"] * 11 + ["identity"]),  # the microscope waits for the plan
    ],
)
def test_the_time_for_a_part_of_a_pass_is_that_of_some_parts(
    bench: Callable[..., Bench],
    monkeypatch: pytest.MonkeyPatch,
    rescan: str | None,
    sizes: list[int],
    wanted: list[str],
) -> None:
    one = bench(model="auto", mode=Mode.EXPOSURE, rescan=rescan, capabilities=Capabilities())
    one.session.take_plan(
        link.PlanNotice(session_id=1, plan_id=0, data=msgspec.msgpack.encode(ScanPlan.raster(SHAPE, 200_000)))
    )  # a pass takes 154 ms
    choice = one.models.choice
    choice.options = [Option("identity"), Option("pushpull")]
    for name, ms in (("identity", 120.0), ("pushpull", 5.0)):
        choice.begin(name, FIELD.pixels, ms)
    monkeypatch.setattr(ModelChoice, "learn", lambda *_: None)  # these models take no time at all
    for passes in range(2):
        seen, at = [], 0
        for points in sizes:
            seen.append(one.part(passes, at, SAMPLES.reshape(-1)[at : at + points]).model)
            at += points
        assert seen == wanted


def test_a_failure_now_and_then_does_not_change_the_model(bench: Callable[..., Bench]) -> None:
    calls = []

    def sometimes(estimate: np.ndarray, sigma: np.ndarray) -> None:
        calls.append(1)
        if len(calls) % 3:
            estimate[0, 0] = np.nan

    one = bench(sometimes)
    results = [one.frame(seq, SAMPLES) for seq in range(9)]
    assert [done.restored for done in results] == [False, False, True] * 3
    assert not any(isinstance(message, link.EngineProblem) for message in one.said)


def test_a_specimen_that_fades_ends_the_adaptive_scan(
    bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "LEAST_PX", FIELD.pixels)
    rng, one = np.random.default_rng(3), bench(mode=Mode.EXPOSURE, rescan="uniform")
    first, second = (one.frame(seq, rng.poisson(400 - 60 * seq, SHAPE).astype(np.uint16)) for seq in range(2))
    assert not first.caution and second.caution is not None
    assert second.caution.startswith("the signal falls by 15")
    said = [type(message).__name__ for message in one.said]
    assert said == ["Done", "ProposalMade", "EngineProblem", "Done"]  # the open proposal was not answered
    made = one.said[1]
    assert isinstance(made, link.ProposalMade) and made.proposal is not None
    executed = Executed(session_id=1, proposal_id=made.proposal.proposal_id, status=ExecutedStatus.DECLINED)
    one.session.take_executed(link.ExecutedNotice(executed=executed))
    one.frame(2, rng.poisson(300, SHAPE).astype(np.uint16))
    enough = one.said[-1]
    assert isinstance(enough, link.EnoughSaid) and enough.enough.code == EnoughCode.FADING
    assert [type(message) for message in one.said].count(link.EngineProblem) == 1


def test_without_a_fallback_it_goes_on_trying(bench: Callable[..., Bench]) -> None:
    one = bench(_set("estimate", np.nan), fallback=False)
    assert all(one.frame(seq, SAMPLES).reason == PassReason.OUTPUT_NOT_FINITE for seq in range(5))


def test_no_model_at_all(tmp_path: Path, bench: Callable[..., Bench]) -> None:
    one = bench()
    one.session._restorer = None
    assert one.frame(0, SAMPLES).reason == PassReason.NO_MODEL


@pytest.mark.parametrize("value", [0, 7, 65535])
def test_constant_input_may_give_one_grey(value: int, bench: Callable[..., Bench]) -> None:
    assert bench().frame(0, np.full(SHAPE, value, np.uint16)).restored


def test_unknown_gain_is_estimated_and_told(bench: Callable[..., Bench]) -> None:
    one = bench(channels=(Channel(name="SE", units_per_electron=None),))
    done = one.frame(0, SAMPLES)
    assert done.restored
    assert 0.2 < done.electrons_per_unit < 5


def test_assess_needs_no_samples() -> None:
    nothing = np.zeros(SHAPE, np.float32)
    empty = Picture(values=nothing, weight=nothing, units_per_electron=1.0, read_variance=0.0)
    assert assess(empty, nothing, nothing + 1).sigma_mean == 1
    with pytest.raises(UnusableOutput):
        assess(empty, nothing + np.float32(1e9), nothing)


# Exposures ----------------------------------------------------------------------------------------------------------

CHANNELS = {
    "counts": Channel(name="c"),
    "gain and offset": Channel(name="c", units_per_electron=4.0, offset_units=100.0, read_noise_units=2.0),
    "analogue": Channel(name="c", kind=DetectorKind.ANALOGUE, units_per_electron=3.0, reference_dwell_ns=250),
    "unknown gain": Channel(name="c", units_per_electron=None, dtype="float32"),
}


@pytest.mark.parametrize("name", CHANNELS)
@pytest.mark.parametrize("mode", list(Mode))
def test_inputs_are_those_of_the_vocabulary(name: str, mode: Mode) -> None:
    """Whole frames, chunks and added passes give what `ExposureBuilder` has, whichever way they went."""
    channel = CHANNELS[name]
    rng = np.random.default_rng(0)
    live = SessionExposure(FIELD, channel, 0, mode)
    builder = ExposureBuilder(FIELD, channel)
    sparse = ScanPlan.random(SHAPE, 500, coverage=0.4)
    slow = ScanPlan.raster(SHAPE, 3000)
    pass_index = 0
    for plan, pieces in ((RASTER, 1), (sparse, 1), (RASTER, 3), (slow, 1), (sparse, 2), (slow, 1)):
        if mode is Mode.FRAMES:
            builder = ExposureBuilder(FIELD, channel)
        edges = np.linspace(0, plan.points, pieces + 1).astype(int)
        for first, last in zip(edges[:-1], edges[1:], strict=True):
            samples = rng.poisson(900, (1, last - first)).astype(channel.dtype)
            frame = Frame(plan_id=0, samples=samples, pass_index=pass_index, first_point=int(first))
            live.add(frame, plan)
            builder.add(frame, plan)
            got, held = live.picture(), builder.view()
            np.testing.assert_allclose(got.values, held.values, rtol=1e-5)
            np.testing.assert_allclose(got.weight, held.weight, rtol=1e-6)
            assert live.coverage == held.coverage
            assert live.frames_included == builder.frames
            if channel.units_per_electron is not None:
                assert got.units_per_electron == 1
                assert got.read_variance == pytest.approx(held.read_noise**2)
            raw = np.empty(SHAPE, np.float32)
            live.write_raw(raw)
            np.testing.assert_array_equal(np.isnan(raw), held.visits == 0)
        pass_index += 1


def test_a_bad_frame_leaves_the_exposure_as_it_was() -> None:
    live = SessionExposure(FIELD, Channel(name="c", dtype="float32"), 0, Mode.EXPOSURE)
    samples = np.ones((1, FIELD.pixels), np.float32)
    live.add(Frame(plan_id=0, samples=samples), RASTER)
    before = live.picture().values.copy()
    bad = samples.copy()
    bad[0, 5] = np.inf
    with pytest.raises(InputNotFinite):
        live.add(Frame(plan_id=0, samples=bad, pass_index=1), RASTER)
    np.testing.assert_array_equal(live.picture().values, before)
    assert live.frames_included == 1
