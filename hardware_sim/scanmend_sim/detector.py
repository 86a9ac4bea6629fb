"""Detectors: from the electrons that arrive to the numbers that are read out."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from scanmend.errors import InvalidInput
from scanmend.field import Channel, DetectorKind

Electrons = npt.NDArray[np.floating]
"""Mean or counted electrons of each point."""


class Sees(StrEnum):
    """Which electrons a detector catches."""

    SCATTERED = "scattered"
    """Those that make the specimen's signal: HAADF, SE, BSE."""

    REST = "rest"
    """The others, as a bright-field detector does: bright where the specimen is dark."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Detector:
    """One detector.

    A counting detector's sample is `offset + gain · N + read noise` with N ~ Poisson(λ), where λ is the mean
    number of electrons of the dwell; an analogue one's is `offset + gain · N · reference dwell / dwell + read
    noise`, a level whose noise falls with the dwell (see `scanmend.field.Channel`).

    Raises:
        InvalidInput: An efficiency outside 0 to 1, or a gain that is not positive.
    """

    channel: Channel = field(default_factory=lambda: Channel(name="HAADF"))
    """What the service is told: dtype, kind, gain, offset, read noise, saturation."""

    efficiency: float = 1.0
    """Share of the beam's electrons that are caught where the specimen's signal is 1."""

    true_gain: float | None = None
    """Units per electron that really hold; None for the channel's. Needed where the channel's is unknown."""

    sees: Sees = Sees.SCATTERED
    """Which electrons are caught."""

    def __post_init__(self) -> None:
        if not 0 < self.efficiency <= 1:
            raise InvalidInput(
                f"The detector {self.channel.name} has an efficiency of {self.efficiency}.",
                mend="Give a share above 0 and at most 1.",
            )
        if not (math.isfinite(self.gain) and self.gain > 0):
            raise InvalidInput(
                f"The detector {self.channel.name} has a gain of {self.gain} units per electron.",
                mend="Give a positive true_gain.",
            )
        if self._top <= self.channel.offset_units:
            raise InvalidInput(
                f"The detector {self.channel.name} is saturated without any electron.",
                mend="Lower offset_units, or raise saturation_units or the dtype's size.",
            )

    @property
    def gain(self) -> float:
        """Units per electron that really hold."""
        known = self.channel.units_per_electron
        return self.true_gain if self.true_gain is not None else 1.0 if known is None else known

    @property
    def _top(self) -> float:
        top = _range(self.channel)[1]
        return top if self.channel.saturation_units is None else min(top, self.channel.saturation_units)

    def mean_electrons(self, signal: npt.NDArray[np.float32], beam_electrons: npt.ArrayLike) -> Electrons:
        """Give the mean number of electrons caught.

        Args:
            signal: Relative signal of each point, in [0, 1].
            beam_electrons: Electrons that the beam delivers in the dwell: one number, or one a point.

        Returns:
            λ of each point, shaped like `signal`.
        """
        seen = signal if self.sees is Sees.SCATTERED else np.maximum(1.0 - signal, 0.0)
        return np.asarray(seen * (np.asarray(beam_electrons, dtype=np.float64) * self.efficiency))

    def read(
        self, mean_electrons: Electrons, dwell_ns: npt.ArrayLike, rng: np.random.Generator
    ) -> npt.NDArray[np.generic]:
        """Read out samples.

        Counts are drawn exactly from Poisson's distribution at every dose; nothing is approximated.

        Args:
            mean_electrons: λ of each point, (n,).
            dwell_ns: Dwell in nanoseconds: one number, or one a point.
            rng: Source of randomness.

        Returns:
            Samples of the channel's dtype, (n,): rounded, and clipped at saturation and at the dtype's ends.
        """
        counted = rng.poisson(mean_electrons)
        channel, dtype = self.channel, self.channel.numpy_dtype
        plain = self.gain == 1.0 and channel.offset_units == 0 and channel.read_noise_units == 0
        if plain and channel.kind is DetectorKind.COUNTING:
            if counted.max(initial=0) > self._top:
                counted = np.minimum(counted, int(self._top))
            return np.asarray(counted.astype(dtype))
        values = counted * np.asarray(self._units_per_count(dwell_ns)) + channel.offset_units
        if channel.read_noise_units:
            values += channel.read_noise_units * rng.standard_normal(values.shape, dtype=np.float32)
        if dtype.kind in "iu":
            np.rint(values, out=values)
        np.clip(values, _range(channel)[0], self._top, out=values)
        return np.asarray(values.astype(dtype))

    def expected(self, mean_electrons: Electrons, dwell_ns: npt.ArrayLike) -> Electrons:
        """Give the mean sample without saturation and rounding: what an endless repetition would average to."""
        return np.asarray(mean_electrons * np.asarray(self._units_per_count(dwell_ns)) + self.channel.offset_units)

    def _units_per_count(self, dwell_ns: npt.ArrayLike) -> npt.ArrayLike:
        if self.channel.kind is DetectorKind.COUNTING:
            return self.gain
        return self.gain * self.channel.reference_dwell_ns / np.asarray(dwell_ns, dtype=np.float64)


def _range(channel: Channel) -> tuple[float, float]:
    """Give the least and the largest value of the channel's dtype."""
    if channel.dtype == "float32":
        largest = float(np.finfo(np.float32).max)
        return -largest, largest
    limits = np.iinfo(channel.dtype)
    return float(limits.min), float(limits.max)
