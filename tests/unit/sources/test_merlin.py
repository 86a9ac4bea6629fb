"""Merlin's bytes, split and damaged in every way, and its control socket."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import pytest

from scanmend.errors import InstrumentError, MalformedMessage, NotConnected, PlanError
from scanmend.plan import ScanPlan
from scanmend.sources.kit import Event, Images, Remark, SeriesBegan, SeriesEnded
from scanmend.sources.merlin.control import ArmedMerlin, Control
from scanmend.sources.merlin.mpx import body_bytes, frame, read_acquisition, read_image_header, read_pixels
from scanmend.sources.merlin.source import MerlinSource
from scanmend.sources.problems import Code
from scanmend_sim.merlin.detector import Merlin, acquisition_header, image_body

PLAN = ScanPlan.raster((4, 5), 1000)
REAL_HEADER = (
    b"MQ1,000007,00384,01,0256,0256,U16,   1x1,01,2019-06-14 11:46:26.607836,0.000555,0,0,0,1.200000E+2,5.110000E+2,"
    b"MQ1A,2019-06-14T10:46:26.607836426Z,555000ns,12,"
)


@pytest.fixture
def merlin() -> Iterator[Merlin]:
    made = Merlin()
    try:
        yield made
    finally:
        made.close()


def read_until(source: MerlinSource, kind: type) -> list[Event]:
    """Events up to one of a kind."""
    events: list[Event] = []
    deadline = time.monotonic() + 10
    while not any(isinstance(event, kind) for event in events):
        assert time.monotonic() < deadline, f"no {kind.__name__} among {events}"
        event = source.read(0.05)
        events += [] if event is None else [event]
    return events


@pytest.mark.parametrize("dtype", ["u1", "u2", "u4"])
def test_an_image_is_read_to_its_values(dtype: str) -> None:
    values = np.random.default_rng(0).integers(0, 250, (6, 9)).astype(dtype) * np.array(1, dtype)
    body = image_body(12, values, taken_unix_s=1_700_000_000.25)
    header = read_image_header(body)
    assert (header.number, header.shape, header.counter) == (12, (6, 9), 0)
    assert header.taken_unix_ns == header.taken_ns == 1_700_000_000_250_000_000
    pixels = read_pixels(header, body)
    np.testing.assert_array_equal(pixels, values)
    assert pixels.dtype == np.dtype(dtype) and pixels.dtype.isnative


def test_a_header_as_a_detector_wrote_it() -> None:
    header = read_image_header(REAL_HEADER.ljust(384, b"\0") + bytes(2 * 256 * 256))
    assert (header.number, header.offset, header.shape, header.pixels) == (7, 384, (256, 256), "U16")
    assert header.taken_unix_ns == 1_560_509_186_607_836_426


def test_a_time_without_a_zone_orders_images_and_dates_none() -> None:
    header = read_image_header(image_body(1, np.zeros((2, 2), np.uint16), taken_unix_s=1_700_000_000.5, utc=False))
    assert header.taken_unix_ns is None and header.taken_ns == 1_700_000_000_500_000_000


@pytest.mark.parametrize(
    "body",
    [b"MQ1", b"MQ1,x,00384,01,0256,0256,U16", b"MQ1,000001,99999,01,0002,0002,U16,", b"MQ1,000001,00384,01,0,0,U16,"],
)
def test_a_header_that_is_none(body: bytes) -> None:
    with pytest.raises(MalformedMessage):
        read_image_header(body)


@pytest.mark.parametrize("change", [b"", b"\0\0\0"])
def test_pixels_that_are_too_few_or_too_many(change: bytes) -> None:
    body = image_body(1, np.zeros((4, 4), np.uint16))
    body = body + change if change else body[:-1]
    with pytest.raises(MalformedMessage, match="bytes"):
        read_pixels(read_image_header(body), body)


def test_raw_pixels_are_refused_with_what_to_set() -> None:
    body = image_body(1, np.zeros((4, 4), np.uint16), pixels="R64")
    with pytest.raises(MalformedMessage) as caught:
        read_pixels(read_image_header(body), body)
    assert "Raw" in caught.value.mend


@pytest.mark.parametrize("head", [b"MPX,0000000000,", b"MPX,9999999999,", b"MPX,00000x0005,", b"XPM,0000000005,"])
def test_a_head_that_is_none(head: bytes) -> None:
    assert body_bytes(head) is None


def test_how_many_images_an_acquisition_has() -> None:
    assert read_acquisition(acquisition_header(300)) == 300
    assert read_acquisition(acquisition_header(0)) is None
    assert read_acquisition(b"HDR,\nno number here") is None


def test_messages_that_are_cut_anywhere(merlin: Merlin) -> None:
    source = MerlinSource("127.0.0.1", merlin.data_port)
    source.open()
    stack = np.arange(5 * 12, dtype=np.uint16).reshape(5, 3, 4)
    stream = frame(acquisition_header(5)) + b"".join(frame(image_body(n, one)) for n, one in enumerate(stack, 1))
    events: list[Event] = []
    for at in range(0, len(stream), 97):
        merlin.send(stream[at : at + 97])
        event = source.read(0.001)
        events += [] if event is None else [event]
    events += [] if events and isinstance(events[-1], SeriesEnded) else read_until(source, SeriesEnded)
    source.close()
    assert events[0] == SeriesBegan(series="1", points=5) and events[-1] == SeriesEnded(series="1")
    images = [event for event in events if isinstance(event, Images)]
    np.testing.assert_array_equal(np.concatenate([event.stack for event in images]), stack)
    assert [event.first for event in images] == list(np.cumsum([0, *(len(event.stack) for event in images)])[:-1])


def test_the_other_counter_is_left_out_with_a_word(merlin: Merlin) -> None:
    source = MerlinSource("127.0.0.1", merlin.data_port)
    source.open()
    merlin.begin(1)
    merlin.image(1, np.ones((2, 2), np.uint16), counter=1)
    merlin.image(1, np.ones((2, 2), np.uint16))
    events = read_until(source, SeriesEnded)
    source.close()
    (remark,) = [event for event in events if isinstance(event, Remark)]
    assert remark.problem.code is Code.SETTINGS and "--counter" in remark.problem.mend


def test_nobody_listens() -> None:
    made = Merlin()
    made.close()
    with pytest.raises(NotConnected, match="No Merlin"):
        MerlinSource("127.0.0.1", made.data_port).open()
    with pytest.raises(NotConnected, match="control socket"):
        Control("127.0.0.1", made.control_port, timeout_s=0.5).get("DETECTORSTATUS")


def test_it_is_armed_for_the_plan_and_stopped(merlin: Merlin) -> None:
    controller = ArmedMerlin(Control("127.0.0.1", merlin.control_port), PLAN, "soft")
    merlin.values["DETECTORSTATUS"] = "1"  # busy with what somebody else began
    controller.begin(controller.prepare(PLAN), 3)
    assert merlin.commands == ["ABORT", "STARTACQUISITION", "SOFTTRIGGER"]
    assert (merlin.values["NUMFRAMESTOACQUIRE"], merlin.values["TRIGGERSTART"]) == ("60", "5")
    controller.abort()
    assert merlin.commands[-1] == "ABORT"
    with pytest.raises(PlanError):
        controller.prepare(ScanPlan.raster((2, 2), 1000))


@pytest.mark.parametrize(("code", "words"), [(1, "busy"), (2, "command"), (3, "range"), (9, "code 9")])
def test_a_refusal_is_told_in_words(merlin: Merlin, code: int, words: str) -> None:
    merlin.codes["NUMFRAMESTOACQUIRE"] = code
    with pytest.raises(InstrumentError, match=words):
        ArmedMerlin(Control("127.0.0.1", merlin.control_port), PLAN).begin(PLAN, 1)


def test_a_detector_that_does_not_stop(merlin: Merlin) -> None:
    merlin.values["DETECTORSTATUS"] = "1"
    merlin.codes["ABORT"] = 0
    merlin.end = lambda: None  # type: ignore[method-assign]
    controller = ArmedMerlin(Control("127.0.0.1", merlin.control_port), PLAN, stop_s=0.1)
    with pytest.raises(NotConnected, match="still busy"):
        controller.begin(PLAN, 1)
