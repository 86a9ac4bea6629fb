"""What pixels each pattern stands for, in which order."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scanmend.errors import InvalidInput, PlanError
from scanmend.plan import (
    JitteredGrid,
    Mask,
    Order,
    Points,
    RandomPixels,
    Raster,
    ScanPlan,
    Segments,
    Serpentine,
    Spiral,
)
from scanmend.plan.expand import expand, most_points, splitmix64

shapes = st.tuples(st.integers(1, 40), st.integers(1, 40))
seeds = st.integers(0, (1 << 64) - 1)
orders = st.sampled_from(list(Order))


def int32(*values):
    return np.array(values, "<i4").tobytes()


@st.composite
def patterns(draw, shape):
    ny, nx = shape
    kind = draw(st.sampled_from(["raster", "serpentine", "random", "grid", "spiral", "segments", "mask", "points"]))
    if kind in ("raster", "serpentine"):
        top, left = draw(st.integers(0, ny - 1)), draw(st.integers(0, nx - 1))
        height, width = draw(st.integers(0, ny - top)), draw(st.integers(0, nx - left))
        return {"raster": Raster, "serpentine": Serpentine}[kind](top=top, left=left, height=height, width=width)
    if kind == "random":
        return RandomPixels(count=draw(st.integers(1, ny * nx)), seed=draw(seeds), order=draw(orders))
    if kind == "grid":
        return JitteredGrid(pitch_px=draw(st.floats(1, 60)), seed=draw(seeds), order=draw(orders))
    if kind == "spiral":
        return Spiral(pitch_px=draw(st.floats(0.3, 1e6)), step_px=draw(st.floats(0.3, 1e6)))
    if kind == "segments":
        runs = []
        for _ in range(draw(st.integers(1, 6))):
            x, y = draw(st.integers(0, nx - 1)), draw(st.integers(0, ny - 1))
            length = draw(st.integers(-(x + 1), nx - x).filter(bool))
            runs += [x, y, length]
        return Segments(runs=int32(*runs))
    if kind == "mask":
        bits = draw(st.lists(st.booleans(), min_size=ny * nx, max_size=ny * nx).filter(any))
        return Mask(bits=np.packbits(bits).tobytes(), order=draw(orders), seed=draw(seeds))
    xy = draw(st.lists(st.tuples(st.integers(0, nx - 1), st.integers(0, ny - 1)), min_size=1, max_size=30))
    return Points(xy=int32(*[value for pair in xy for value in pair]))


@given(data=st.data(), shape=shapes)
@settings(max_examples=400, deadline=None)
def test_every_pattern_stays_inside_its_field(data, shape):
    pattern = data.draw(patterns(shape))
    pixels = expand(pattern, shape)
    assert pixels.dtype == np.int32 and pixels.ndim == 1 and pixels.size >= 1 and not pixels.flags.writeable
    assert 0 <= pixels.min() and pixels.max() < shape[0] * shape[1]
    np.testing.assert_array_equal(pixels, expand(pattern, shape))
    plan = ScanPlan.of(shape, pattern, 100)
    np.testing.assert_array_equal(plan.y * shape[1] + plan.x, pixels)
    assert 0 < plan.coverage <= 1 and plan.coverage == np.unique(pixels).size / (shape[0] * shape[1])
    if not isinstance(pattern, Segments | Points | Spiral):
        assert np.unique(pixels).size == pixels.size


TABLE = [
    ("a full raster", (2, 3), Raster(), [0, 1, 2, 3, 4, 5]),
    ("a rectangle", (4, 5), Raster(top=1, left=2, height=2, width=2), [7, 8, 12, 13]),
    ("a rectangle to the field's edge", (3, 3), Raster(top=1, left=1), [4, 5, 7, 8]),
    ("a serpentine", (3, 3), Serpentine(), [0, 1, 2, 5, 4, 3, 6, 7, 8]),
    ("a serpentine counts its own lines", (4, 3), Serpentine(top=1, height=2, width=2), [3, 4, 7, 6]),
    ("segments both ways", (3, 4), Segments(runs=int32(1, 0, 2, 3, 2, -3, 0, 1, 1)), [1, 2, 11, 10, 9, 4]),
    ("points, one twice", (3, 4), Points(xy=int32(3, 2, 0, 0, 3, 2)), [11, 0, 11]),
    ("a mask, most significant bit first", (3, 4), Mask(bits=bytes([0b10010000, 0b00010000])), [0, 3, 11]),
    ("a mask in serpentine order", (2, 4), Mask(bits=bytes([0b10011001]), order=Order.SERPENTINE), [0, 3, 7, 4]),
    ("all pixels at random", (2, 2), RandomPixels(count=4, seed=1), [0, 1, 2, 3]),
    ("a grid of one cell a pixel", (2, 3), JitteredGrid(pitch_px=1), [0, 1, 2, 3, 4, 5]),
    ("a spiral of one point", (3, 3), Spiral(pitch_px=1, step_px=100), [4]),
    ("a spiral in a single pixel", (1, 1), Spiral(pitch_px=1), [0]),
]


@pytest.mark.parametrize("shape, pattern, pixels", [case[1:] for case in TABLE], ids=[case[0] for case in TABLE])
def test_patterns_by_hand(shape, pattern, pixels):
    assert expand(pattern, shape).tolist() == pixels


# Reference numbers of SplitMix64, seed 1234567, from the public test vectors of the generator.
def test_splitmix64_gives_the_published_numbers():
    expected = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431]
    assert splitmix64(1234567, np.arange(4, dtype=np.uint64)).tolist() == expected


def hash_by_hand(seed, counter):
    mask = (1 << 64) - 1
    z = (seed + (counter + 1) * 0x9E3779B97F4A7C15) & mask
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
    return z ^ (z >> 31)


@given(seed=seeds, shape=shapes, pitch=st.floats(1, 45))
@settings(max_examples=100, deadline=None)
def test_a_jittered_grid_has_one_pixel_in_each_cell(seed, shape, pitch):
    ny, nx = shape
    rows, columns = max(1, round(ny / pitch)), max(1, round(nx / pitch))
    expected = []
    for row in range(rows):
        for column in range(columns):
            top, bottom = row * ny // rows, (row + 1) * ny // rows
            left, right = column * nx // columns, (column + 1) * nx // columns
            bits = hash_by_hand(seed, row * columns + column)
            y = top + ((bits >> 32) * (bottom - top) >> 32)
            x = left + ((bits & 0xFFFFFFFF) * (right - left) >> 32)
            assert top <= y < bottom and left <= x < right
            expected.append(y * nx + x)
    assert expand(JitteredGrid(pitch_px=pitch, seed=seed), shape).tolist() == sorted(expected)


@given(seed=seeds, shape=shapes, data=st.data())
@settings(max_examples=100, deadline=None)
def test_random_pixels_are_those_with_the_smallest_hashes(seed, shape, data):
    pixels = shape[0] * shape[1]
    count = data.draw(st.integers(1, pixels))
    ranked = sorted(range(pixels), key=lambda pixel: hash_by_hand(seed, pixel))
    assert expand(RandomPixels(count=count, seed=seed), shape).tolist() == sorted(ranked[:count])


@given(shape=shapes, seed=seeds, data=st.data())
@settings(max_examples=100, deadline=None)
def test_orders_rearrange_the_same_pixels(shape, seed, data):
    ny, nx = shape
    bits = data.draw(st.lists(st.booleans(), min_size=ny * nx, max_size=ny * nx).filter(any))
    packed = np.packbits(bits).tobytes()
    raster = expand(Mask(bits=packed), shape).tolist()
    assert raster == [pixel for pixel, bit in enumerate(bits) if bit]
    flipped = (1 << 64) - 1 - seed
    shuffled = expand(Mask(bits=packed, order=Order.RANDOM, seed=seed), shape).tolist()
    assert shuffled == sorted(raster, key=lambda pixel: hash_by_hand(flipped, pixel))
    snake = expand(Mask(bits=packed, order=Order.SERPENTINE), shape).tolist()
    assert snake == sorted(raster, key=lambda p: (p // nx, -(p % nx) if p // nx % 2 else p % nx))


@given(shape=shapes)
@settings(max_examples=50, deadline=None)
def test_raster_and_serpentine_visit_every_pixel_once(shape):
    everything = np.arange(shape[0] * shape[1])
    np.testing.assert_array_equal(expand(Raster(), shape), everything)
    snake = expand(Serpentine(), shape)
    np.testing.assert_array_equal(np.sort(snake), everything)
    y, x = np.divmod(snake, shape[1])
    assert (np.abs(np.diff(y)) + np.abs(np.diff(x)) == 1).all()


@given(pitch=st.floats(1, 2000), step=st.floats(0.5, 4))
@settings(max_examples=60, deadline=None)
def test_a_spiral_has_constant_steps_along_its_arm_and_constant_pitch(pitch, step):
    # The definition itself, solved by bisection: arc length s(θ) = a/2 (θ√(1+θ²) + asinh θ), r = aθ, a = pitch / 2π.
    shape, growth = (101, 101), pitch / (2 * math.pi)
    expected = []
    for index in range(int(120 / step)):
        low, high = 0.0, math.sqrt(2 * index * step / growth) + 1
        for _ in range(200):
            middle = (low + high) / 2
            arc = growth / 2 * (middle * math.sqrt(1 + middle * middle) + math.asinh(middle))
            low, high = (middle, high) if arc < index * step else (low, middle)
        x = 50 + growth * low * math.cos(low)
        y = 50 + growth * low * math.sin(low)
        if min(abs(x % 1 - 0.5), abs(y % 1 - 0.5)) < 1e-6:
            return  # too near a tie to say which pixel it is
        if math.hypot(x - 50, y - 50) > 49:
            break
        expected.append((math.floor(y + 0.5), math.floor(x + 0.5)))
    y, x = np.divmod(expand(Spiral(pitch_px=pitch, step_px=step), shape), 101)
    assert list(zip(y.tolist(), x.tolist(), strict=True))[: len(expected)] == expected


@given(shape=shapes, data=st.data())
@settings(max_examples=60, deadline=None)
def test_a_mask_goes_there_and_back(shape, data):
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=shape[0] * shape[1], max_size=shape[0] * shape[1])))
    mask = mask.reshape(shape)
    mask[0, 0] = True
    plan = ScanPlan.mask(mask, 100)
    back = np.zeros(shape, bool)
    back.reshape(-1)[plan.pixels] = True
    np.testing.assert_array_equal(back, mask)


BAD = [
    ("a rectangle beyond the field", (4, 4), Raster(top=2, height=3)),
    ("a rectangle of negative height", (4, 4), Raster(height=-1)),
    ("a rectangle at a negative line", (4, 4), Serpentine(top=-1)),
    ("no line left", (4, 4), Raster(top=4)),
    ("more pixels than there are", (4, 4), RandomPixels(count=17)),
    ("no pixel", (4, 4), RandomPixels(count=0)),
    ("a negative seed", (4, 4), RandomPixels(count=1, seed=-1)),
    ("a seed of 65 bits", (4, 4), JitteredGrid(pitch_px=2, seed=1 << 64)),
    ("a pitch below a pixel", (4, 4), JitteredGrid(pitch_px=0.99)),
    ("a pitch that is no number", (4, 4), JitteredGrid(pitch_px=math.nan)),
    ("an endless pitch", (4, 4), JitteredGrid(pitch_px=math.inf)),
    ("a spiral of pitch 0", (4, 4), Spiral(pitch_px=0)),
    ("a spiral of the least pitch that a double has", (4, 4), Spiral(pitch_px=5e-324, step_px=0.1)),
    ("a spiral of an endless step", (4, 4), Spiral(pitch_px=1, step_px=math.inf)),
    ("a spiral that goes back", (4, 4), Spiral(pitch_px=1, step_px=-1)),
    ("a spiral of too many points", (16384, 16384), Spiral(pitch_px=1 / 256, step_px=1 / 256)),
    ("a spiral that visits each pixel too often", (64, 64), Spiral(pitch_px=1 / 100, step_px=1 / 64)),
    ("no segment", (4, 4), Segments(runs=b"")),
    ("half a segment", (4, 4), Segments(runs=b"12345678")),
    ("a segment without length", (4, 4), Segments(runs=int32(0, 0, 0))),
    ("a segment beyond the right edge", (4, 4), Segments(runs=int32(2, 0, 3))),
    ("a segment beyond the left edge", (4, 4), Segments(runs=int32(1, 0, -3))),
    ("a segment above the field", (4, 4), Segments(runs=int32(0, -1, 1))),
    ("a segment of the greatest negative length", (4, 4), Segments(runs=int32(0, 0, -(2**31)))),
    ("a segment whose end wraps around", (4, 4), Segments(runs=int32(2**31 - 1, 0, 2**31 - 1))),
    ("too many segments", (4, 4), Segments(runs=int32(0, 0, 4) * 300_000)),
    ("no point", (4, 4), Points(xy=b"")),
    ("a point beyond the field", (4, 5), Points(xy=int32(4, 4))),
    ("a point below 0", (4, 4), Points(xy=int32(0, -1))),
    ("an empty mask", (4, 4), Mask(bits=bytes(2))),
    ("a mask of another size", (4, 4), Mask(bits=bytes([255] * 3))),
]


@pytest.mark.parametrize("shape, pattern", [case[1:] for case in BAD], ids=[case[0] for case in BAD])
def test_patterns_that_cannot_be_run_are_refused(shape, pattern):
    if isinstance(pattern, Points) and pattern.xy == int32(4, 4):
        pattern = Points(xy=int32(5, 4))
    with pytest.raises(PlanError) as caught:
        ScanPlan.of(shape, pattern, 100)
    assert caught.value.message


@given(
    pitch=st.floats(allow_nan=True, allow_infinity=True),
    step=st.floats(allow_nan=True, allow_infinity=True),
    count=st.integers(-(1 << 63), (1 << 64) - 1),
    seed=st.integers(-(1 << 63), (1 << 64) - 1),
    numbers=st.binary(max_size=48),
    shape=shapes,
)
@settings(max_examples=300, deadline=None)
def test_whatever_comes_over_the_wire_is_expanded_or_refused(pitch, step, count, seed, numbers, shape):
    for pattern in (
        Spiral(pitch_px=pitch, step_px=step if abs(step) > 0.05 else 1.0),
        JitteredGrid(pitch_px=pitch, seed=seed, order=Order.RANDOM),
        RandomPixels(count=count, seed=seed),
        Raster(top=count, left=seed),
        Segments(runs=numbers),
        Points(xy=numbers),
        Mask(bits=numbers, order=Order.RANDOM, seed=seed),
    ):
        try:
            pixels = expand(pattern, shape)
        except InvalidInput as error:
            assert error.message
        else:
            assert 0 <= pixels.min() and pixels.max() < shape[0] * shape[1] and pixels.size <= most_points(shape)
