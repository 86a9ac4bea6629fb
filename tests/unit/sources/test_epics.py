"""NTNDArray: every codec and type, scanned frames, the camera's records, and what an array cannot be."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from scanmend.errors import InvalidInput, MalformedMessage, MissingExtra, NotConnected, PlanError
from scanmend.field import Channel
from scanmend.plan import ScanPlan
from scanmend.sources import codecs
from scanmend.sources.epics import extra
from scanmend.sources.epics.adapter import ADAPTER, conf_of
from scanmend.sources.epics.camera import AcquiringCamera
from scanmend.sources.epics.ndarray import unpack
from scanmend.sources.epics.source import EpicsSource
from scanmend.sources.kit import Event, Images, Lost, Samples
from scanmend.sources.numbering import Numbering
from scanmend.sources.problems import Code
from scanmend_sim.epics.server import CAMERA, IMAGE, AreaDetector, pack

PLAN = ScanPlan.raster((4, 6), 1000)
CODECS = ("lz4", "bslz4", "blosc")


@pytest.fixture
def detector() -> Iterator[AreaDetector]:
    made = AreaDetector()
    try:
        yield made
    finally:
        made.close()


def opened(detector: AreaDetector, **more: Any) -> EpicsSource:
    source = EpicsSource(IMAGE, Numbering(), conf=conf_of(detector.address), **more)
    source.open()
    return source


def event_of(source: EpicsSource, kind: type) -> Any:
    """The next event of a kind."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        event: Event | None = source.read(0.05)
        if isinstance(event, kind):
            return event
    raise AssertionError(f"no {kind.__name__} came")


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("dtype", ["i1", "u1", "i2", "u2", "i4", "u4", "f4", "f8"])
@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (70, 130)])
def test_every_codec_gives_the_array_back(codec: str, dtype: str, shape: tuple[int, int]) -> None:
    values = np.random.default_rng(0).poisson(2.0, shape).astype(dtype)
    np.testing.assert_array_equal(unpack(codec, values.dtype, shape, pack(values, codec).tobytes()), values)


@pytest.mark.parametrize("codec", CODECS)
def test_packed_bytes_that_were_cut_or_changed_are_refused_and_never_crash(codec: str) -> None:
    values = np.random.default_rng(0).poisson(2.0, (100, 100)).astype(np.uint16)
    data = pack(values, codec).tobytes()
    rng = np.random.default_rng(1)
    for cut in [*range(20), *range(20, len(data), 997)]:
        with pytest.raises(MalformedMessage):
            unpack(codec, values.dtype, values.shape, data[:cut])
    for _ in range(200):
        damaged = bytearray(data)
        damaged[rng.integers(0, len(data))] ^= 1 << int(rng.integers(0, 8))
        try:
            assert unpack(codec, values.dtype, values.shape, bytes(damaged)).shape == values.shape
        except MalformedMessage as error:
            assert error.message
    with pytest.raises(MalformedMessage):
        unpack(codec, values.dtype, (1 << 20, 1 << 20), data)


@pytest.mark.parametrize("codec", ["", *CODECS])
@pytest.mark.parametrize("dtype", ["u1", "u2", "i4", "f4"])
def test_arrays_over_the_wire(detector: AreaDetector, codec: str, dtype: str) -> None:
    source = opened(detector)
    values = np.random.default_rng(0).poisson(9.0, (12, 20)).astype(dtype)
    detector.post(values, codec=codec, taken_unix_s=1_700_000_000.5)
    images = event_of(source, Images)
    source.close()
    np.testing.assert_array_equal(images.stack, values[None])
    assert (images.first, images.acquired_unix_ns) == (0, 1_700_000_000_500_000_000)


def test_an_array_of_the_last_acquisition_is_not_taken_for_a_new_one(detector: AreaDetector) -> None:
    detector.post(np.ones((4, 4), np.uint16), unique_id=30, taken_unix_s=1_700_000_000)
    source = opened(detector, camera=CAMERA)
    assert source.read(0.1) is None
    detector.set("ArrayCounter", 0)
    detector.set("Acquire", 1)
    detector.post(np.full((4, 4), 7, np.uint16))
    images = event_of(source, Images)
    source.close()
    assert images.first == 0 and images.stack[0].max() == 7


