"""The commands of Open Beam Interface as bytes.

A command is one byte, its type in the upper four bits and flags in the lower, and big-endian u16 values after it::

    Synchronize   0x00 | raster | output << 1   cookie        answered by 0xFFFF and the cookie
    Abort         0x10                                        ends a raster region
    Flush         0x20                                        sends what waits in the instrument
    ExternalCtrl  0x30 | on                                   takes the beam from the microscope, or gives it back
    BeamSelect    0x40 | beam
    Blank         0x50 | on | inline << 1                     inline: together with the next pixel
    Delay         0x60                          units of 1/48 µs
    Array         0x80 | type                   count − 1     then so many commands of the type without their byte
    RasterRegion  0xa0                          x start, count, step, y start, count, step; steps in 1/256
    RasterRun     0xc0                          count − 1, dwell
    VectorPixel   0xe0                          x, y, dwell

Each pixel is answered by one u16, the mean of a 14-bit converter over its dwell. The answers carry no index.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from scanmend.errors import InvalidInput, MalformedMessage

DWELL_NS = 125
"""Unit of a dwell, one cycle of the converter."""

MAX_DWELL = 0xFFFF
MAX_CODE = (1 << 14) - 1
"""Largest position, and largest answer."""

MAX_ARRAY = 1 << 16

Words = npt.NDArray[np.uint16]


@dataclass(frozen=True, slots=True)
class Synchronize:
    """Ask for a mark in the stream of answers, after the pixels before it."""

    cookie: int
    raster: bool = False
    output: int = 0
    """Bytes of an answer: 0 for two, 1 for one, 2 for none."""


@dataclass(frozen=True, slots=True)
class Abort:
    """End the raster region that runs."""


@dataclass(frozen=True, slots=True)
class Flush:
    """Send what waits in the instrument."""


@dataclass(frozen=True, slots=True)
class ExternalControl:
    """Take the beam from the microscope's own electronics, or give it back."""

    on: bool


@dataclass(frozen=True, slots=True)
class BeamSelect:
    """Which beam: 0 none, 1 electrons, 2 ions."""

    beam: int


@dataclass(frozen=True, slots=True)
class Blank:
    """Blank the beam or let it through; inline: together with the next pixel."""

    on: bool
    inline: bool = False


@dataclass(frozen=True, slots=True)
class Delay:
    """Wait before the next command."""

    units: int
    """Of 1/48 µs."""


@dataclass(frozen=True, slots=True)
class RasterRegion:
    """Where the pixels of the runs that follow lie."""

    x_start: int
    x_count: int
    x_step: int
    """In 1/256 of a position."""
    y_start: int
    y_count: int
    y_step: int


@dataclass(frozen=True, slots=True)
class RasterRun:
    """Pixels of the raster region, all with one dwell."""

    count: int
    dwell: int


@dataclass(frozen=True, slots=True, eq=False)
class VectorPixels:
    """Pixels anywhere; one, or up to `MAX_ARRAY` as an array."""

    x: Words
    y: Words
    dwell: Words
    """In units of `DWELL_NS`."""

    def __eq__(self, other: object) -> bool:
        """Whether all pixels are alike."""
        return isinstance(other, VectorPixels) and all(
            np.array_equal(getattr(self, one.name), getattr(other, one.name)) for one in fields(self)
        )


Command = (
    Synchronize | Abort | Flush | ExternalControl | BeamSelect | Blank | Delay | RasterRegion | RasterRun | VectorPixels
)


def encode(*commands: Command) -> bytes:
    """Bytes of commands.

    Raises:
        InvalidInput: A value that its field cannot hold.
    """
    return b"".join(_encode(command) for command in commands)


def _encode(command: Command) -> bytes:
    match command:
        case Synchronize(cookie, raster, output):
            return _packed(0x00 | raster | _small(output, 2) << 1, cookie)
        case Abort():
            return b"\x10"
        case Flush():
            return b"\x20"
        case ExternalControl(on):
            return _packed(0x30 | on)
        case BeamSelect(beam):
            return _packed(0x40 | _small(beam, 2))
        case Blank(on, inline):
            return _packed(0x50 | on | inline << 1)
        case Delay(units):
            return _packed(0x60, units)
        case RasterRegion(x_start, x_count, x_step, y_start, y_count, y_step):
            for code in (x_start, x_count, y_start, y_count):
                _small(code, MAX_CODE)
            return _packed(0xA0, x_start, x_count, x_step, y_start, y_count, y_step)
        case RasterRun(count, dwell):
            return _packed(0xC0, count - 1, _dwell(dwell))
        case VectorPixels():
            return _encode_pixels(command)


