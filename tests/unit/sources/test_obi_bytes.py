"""Open Beam Interface's bytes: golden ones worked out by hand, and a stream of answers that loses, gains and cuts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scanmend.errors import InvalidInput, MalformedMessage, PlanError
from scanmend.sources.obi.commands import (
    MAX_ARRAY,
    MAX_CODE,
    Abort,
    BeamSelect,
    Blank,
    Command,
    CommandReader,
    Delay,
    ExternalControl,
    Flush,
    RasterRegion,
    RasterRun,
    Synchronize,
    VectorPixels,
    encode,
)
from scanmend.sources.obi.geometry import Geometry
from scanmend.sources.obi.replies import Block, Cookies, ReplyReader


def pixels(*points: tuple[int, int, int]) -> VectorPixels:
    table = np.array(points, np.int64)
    return VectorPixels(*(table[:, column].astype(np.uint16) for column in range(3)))


GOLDEN: list[tuple[Command, str]] = [
    # type << 4 | flags, then big-endian u16 values; bit 0 raster, bits 1 and 2 the output mode
    (Synchronize(0x1234), "00 1234"),
    (Synchronize(0xABCD, raster=True, output=1), "03 abcd"),
    (Abort(), "10"),
    (Flush(), "20"),
    (ExternalControl(True), "31"),
    (ExternalControl(False), "30"),
    (BeamSelect(2), "42"),
    (Blank(True), "51"),
    (Blank(False, inline=True), "52"),
    (Blank(True, inline=True), "53"),
    # 100 µs in units of 1/48 µs: 4800 = 0x12c0
    (Delay(4800), "60 12c0"),
    # 512 pixels across the whole range: 16384 / 512 = 32 positions, 32 · 256 = 0x2000
    (RasterRegion(0, 512, 0x2000, 0x10, 0x100, 0x2000), "a0 0000 0200 2000 0010 0100 2000"),
    # 512 pixels: 511 = 0x1ff; a dwell of 2 µs: 16 units
    (RasterRun(512, 16), "c0 01ff 0010"),
    # 8.191875 ms, the longest dwell: 0xffff units
    (pixels((0x3FFF, 0x0001, 0xFFFF)), "e0 3fff 0001 ffff"),
    # two pixels: an array of 2 − 1
    (pixels((1, 2, 3), (0x0456, 0x3FFF, 0x0010)), "8e 0001 0001 0002 0003 0456 3fff 0010"),
]


@pytest.mark.parametrize(("command", "expected"), GOLDEN, ids=lambda value: value if isinstance(value, str) else "")
def test_golden_bytes(command: Command, expected: str) -> None:
    data = bytes.fromhex(expected)
    assert encode(command) == data
    assert CommandReader().feed(data) == [command]


WORDS = st.integers(0, 0xFFFF)
DWELLS = st.integers(1, 0xFFFF)
CODES = st.integers(0, MAX_CODE)
POINTS = st.lists(st.tuples(CODES, CODES, DWELLS), min_size=1, max_size=40).map(lambda points: pixels(*points))
COMMANDS: Any = st.one_of(
    st.builds(Synchronize, WORDS, st.booleans(), st.integers(0, 2)),
    st.sampled_from([Abort(), Flush()]),
    st.builds(ExternalControl, st.booleans()),
    st.builds(BeamSelect, st.integers(0, 2)),
    st.builds(Blank, st.booleans(), st.booleans()),
    st.builds(Delay, WORDS),
    st.builds(RasterRegion, CODES, CODES, WORDS, CODES, CODES, WORDS),
    st.builds(RasterRun, st.integers(1, 1 << 16), DWELLS),
    POINTS,
)


@given(st.lists(COMMANDS, max_size=8), st.lists(st.integers(1, 20), min_size=1, max_size=5))
def test_commands_survive_the_wire_however_it_cuts_them(commands: list[Command], cuts: list[int]) -> None:
    data, reader, found, at = encode(*commands), CommandReader(), [], 0
    while at < len(data):
        for size in cuts:
            found += reader.feed(data[at : at + size])
            at += size
    assert found == commands


def test_an_array_of_the_largest_size() -> None:
    most = pixels(*[(1, 2, 3)] * MAX_ARRAY)
    assert encode(most)[:3] == b"\x8e\xff\xff" and CommandReader().feed(encode(most)) == [most]
    with pytest.raises(InvalidInput, match="array"):
        encode(pixels(*[(1, 2, 3)] * (MAX_ARRAY + 1)))


@pytest.mark.parametrize(
    "command",
    [
        Synchronize(1 << 16),
        Synchronize(1, output=3),
        BeamSelect(4),
        Delay(-1),
        RasterRun(0, 1),
        RasterRun(1, 0),
        RasterRegion(1 << 14, 1, 1, 1, 1, 1),
        pixels((0, 0, 0)),
        VectorPixels(np.array([1 << 14]), np.array([0]), np.array([1])),  # it would wrap silently in 14 bits
        VectorPixels(np.array([-1]), np.array([0]), np.array([1])),
        VectorPixels(np.array([0]), np.array([0]), np.array([1 << 16])),
        VectorPixels(np.array([], int), np.array([], int), np.array([], int)),
    ],
)
def test_what_no_field_can_hold_is_refused(command: Command) -> None:
    with pytest.raises(InvalidInput) as caught:
        encode(command)
    assert caught.value.mend


@pytest.mark.parametrize("data", [b"\x70", b"\xd0\x00\x01", b"\x8c\x00\x01"])
def test_commands_that_nobody_knows_end_the_reading(data: bytes) -> None:
    with pytest.raises(MalformedMessage):
        CommandReader().feed(data)


# Answers ----------------------------------------------------------------------------------------------------------


def sample(number: int) -> int:
    """What is measured at a point: another value at each, some with 0xff in their lower byte."""
    return (number * 255 + 0xFF) % (MAX_CODE + 1)


def stream(sizes: list[int]) -> tuple[list[Block], bytes]:
    """Blocks of these sizes, and all that the instrument answers."""
    cookies, blocks, data, first = Cookies(0x3FF0), [], b"", 0
    for size in sizes:
        block = Block(first, size, cookies.new())
        blocks.append(block)
        data += np.array([sample(first + one) for one in range(size)], ">u2").tobytes() + block.mark
        first += size
    return blocks, data


def read(blocks: list[Block], data: bytes, cuts: list[int]) -> tuple[dict[int, int], list[Block]]:
    """What is taken for the value of each point, and which blocks are lost or still open."""
    reader, taken, lost, at = ReplyReader(), {}, [], 0
    for block in blocks:
        reader.expect(block)
    answers = []
    while at < len(data):
        for size in cuts:
            answers += reader.feed(data[at : at + size])
            at += size
    for answer in [*answers, *reader.give_up("It is over.")]:
        if answer.values is None:
            assert answer.wrong
            lost.append(answer.block)
        else:
            taken.update(enumerate(map(int, answer.values), answer.block.first))
    assert not reader.asked
    return taken, lost


SIZES = st.lists(st.integers(1, 12), min_size=1, max_size=8)
CUTS = st.lists(st.integers(1, 30), min_size=1, max_size=4)


@given(SIZES, CUTS)
def test_every_answer_finds_its_point(sizes: list[int], cuts: list[int]) -> None:
    blocks, data = stream(sizes)
    taken, lost = read(blocks, data, cuts)
    assert taken == {number: sample(number) for number in range(sum(sizes))} and lost == []


@settings(max_examples=200)
@given(SIZES, CUTS, st.data())
def test_no_value_is_taken_for_another_points(sizes: list[int], cuts: list[int], draw: Any) -> None:
    blocks, data = stream(sizes)
    at = draw.draw(st.integers(0, len(data) - 1))
    match draw.draw(st.sampled_from(["drop", "insert", "repeat", "cut"])):
        case "drop":
            count = draw.draw(st.integers(1, len(data) - at))
            touched, data = (at, at + count), data[:at] + data[at + count :]
        case "insert":
            touched, data = (at, at + 1), data[:at] + draw.draw(st.binary(min_size=1, max_size=20)) + data[at:]
        case "repeat":
            count = draw.draw(st.integers(1, 20))
            touched, data = (at, at + count), data[: at + count] + data[at:]
        case _:
            touched, data = (at, len(data)), data[:at]
    taken, lost = read(blocks, data, cuts)
    assert all(value == sample(number) for number, value in taken.items())
    # A block far from the fault is not lost with it.
    ends = np.cumsum([block.samples_bytes + 4 for block in blocks])
    for block, end in zip(blocks, ends, strict=True):
        if end <= touched[0]:
            assert block not in lost and block.first in taken


def test_what_nobody_asked_for_belongs_to_nothing() -> None:
    reader = ReplyReader()
    assert reader.feed(b"\x01\x02\x03") == []
    blocks, data = stream([5])
    reader.expect(blocks[0])
    (answer,) = reader.feed(data)
    assert answer.values is not None and list(answer.values) == [sample(number) for number in range(5)]


def test_a_flood_without_a_mark_is_given_up() -> None:
    reader = ReplyReader()
    reader.expect(Block(0, 10, 1))
    (answer,) = reader.feed(bytes(100_000))
    assert answer.values is None and not reader.asked


def test_values_above_14_bits_are_no_samples() -> None:
    reader, block = ReplyReader(), Block(0, 1, 7)
    reader.expect(block)
    (answer,) = reader.feed(b"\x40\x00" + block.mark)
    assert answer.values is None and "14 bits" in answer.wrong


def test_cookies_differ_and_keep_their_upper_byte_low() -> None:
    cookies = Cookies()
    every = [cookies.new() for _ in range(0x3FFF)]
    assert len(set(every)) == len(every) and max(every) < 0x4000 and min(every) > 0


# Places -----------------------------------------------------------------------------------------------------------


@given(st.integers(1, 300), st.integers(1, 300))
def test_a_pixel_comes_back_from_its_position(ny: int, nx: int) -> None:
    geometry = Geometry.of((ny, nx))
    x, y = np.meshgrid(np.arange(nx), np.arange(ny))
    codes = geometry.codes(x.reshape(-1), y.reshape(-1))
    assert codes[0].max() <= MAX_CODE and codes[1].max() <= MAX_CODE
    back_x, back_y, inside = geometry.pixels(*codes)
    assert inside.all() and (back_x == x.reshape(-1)).all() and (back_y == y.reshape(-1)).all()


def test_a_field_lies_in_the_middle_and_may_not_be_larger_than_the_range() -> None:
    geometry = Geometry.of((128, 512))
    x, y = geometry.codes(np.array([0, 511]), np.array([0, 127]))
    assert list(x) == [16, 16368] and list(y) == [6160, 10224]
    with pytest.raises(PlanError, match="positions"):
        Geometry.of((1, 16385))
