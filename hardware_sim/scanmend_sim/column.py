"""The electron column: the probe's size, and where the probe really is when the scan wants it somewhere."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from scanmend.errors import InvalidInput
from scanmend_sim.noise import Jitter, Times, Walk, fold
from scanmend_sim.scan_generator import Stretch

FWHM_PER_SIGMA = 2.0 * math.sqrt(2.0 * math.log(2.0))
"""Full width at half maximum of a Gaussian over its standard deviation (2.355)."""

MOST_OVERSAMPLED_PIXELS = 1 << 21
"""Fields up to this many pixels are kept at twice their resolution, which makes straight interpolation exact enough."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """What a column does to the scan; the defaults are a column without flaws.

    Raises:
        InvalidInput: A negative or infinite setting.
    """

    probe_fwhm_nm: float = 0.0
    """Full width of the probe at half its maximum; 0 is a point."""

    tail_share: float = 0.0
    """Share of the current that is in a wider tail of the probe."""

    tail_fwhm_nm: float = 0.0
    """Full width of that tail at half its maximum."""

    drift_x_nm_per_s: float = 0.0
    """Steady drift of the specimen along x."""

    drift_y_nm_per_s: float = 0.0
    """Steady drift of the specimen along y."""

    walk_nm_per_sqrt_s: float = 0.0
    """Random drift: standard deviation along each axis after one second, growing with the square root of time."""

    drift_limit_px: float = 24.0
    """Where drift turns back, as if somebody brought the stage back, in pixels."""

    jitter_nm: float = 0.0
    """Standard deviation of the fast, random error of position along x; half of it along y."""

    jitter_period_us: float = 200.0
    """Time over which that error changes."""

    hum_nm: float = 0.0
    """Amplitude of the error of position along x that the mains cause."""

    hum_hz: float = 50.0
    """Frequency of the mains."""

    settle_time_us: float = 0.0
    """Time in which the deflection's error after a jump falls by e; 0 follows at once."""

    flicker: float = 0.0
    """Standard deviation of the beam current relative to its mean; it changes with `jitter_period_us`."""

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            signed = item.name in ("drift_x_nm_per_s", "drift_y_nm_per_s")
            if not math.isfinite(value) or (value < 0 and not signed):
                raise InvalidInput(f"The column's {item.name} is {value}.", mend="Give a number of 0 or more.")
        if self.tail_share > 1 or self.flicker > 0.5 or self.jitter_period_us <= 0 or self.drift_limit_px < 1:
            raise InvalidInput(
                "The column's settings are out of range.",
                mend="Keep tail_share ≤ 1, flicker ≤ 0.5, jitter_period_us > 0 and drift_limit_px ≥ 1.",
            )

    @property
    def moves(self) -> bool:
        """Whether the probe is ever elsewhere than it should be."""
        return any(
            (
                self.drift_x_nm_per_s,
                self.drift_y_nm_per_s,
                self.walk_nm_per_sqrt_s,
                self.jitter_nm,
                self.hum_nm,
                self.settle_time_us,
            )
        )

    def transfer(self, frequency_px: npt.NDArray[np.floating], pixel_size_nm: float) -> npt.NDArray[np.floating]:
        """Give the probe's transfer function: the Fourier transform of two Gaussians.

        Args:
            frequency_px: Spatial frequency in cycles a pixel.
            pixel_size_nm: Pixel size in nm.

        Returns:
            Factors from 0 to 1, shaped like `frequency_px`.
        """

        def gaussian(fwhm_nm: float) -> npt.NDArray[np.floating]:
            sigma_px = fwhm_nm / FWHM_PER_SIGMA / pixel_size_nm
            return np.asarray(np.exp(-2.0 * (np.pi * sigma_px * frequency_px) ** 2))

        core = gaussian(self.probe_fwhm_nm)
        if self.tail_share == 0:
            return core
        return np.asarray((1.0 - self.tail_share) * core + self.tail_share * gaussian(self.tail_fwhm_nm))


class Scene:
    """A specimen as the probe sees it: blurred once, then sampled at any place."""

    def __init__(self, picture: npt.NDArray[np.float32], column: Column, pixel_size_nm: float) -> None:
        """Blur the specimen.

        Args:
            picture: float32 (ny, nx), relative signal of the specimen.
            column: Whose probe it is.
            pixel_size_nm: Pixel size in nm.
        """
        ny, nx = picture.shape
        self.sharp = picture
        rim = math.ceil(column.drift_limit_px) + 8 if column.moves else 0
        widest = max(column.probe_fwhm_nm, column.tail_fwhm_nm if column.tail_share else 0.0)
        blur_rim = math.ceil(2 * widest / pixel_size_nm) + 1 if widest else 0
        self._rim = tuple(min(max(rim, blur_rim), side - 1) for side in (ny, nx))
        self._scale = 2 if column.moves and picture.size <= MOST_OVERSAMPLED_PIXELS else 1
        padded = np.pad(picture, [(side, side) for side in self._rim], mode="reflect")
        if widest or self._scale == 2:
            padded = _filtered(padded, column, pixel_size_nm, self._scale)
        self._padded = np.ascontiguousarray(padded, dtype=np.float32)
        top, left = (self._scale * side for side in self._rim)
        step = self._scale
        inside = self._padded[top : top + step * ny : step, left : left + step * nx : step]
        self.blurred = np.ascontiguousarray(inside)
        """float32 (ny, nx): what an endless dose would show of the whole field, without drift or distortion."""

    def sample(self, y: Times, x: Times) -> npt.NDArray[np.float32]:
        """Give the relative signal at places between pixels; those beyond the rim are taken at its edge.

        Args:
            y: Lines, (n,).
            x: Columns, (n,).

        Returns:
            float32 (n,).
        """
        height, width = self._padded.shape
        row = np.clip(y * self._scale + self._scale * self._rim[0], 0.0, height - 1.001).astype(np.float32)
        column = np.clip(x * self._scale + self._scale * self._rim[1], 0.0, width - 1.001).astype(np.float32)
        y0, x0 = row.astype(np.int32), column.astype(np.int32)
        fy, fx = row - y0, column - x0
        flat = self._padded.reshape(-1)
        down, right = (width if height > 1 else 0), (1 if width > 1 else 0)
        corner = y0 * np.int32(width) + x0
        upper, lower = flat.take(corner), flat.take(corner + down)
        upper += fx * (flat.take(corner + right) - upper)
        lower += fx * (flat.take(corner + (down + right)) - lower)
        return np.asarray(upper + fy * (lower - upper), dtype=np.float32)