def _encode_pixels(command: VectorPixels) -> bytes:
    table = np.stack([np.asarray(values, np.int64) for values in (command.x, command.y, command.dwell)], axis=1)
    count = len(table)
    if not 1 <= count <= MAX_ARRAY:
        raise InvalidInput(f"An array of {count} pixels.", mend=f"Give 1 to {MAX_ARRAY}.")
    if table.min() < 0 or table[:, :2].max() > MAX_CODE:
        raise InvalidInput("A pixel lies outside 14 bits.", mend=f"Give positions from 0 to {MAX_CODE}.")
    _dwell(int(table[:, 2].min()))
    _dwell(int(table[:, 2].max()))
    head = b"\xe0" if count == 1 else _packed(0x8E, count - 1)
    return head + table.astype(">u2").tobytes()


def _packed(head: int, *words: int) -> bytes:
    try:
        return struct.pack(f">B{len(words)}H", head, *words)
    except struct.error as error:
        raise InvalidInput(f"{words} do not fit 16 bits each.", mend="Give values from 0 to 65535.") from error


def _small(value: int, most: int) -> int:
    if not 0 <= value <= most:
        raise InvalidInput(f"{value} is outside 0 to {most}.", mend=f"Give 0 to {most}.")
    return value


def _dwell(value: int) -> int:
    if not 1 <= value <= MAX_DWELL:
        raise InvalidInput(
            f"A dwell of {value} units of {DWELL_NS} ns.", mend=f"Give 1 to {MAX_DWELL} units, which is 8.19 ms."
        )
    return value


# Decoding ---------------------------------------------------------------------------------------------------------

_WORDS = {0x0: 1, 0x1: 0, 0x2: 0, 0x3: 0, 0x4: 0, 0x5: 0, 0x6: 1, 0xA: 6, 0xC: 2, 0xE: 3}
"""u16 values behind each type's byte."""


class CommandReader:
    """Commands from a stream of bytes, however it is cut; for what obeys them."""

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, data: bytes) -> list[Command]:
        """The commands that are complete now.

        Raises:
            MalformedMessage: A type that is none of the above; nothing after it can be understood.
        """
        self._held += data
        found: list[Command] = []
        while (command := self._next()) is not None:
            found.append(command)
        return found

    def _next(self) -> Command | None:
        held = self._held
        if not held:
            return None
        kind, flags = held[0] >> 4, held[0] & 15
        if kind == 0x8:
            if flags != 0xE:
                raise MalformedMessage(f"An array of commands of type {flags:#x}.")
            if len(held) < 3 or len(held) < 3 + 6 * (count := (held[1] << 8 | held[2]) + 1):
                return None
            return self._pixels(3, count)
        if kind not in _WORDS:
            raise MalformedMessage(f"A command of type {kind:#x}.")
        size = 1 + 2 * _WORDS[kind]
        if len(held) < size:
            return None
        if kind == 0xE:
            return self._pixels(1, 1)
        words = struct.unpack(f">{_WORDS[kind]}H", held[1:size])
        del held[:size]
        return _decoded(kind, flags, words)

    def _pixels(self, head: int, count: int) -> VectorPixels:
        size = head + 6 * count
        table = np.frombuffer(bytes(self._held[head:size]), ">u2").astype(np.uint16).reshape(count, 3)
        del self._held[:size]
        return VectorPixels(table[:, 0], table[:, 1], table[:, 2])


def _decoded(kind: int, flags: int, words: tuple[int, ...]) -> Command:
    match kind:
        case 0x0:
            return Synchronize(words[0], bool(flags & 1), flags >> 1 & 3)
        case 0x1:
            return Abort()
        case 0x2:
            return Flush()
        case 0x3:
            return ExternalControl(bool(flags & 1))
        case 0x4:
            return BeamSelect(flags & 3)
        case 0x5:
            return Blank(bool(flags & 1), bool(flags & 2))
        case 0x6:
            return Delay(words[0])
        case 0xA:
            return RasterRegion(*words)
        case _:
            return RasterRun(words[0] + 1, words[1])
