"""The ways to write an ordered list of pixels compactly.

Each pattern is plain data. What pixels it stands for, in which order, is defined by `scanmend.plan.expand`
and, for programmers in other languages, by `docs/protocol.md`.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Order(StrEnum):
    """The order in which a set of pixels is visited."""

    RASTER = "raster"
    """Line by line, each from left to right."""

    SERPENTINE = "serpentine"
    """Line by line, every second line from right to left, so that the beam never flies back."""

    RANDOM = "random"
    """In a seeded random order: no neighbour is visited right after its neighbour."""


class Raster(msgspec.Struct, frozen=True, tag="raster", tag_field="kind", kw_only=True):
    """A rectangle, line by line from left to right."""

    top: int = 0
    """First line."""
    left: int = 0
    """First pixel of a line."""
    height: int = 0
    """Number of lines; 0 means down to the field's last."""
    width: int = 0
    """Pixels of a line; 0 means up to the field's last."""


class Serpentine(msgspec.Struct, frozen=True, tag="serpentine", tag_field="kind", kw_only=True):
    """A rectangle, line by line, every second line backwards."""

    top: int = 0
    """First line."""
    left: int = 0
    """First pixel of a line."""
    height: int = 0
    """Number of lines; 0 means down to the field's last."""
    width: int = 0
    """Pixels of a line; 0 means up to the field's last."""


class RandomPixels(msgspec.Struct, frozen=True, tag="random", tag_field="kind", kw_only=True):
    """Different pixels drawn at random from the whole field."""

    count: int
    """How many pixels."""
    seed: int = 0
    """Seed of the draw, 0 to 2**64 - 1."""
    order: Order = Order.RASTER
    """The order of the visit."""


class JitteredGrid(msgspec.Struct, frozen=True, tag="jittered_grid", tag_field="kind", kw_only=True):
    """One pixel at a random place in each cell of a square grid.

    Of the patterns that leave most of a field out, the one from which most can be restored.
    """

    pitch_px: float
    """Side of a cell in pixels, 1 or more; the coverage is about `1 / pitch_px**2`."""
    seed: int = 0
    """Seed of the places, 0 to 2**64 - 1."""
    order: Order = Order.RASTER
    """The order of the visit."""


class Spiral(msgspec.Struct, frozen=True, tag="spiral", tag_field="kind", kw_only=True):
    """An Archimedean spiral from the centre of the field outwards, at constant speed of the beam.

    Points outside the field are left out; a pixel that two points fall on is visited twice.
    """

    pitch_px: float
    """Distance between neighbouring turns in pixels."""
    step_px: float = 1.0
    """Distance between neighbouring points along the arm in pixels."""


class Segments(msgspec.Struct, frozen=True, tag="segments", tag_field="kind", kw_only=True):
    """Horizontal runs of pixels, in the order given."""

    runs: bytes
    """Little-endian int32 triples `(x, y, length)`; a negative length runs to the left."""


class Mask(msgspec.Struct, frozen=True, tag="mask", tag_field="kind", kw_only=True):
    """The set bits of a picture of the field."""

    bits: bytes
    """One bit a pixel in raster order, the first pixel in the most significant bit, zero-padded to a byte."""
    order: Order = Order.RASTER
    """The order of the visit."""
    seed: int = 0
    """Seed of a random order, 0 to 2**64 - 1."""


class Points(msgspec.Struct, frozen=True, tag="points", tag_field="kind", kw_only=True):
    """Any pixels in any order; a pixel may come more than once."""

    xy: bytes
    """Little-endian int32 pairs `(x, y)`."""


Pattern = Raster | Serpentine | RandomPixels | JitteredGrid | Spiral | Segments | Mask | Points
