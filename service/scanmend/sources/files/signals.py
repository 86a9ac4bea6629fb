"""What a file holds that can be replayed: signals, each a picture or a stack of pictures."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Protocol

import numpy as np
import numpy.typing as npt

from scanmend.field import MAX_FIELD_PX, MAX_SIDE_PX

BLOCK_BYTES = 4 << 20
"""Pictures are read in blocks of about this size."""

MOST_PICTURES = 1 << 40

Array = npt.NDArray[np.generic]

NM = {
    **dict.fromkeys(("m", "meter", "metre"), 1e9),
    **dict.fromkeys(("mm",), 1e6),
    **dict.fromkeys(("um", "µm", "μm", "micron", "microns", "u_m"), 1e3),
    **dict.fromkeys(("nm", "n_m"), 1.0),
    **dict.fromkeys(("å", "angstrom", "angstroms", "a"), 0.1),
    **dict.fromkeys(("pm",), 1e-3),
}
"""Nanometres of a unit of length, by its name in small letters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """One array of a file; the last two axes are a picture `(height, width)`."""

    name: str
    shape: tuple[int, ...]
    """At least two sides; all but the last two count pictures, the slowest first."""
    dtype: np.dtype[np.generic]
    images: bool = False
    """Whether the pictures are a pixelated detector's, one for each point of a scan."""
    pixel_nm: float | None = None
    """Side of a scan's pixel, in nanometres: of the picture, or where these are images, of the two axes before it."""
    dwell_ns: float | None = None
    """Time at each point."""
    beam_current_pa: float | None = None
    beam_energy_kev: float | None = None

    @property
    def steps(self) -> int:
        """Number of pictures."""
        return math.prod(self.shape[:-2])

    @property
    def side(self) -> tuple[int, int]:
        """Height and width of a picture."""
        return self.shape[-2], self.shape[-1]


def can_be(shape: Sequence[int]) -> bool:
    """Whether an array can be a stack of pictures that a field can have; nothing is allocated before this is known."""
    height, width = shape[-2:] if len(shape) >= 2 else (0, 0)
    sides = 0 < height <= MAX_SIDE_PX and 0 < width <= MAX_SIDE_PX and height * width <= MAX_FIELD_PX
    return sides and 0 < math.prod(shape[:-2]) <= MOST_PICTURES


class Reader(Protocol):
    """An open file."""

    signals: tuple[Signal, ...]

    def read(self, chosen: Sequence[int]) -> Generator[Array, None, None]:
        """The pictures of some signals of one shape and type, `(steps, signals, height, width)` at a time, in order.

        Raises:
            DamagedFile: The file ends in the middle, or cannot be unpacked there.
        """

    def close(self) -> None:
        """Let go of the file; may be called twice."""


def blocks(shape: tuple[int, ...], itemsize: int) -> Iterator[tuple[tuple[int, ...], slice]]:
    """Which pictures to read at a time: the index of the slow axes, and a slice of the axis before the picture's."""
    if len(shape) == 2:
        yield (), slice(0, 1)
        return
    most = max(1, BLOCK_BYTES // max(1, shape[-1] * shape[-2] * itemsize))
    for slow in product(*(range(side) for side in shape[:-3])):
        for first in range(0, shape[-3], most):
            yield slow, slice(first, min(first + most, shape[-3]))


def together(
    signals: Sequence[Signal], get: Callable[[int, tuple[int, ...], slice], Array], chosen: Sequence[int]
) -> Generator[Array, None, None]:
    """`Reader.read` of a file that can be asked for any of its pictures.

    Args:
        signals: Its signals.
        get: Gives pictures `(steps, height, width)` of a signal; see `blocks`.
        chosen: Which signals.
    """
    first = signals[chosen[0]]
    for slow, run in blocks(first.shape, first.dtype.itemsize * len(chosen)):
        found = [get(index, slow, run).reshape(-1, *first.side) for index in chosen]
        yield np.stack(found, axis=1)


def length_nm(scale: object, units: object) -> float | None:
    """A length in nanometres; None where it is none, or none that a microscope's pixel can have."""
    factor = NM.get(str(units).strip().lower().replace("\N{ANGSTROM SIGN}".lower(), "å"))
    try:
        value = abs(float(scale)) * factor if factor is not None else math.nan  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return value if 1e-4 <= value <= 1e7 else None


def square_nm(y: float | None, x: float | None) -> float | None:
    """The side of a pixel whose two sides are known; None where it is not square."""
    return x if x is not None and y is not None and abs(x - y) <= 0.02 * x else None


def positive(value: object, factor: float = 1.0) -> float | None:
    """A number above 0, multiplied; None where it is none."""
    try:
        found = float(value) * factor  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return found if math.isfinite(found) and found > 0 else None
