"""The column: blur width, drift, distortion, and sampling between pixels."""

from __future__ import annotations

import numpy as np
import pytest

from scanmend.errors import InvalidInput
from scanmend.plan import ScanPlan
from scanmend_sim.column import FWHM_PER_SIGMA, Beam, Column, Scene
from scanmend_sim.noise import Jitter, Walk, fold
from scanmend_sim.scan_generator import ScanGenerator


def dot(side: int = 65) -> np.ndarray:
    picture = np.zeros((side, side), np.float32)
    picture[side // 2, side // 2] = 1
    return picture


def width_px(picture: np.ndarray) -> float:
    """Full width at half maximum of a Gaussian of this peak and sum: peak = sum / (2πσ²)."""
    return FWHM_PER_SIGMA * float(np.sqrt(picture.sum() / (2 * np.pi * picture.max())))


@pytest.mark.parametrize("moving", [False, True])
@pytest.mark.parametrize("fwhm_px", [2.0, 4.0, 9.0])
def test_the_probe_has_its_width_and_keeps_the_signal(fwhm_px: float, moving: bool) -> None:
    column = Column(probe_fwhm_nm=fwhm_px * 0.5, hum_nm=1e-9 if moving else 0.0)
    blurred = Scene(dot(), column, pixel_size_nm=0.5).blurred
    assert width_px(blurred) == pytest.approx(fwhm_px, rel=0.03)
    assert blurred.sum() == pytest.approx(1, rel=0.015)


def test_a_tail_takes_its_share_from_the_peak() -> None:
    core = Scene(dot(), Column(probe_fwhm_nm=3.0), 1.0).blurred
    both = Scene(dot(), Column(probe_fwhm_nm=3.0, tail_share=0.3, tail_fwhm_nm=14.0), 1.0).blurred
    assert both.max() == pytest.approx(0.7 * core.max() + 0.3 * core.max() * (3 / 14) ** 2, rel=0.02)
    assert both.sum() == pytest.approx(1, rel=0.02)


def test_without_blur_the_picture_is_as_it_was() -> None:
    picture = np.random.default_rng(0).random((20, 31), dtype=np.float32)
    assert np.array_equal(Scene(picture, Column(), 1.0).blurred, picture)


@pytest.mark.parametrize("shape", [(40, 56), (41, 57), (40, 57), (41, 56)])
def test_sampling_between_pixels_follows_a_smooth_picture(shape: tuple[int, int]) -> None:
    def truth(y: np.ndarray, x: np.ndarray) -> np.ndarray:
        return 0.5 + 0.4 * np.cos(0.7 * y) * np.cos(0.5 * x)

    y, x = np.indices(shape).astype(float)
    scene = Scene(truth(y, x).astype(np.float32), Column(hum_nm=1e-9), 1.0)
    rng = np.random.default_rng(3)
    at_y, at_x = (rng.uniform(8, side - 9, 4000) for side in shape)
    assert np.abs(scene.sample(at_y, at_x) - truth(at_y, at_x)).max() < 0.03
    assert scene.sample(y.ravel(), x.ravel()).reshape(shape) == pytest.approx(truth(y, x), abs=2e-3)


def test_places_far_outside_are_taken_at_the_rim() -> None:
    scene = Scene(dot(16), Column(drift_x_nm_per_s=1.0), 1.0)
    outside = scene.sample(np.array([-1e9, 1e9, 3.0]), np.array([0.0, -1e9, 1e9]))
    assert np.isfinite(outside).all()


def places(column: Column, plan: ScanPlan, seed: int = 0, at_ns: int = 0) -> tuple[np.ndarray, np.ndarray]:
    stretch = ScanGenerator().scan(plan).stretch()
    y, x = Beam(column, 0.5, seed).places(stretch, at_ns)
    return y - stretch.y, x - stretch.x


RASTER = ScanPlan.raster((64, 64), 1000)


def test_a_flawless_column_is_where_it_should_be() -> None:
    dy, dx = places(Column(), RASTER)
    assert not dy.any()
    assert not dx.any()


def test_steady_drift_moves_the_specimen_by_speed_times_time() -> None:
    dy, dx = places(Column(drift_x_nm_per_s=3.0, drift_y_nm_per_s=-1.0), RASTER, at_ns=2_000_000_000)
    assert dx.mean() == pytest.approx(-3.0 * 2.002 / 0.5, rel=0.002)
    assert dy.mean() == pytest.approx(1.0 * 2.002 / 0.5, rel=0.002)


def test_drift_turns_back_at_its_limit() -> None:
    beam = Beam(Column(drift_x_nm_per_s=5.0, drift_limit_px=10.0), 0.5, 0)
    _, x = beam.drift_px(np.linspace(0, 60e9, 5000))
    assert x.max() == pytest.approx(10, abs=0.1)
    assert x.min() == pytest.approx(-10, abs=0.1)
    assert np.abs(np.diff(x)).max() < 0.2, "no jumps"


def test_fold_goes_on_at_first_and_stays_within() -> None:
    assert fold(np.array([0.0, 0.5, 2.0, 2.5, 4.0, 6.0, 8.0, -0.5]), 2.0) == pytest.approx(
        [0, 0.5, 2, 1.5, 0, -2, 0, -0.5]
    )


def test_a_random_walk_grows_with_the_square_root_of_time() -> None:
    ends = np.array([Walk(np.random.default_rng(seed), 0.7).at(np.array([1e9, 4e9])) for seed in range(600)])
    assert ends[:, 0].std() == pytest.approx(0.7, rel=0.1)
    assert ends[:, 1].std() == pytest.approx(1.4, rel=0.1)


def test_a_walk_does_not_depend_on_when_it_is_asked() -> None:
    times = np.linspace(0, 30e9, 200)
    at_once = Walk(np.random.default_rng(4), 1.0).at(times)
    piecemeal = Walk(np.random.default_rng(4), 1.0)
    assert np.array_equal(at_once, np.concatenate([piecemeal.at(part) for part in np.split(times, 8)]))


def test_jitter_has_its_spread_and_repeats_for_the_same_time() -> None:
    jitter = Jitter(np.random.default_rng(0), 0.3, 1000.0)
    times = np.random.default_rng(1).uniform(0, 1e12, 100_000)
    assert jitter.at(times).std() == pytest.approx(0.3, rel=0.03)
    assert np.array_equal(jitter.at(times[:5]), jitter.at(times[:5]))


def test_jitter_is_stronger_along_x() -> None:
    dy, dx = places(Column(jitter_nm=0.2, jitter_period_us=5.0), RASTER)
    assert dx.std() == pytest.approx(0.4, rel=0.1)
    assert dy.std() == pytest.approx(0.2, rel=0.1)


def test_settling_bends_the_left_edge_only() -> None:
    dy, dx = places(Column(settle_time_us=3.0), RASTER)
    dx = dx.reshape(64, 64)
    assert dx[0] == pytest.approx(0), "the first line follows no jump"
    first = 63 * np.exp(-0.5 / 3.0)
    assert dx[1:, 0] == pytest.approx(first)
    assert dx[1:, 3] == pytest.approx(first * np.exp(-1.0))
    assert np.abs(dx[:, 40:]).max() < 1e-3


def test_hum_has_its_amplitude_and_the_mains_period() -> None:
    _, dx = places(Column(hum_nm=1.0, hum_hz=50.0), ScanPlan.raster((64, 64), 10_000))
    assert np.abs(dx).max() == pytest.approx(2.0, rel=0.01)
    half_a_period = 1000  # points of 10 µs in 10 ms
    assert dx[:-half_a_period] == pytest.approx(-dx[half_a_period:], abs=1e-6)


def test_the_same_seed_gives_the_same_motion() -> None:
    restless = Column(walk_nm_per_sqrt_s=2.0, jitter_nm=0.3, hum_nm=0.1)
    first, again, other = (places(restless, RASTER, seed=seed)[1] for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(
    "wrong",
    [
        {"probe_fwhm_nm": -1.0},
        {"flicker": 0.9},
        {"tail_share": 2.0},
        {"hum_nm": float("nan")},
        {"jitter_period_us": 0.0},
    ],
)
def test_impossible_columns_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(InvalidInput):
        Column(**wrong)
