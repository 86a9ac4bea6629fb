"""Virtual detectors: the sums, their noise as it really is, and sparse scans."""

from __future__ import annotations

import numpy as np
import pytest

from scanmend.errors import InvalidInput
from scanmend.plan import ScanPlan
from scanmend.sources.reducers import CameraNoise, Reducer
from scanmend.sources.shapes import Annular, CentreOfMass, Disk, Segments, parse_detector
from scanmend_sim.dectris.diffraction import Diffraction

SHAPE = (33, 40)
EVERY = (
    Disk(radius=6, name="BF"),
    Annular(inner=8, outer=15, name="HAADF", cx=20, cy=16),
    Segments(inner=2, outer=14, count=4, rotation_deg=10),
    CentreOfMass(radius=9),
)


def slow(detector: object, image: np.ndarray, dead: np.ndarray) -> list[float]:
    """What a detector should give, pixel by pixel."""
    height, width = image.shape
    cx = (width - 1) / 2 if detector.cx is None else detector.cx
    cy = (height - 1) / 2 if detector.cy is None else detector.cy
    parts = [0.0] * {Disk: 1, Annular: 1, Segments: 4, CentreOfMass: 2}[type(detector)]
    for y in range(height):
        for x in range(width):
            dx, dy, value = x - cx, y - cy, float(image[y, x]) * (not dead[y, x])
            radius = np.hypot(dx, dy)
            match detector:
                case Disk(radius=outer) if radius < outer:
                    parts[0] += value
                case Annular(inner=inner, outer=outer) if inner <= radius < outer:
                    parts[0] += value
                case Segments(inner=inner, outer=outer) if inner <= radius < outer:
                    parts[int((np.degrees(np.arctan2(dy, dx)) - 10) % 360 // 90)] += value
                case CentreOfMass(radius=outer) if radius < outer:
                    parts[0] += dx * value
                    parts[1] += dy * value
    return parts


@pytest.mark.parametrize("dtype", ["uint8", "uint16", ">u2", "uint32", "float32"])
def test_the_matrix_product_is_the_sum_over_pixels(dtype: str) -> None:
    rng = np.random.default_rng(1)
    stack = rng.integers(0, 200, (7, *SHAPE)).astype(dtype)
    dead = rng.random(SHAPE) < 0.05
    reducer = Reducer(EVERY, SHAPE, dead=dead)
    expected = np.array([sum((slow(detector, image, dead) for detector in EVERY), []) for image in stack]).T
    np.testing.assert_allclose(reducer.reduce(stack), expected, rtol=1e-6, atol=0.05)
    names = [channel.name for channel in reducer.channels]
    assert names == ["BF", "HAADF", "segments_0", "segments_1", "segments_2", "segments_3", "com_x", "com_y"]


def test_blocks_and_left_out_pixels_change_nothing() -> None:
    stack = np.random.default_rng(2).poisson(3, (600, 64, 64)).astype(np.uint16)
    small = Reducer([Disk(radius=5)], (64, 64)).reduce(stack)
    both = Reducer([Disk(radius=5), Disk(radius=60, name="all")], (64, 64)).reduce(stack)
    np.testing.assert_array_equal(small[0], both[0])
    np.testing.assert_array_equal(both[1], stack.sum(axis=(1, 2)))


def test_each_channel_has_the_noise_that_its_samples_have() -> None:
    """The variance over many draws of one image is what `gain · (value − offset) + read noise²` says."""
    electrons, draws = 300.0, 4000
    scene = Diffraction(np.full((2, 2), 0.3), (32, 32), electrons, disc_px=8, ring_px=(10, 15), seed=3)
    mean = scene.mean(np.zeros(1, np.int64))[0]
    stack = np.random.default_rng(4).poisson(mean, (draws, 32, 32)).astype(np.uint16)
    disc_only = np.random.default_rng(5).poisson(
        electrons * (mean > mean.max() / 2) / (mean > mean.max() / 2).sum(), (draws, 32, 32)
    )
    detectors = [Disk(radius=9, name="BF"), Annular(inner=9.5, outer=16), CentreOfMass(radius=8.5)]
    reducer = Reducer(detectors, (32, 32), electrons=electrons)
    for channel, values, tolerance in zip(
        reducer.channels,
        [*reducer.reduce(stack)[:2], *reducer.reduce(disc_only.astype(np.uint16))[2:]],
        [0.1, 0.1, 0.15, 0.15],
        strict=True,
    ):
        said = channel.units_per_electron * (values.mean() - channel.offset_units) + channel.read_noise_units**2
        assert said == pytest.approx(values.var(), rel=tolerance), channel.name


def test_a_camera_with_offset_and_read_noise() -> None:
    camera = CameraNoise(units_per_electron=20.0, offset_units=5.0, read_noise_units=2.0)
    reducer = Reducer([Disk(radius=4)], (16, 16), camera=camera)
    pixels = float(reducer.reduce(np.ones((1, 16, 16), np.uint16))[0, 0])
    (channel,) = reducer.channels
    assert channel.offset_units == 5.0 * pixels and channel.units_per_electron == 20.0
    assert channel.read_noise_units == pytest.approx(2.0 * np.sqrt(pixels))


def test_moments_without_a_beam_current_leave_the_noise_to_the_service() -> None:
    x, y = Reducer([CentreOfMass(radius=5)], (16, 16)).channels
    assert (
        x.units_per_electron is None and y.units_per_electron is None and x.offset_units == pytest.approx(0, abs=1e-3)
    )


def test_an_image_without_an_electron_has_moments_of_zero() -> None:
    values = Reducer(EVERY, SHAPE, electrons=10.0).reduce(np.zeros((2, *SHAPE), np.uint16))
    assert np.isfinite(values).all() and not values.any()


def test_the_points_of_a_sparse_plan_are_reduced_as_those_of_a_raster() -> None:
    signal = np.linspace(0, 1, 12 * 14).reshape(12, 14)
    scene = Diffraction(signal, (24, 24), 4000.0, disc_px=5, ring_px=(7, 11))
    plan = ScanPlan.jittered_grid((12, 14), 1000, pitch_px=2.0, seed=3)
    haadf = Reducer([Annular(inner=6.5, outer=12)], (24, 24)).reduce(scene.images(plan))[0]
    expected = 4000.0 * signal.ravel()[plan.pixels]
    assert np.abs(haadf - expected).max() < 6 * np.sqrt(4000.0) and haadf.size == plan.points
    assert np.corrcoef(haadf, expected)[0, 1] > 0.99


def test_the_centre_of_mass_follows_the_slope() -> None:
    signal = np.tile(np.sin(np.arange(32) / 3), (32, 1)) * 0.4 + 0.5
    scene = Diffraction(signal, (32, 32), 20000.0, disc_px=8, ring_px=(13, 15), bend_px=4.0)
    reducer = Reducer([Disk(radius=11), CentreOfMass(radius=11)], (32, 32))
    total, moment_x, moment_y = reducer.reduce(scene.images(ScanPlan.raster(signal.shape, 1000)))
    slope = 4.0 * np.gradient(signal)[1].ravel()
    assert np.corrcoef(moment_x / total, slope)[0, 1] > 0.97
    assert np.abs(moment_x / total - slope).max() < 0.5 and np.abs(moment_y / total).max() < 0.5


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("ring:inner=1,outer=2", "no virtual detector"),
        ("disk", "not complete"),
        ("disk:radius=x", "no number"),
        ("disk:radius=-1", "no area"),
        ("annular:inner=9,outer=3", "no area"),
        ("annular:inner=nan,outer=3", "no area"),
        ("segments:inner=1,outer=3,count=99", "segments"),
        ("disk:radios=3", "radios"),
    ],
)
def test_a_detector_that_cannot_be_is_refused_with_its_mend(text: str, wrong: str) -> None:
    with pytest.raises(InvalidInput, match=wrong) as caught:
        parse_detector(text)
    assert caught.value.mend


def test_detectors_are_read_as_they_are_written() -> None:
    assert parse_detector("annular:inner=3,outer=9,name=HAADF,cx=1.5") == Annular(
        inner=3, outer=9, name="HAADF", cx=1.5
    )
    assert parse_detector("segments:inner=1,outer=3,count=8").count == 8
    with pytest.raises(InvalidInput, match="covers no pixel"):
        Reducer([Annular(inner=100, outer=110)], SHAPE)