@pytest.mark.parametrize(
    ("post", "word", "mend"),
    [
        ({"codec": "jpeg"}, "jpeg", "Compressor"),
        ({"attributes": {"ColorMode": 2}, "shape": (4, 5, 3)}, "RGB1", "Mono"),
        ({"shape": (2, 4, 5)}, "no image", "--as"),
    ],
)
def test_what_is_no_image_is_lost_with_what_to_set(
    detector: AreaDetector, post: dict[str, Any], word: str, mend: str
) -> None:
    source = opened(detector)
    more = {key: value for key, value in post.items() if key != "shape"}
    detector.post(np.ones(post.get("shape", (4, 5)), np.uint16), **more)
    lost = event_of(source, Lost)
    source.close()
    assert lost.problem.code is Code.UNDECODABLE and word in lost.problem.text and mend in lost.problem.mend


def test_scanned_frames_and_a_frame_of_another_size(detector: AreaDetector) -> None:
    channel = Channel(name="HAADF", dtype="uint16")
    source = opened(detector, channel=channel, points_per_array=PLAN.points)
    frame = np.arange(24, dtype=np.uint16).reshape(4, 6)
    detector.post(frame)
    detector.post(frame + 100)
    first, second = event_of(source, Samples), event_of(source, Samples)
    np.testing.assert_array_equal(first.values, frame.reshape(1, -1))
    assert (first.first, second.first, source.channels) == (0, 24, (channel,))
    detector.post(np.zeros((4, 5), np.uint16))
    lost = event_of(source, Lost)
    source.close()
    assert (lost.first, lost.points, lost.problem.code) == (48, 24, Code.WRONG_SIZE)


def test_a_server_that_is_not_there() -> None:
    made = AreaDetector()
    made.close()
    source = EpicsSource(IMAGE, Numbering(), conf=conf_of(made.address), connect_s=0.1)
    with pytest.raises(NotConnected, match="No server has the PV"):
        source.open()
    source.close()


def test_a_camera_is_told_to_acquire_and_to_stop(detector: AreaDetector) -> None:
    told: list[bool] = []
    detector.on_acquire = told.append
    camera = AcquiringCamera(CAMERA, conf_of(detector.address), PLAN)
    detector.set("ArrayCounter", 77)
    camera.begin(camera.prepare(PLAN), 3)
    assert (detector.values["NumImages"], detector.values["ImageMode"], detector.values["ArrayCounter"]) == (72, 1, 0)
    camera.abort()
    camera.begin(PLAN, 0)
    assert told == [True, False, True] and detector.values["ImageMode"] == 2
    with pytest.raises(PlanError):
        camera.prepare(ScanPlan.raster((2, 2), 1000))


def test_a_camera_that_does_not_answer(detector: AreaDetector) -> None:
    camera = AcquiringCamera("OTHER:cam1:", conf_of(detector.address), PLAN, timeout_s=0.2)
    with pytest.raises(NotConnected, match=r"OTHER:cam1:Acquire_RBV"):
        camera.begin(PLAN, 1)


def built(*words: str, plan: ScanPlan = PLAN) -> Any:
    parser = argparse.ArgumentParser()
    for name, kind, default in (("drive", bool, False), ("passes", int, 2), ("silence-s", float, 10.0)):
        parser.add_argument(f"--{name}", type=kind, default=default)
    parser.add_argument("--units-per-electron", type=float, default=1.0)
    ADAPTER.add_arguments(parser)
    return ADAPTER.build(parser.parse_args(["--pv", IMAGE, *words]), plan)


def test_options_that_cannot_be() -> None:
    for words in (("--drive", "yes"), ("--queue", "2")):
        with pytest.raises(InvalidInput):
            built(*words)
    with pytest.raises(InvalidInput, match="do not fill"):
        built("--as", "line", plan=ScanPlan.point_list((4, 6), 1000, xy=np.array([[0, 0], [1, 1]], np.int32)))
    assert built("--as", "line").source.channels[0].name == "HAADF"
    assert built("--camera", CAMERA).controller is not None and built().controller is None


@pytest.mark.parametrize("module", [extra, codecs])
def test_a_package_that_is_missing_is_named(module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_missing" if module is extra else "missing", "p4p")
    with pytest.raises(MissingExtra, match="p4p") as caught:
        EpicsSource(IMAGE, Numbering())
    assert "scanmend[epics]" in caught.value.mend