def _filtered(
    padded: npt.NDArray[np.float32], column: Column, pixel_size_nm: float, scale: int
) -> npt.NDArray[np.float32]:
    """Blur with the probe and, by zero-padding the spectrum, enlarge `scale` times."""
    ny, nx = padded.shape
    fy = np.fft.fftfreq(ny).astype(np.float32)[:, None]
    fx = np.fft.rfftfreq(nx).astype(np.float32)[None, :]
    spectrum = np.fft.rfft2(padded) * column.transfer(np.hypot(fy, fx), pixel_size_nm)
    if scale == 1:
        return np.maximum(np.fft.irfft2(spectrum, s=padded.shape), 0.0).astype(np.float32)
    wide = np.zeros((scale * ny, scale * nx // 2 + 1), dtype=spectrum.dtype)
    upper, lower = (ny + 1) // 2, ny // 2
    wide[:upper, : spectrum.shape[1]] = spectrum[:upper]
    wide[scale * ny - lower :, : spectrum.shape[1]] = spectrum[upper:]
    if nx % 2 == 0:
        wide[:, nx // 2] *= 0.5  # the highest frequency stands for both of its signs
    if ny % 2 == 0:
        wide[scale * ny - lower] *= 0.5
        wide[lower] = wide[scale * ny - lower]
    return np.maximum(np.fft.irfft2(wide, s=(scale * ny, scale * nx)) * scale**2, 0.0).astype(np.float32)


class Beam:
    """One column at work: its random motions, and the places that they lead the probe to."""

    def __init__(self, column: Column, pixel_size_nm: float, seed: int) -> None:
        """Switch on.

        Args:
            column: What the column does.
            pixel_size_nm: Pixel size in nm.
            seed: Of all random motions.
        """
        self._column = column
        self._px = pixel_size_nm
        streams = [np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(6)]
        period = column.jitter_period_us * 1e3
        self._walks = [Walk(rng, column.walk_nm_per_sqrt_s) for rng in streams[:2]]
        self._jitter_y = Jitter(streams[2], 0.5 * column.jitter_nm, period)
        self._jitter_x = Jitter(streams[3], column.jitter_nm, period)
        self._flicker = Jitter(streams[4], column.flicker, period)
        self._phase = float(streams[5].uniform(0.0, 2.0 * np.pi))

    def drift_px(self, times_ns: Times) -> tuple[Times, Times]:
        """Give how far the specimen has drifted, along y and along x, in pixels."""
        limit = self._column.drift_limit_px
        seconds = times_ns * 1e-9
        steady = (self._column.drift_y_nm_per_s, self._column.drift_x_nm_per_s)
        away_y, away_x = (
            fold((speed * seconds + walk.at(times_ns)) / self._px, limit)
            for speed, walk in zip(steady, self._walks, strict=True)
        )
        return away_y, away_x

    def places(self, stretch: Stretch, pass_start_ns: int) -> tuple[Times, Times]:
        """Give where on the specimen the probe is, in pixels, half-way through each dwell.

        The specimen's drift, jitter and hum depend on the time; the deflection lags after jumps.

        Args:
            stretch: The points, with their times within the pass.
            pass_start_ns: When the pass began, in nanoseconds since the microscope was switched on.

        Returns:
            Lines and columns, float64 (n,).
        """
        times = stretch.middle_ns() + float(pass_start_ns)
        y, x = stretch.y.astype(np.float64), stretch.x.astype(np.float64)
        column = self._column
        if column.drift_x_nm_per_s or column.drift_y_nm_per_s or column.walk_nm_per_sqrt_s:
            # Drift is slow: thousands of points share a straight piece of it.
            knots = np.linspace(times[0], times[-1], max(2, min(len(times), int((times[-1] - times[0]) / 1e6) + 2)))
            away_y, away_x = self.drift_px(knots)
            y -= np.interp(times, knots, away_y)
            x -= np.interp(times, knots, away_x)
        if not self._jitter_x.still:
            y += self._jitter_y.at(times) / self._px
            x += self._jitter_x.at(times) / self._px
        if column.hum_nm:
            x += column.hum_nm / self._px * np.sin(times * (2e-9 * np.pi * column.hum_hz) + self._phase)
        if column.settle_time_us:
            since_ns, jump_y, jump_x = stretch.last_jumps()
            left = np.exp(-since_ns / (column.settle_time_us * 1e3))
            y -= jump_y * left
            x -= jump_x * left
        return y, x

    def current(self, stretch: Stretch, pass_start_ns: int) -> Times | None:
        """Give the beam current relative to its mean at each point, or None where it is steady."""
        if self._flicker.still:
            return None
        return np.maximum(1.0 + self._flicker.at(stretch.middle_ns() + float(pass_start_ns)), 0.0)
