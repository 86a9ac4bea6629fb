"""Merlin's bytes: messages `MPX,<10 digits>,<body>` on both sockets, and the header of an image in a body (MIB)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from scanmend.errors import MalformedMessage

HEAD_BYTES = 15
"""`MPX,`, ten digits, a comma. The number counts the comma and the body."""

MAX_BODY_BYTES = 1 << 26
"""More than the largest Merlin's image."""

DTYPES = {"U01": "u1", "U08": "u1", "U16": ">u2", "U32": ">u4"}
"""Pixels, by the word in an image's header."""

_HEAD = re.compile(rb"MPX,(\d{10}),")
_LONGEST_HEADER = 4096
_FIELDS = 12


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """What stands before the pixels of an image."""

    number: int
    """From 1 in each acquisition."""
    offset: int
    """Bytes before the pixels."""
    shape: tuple[int, int]
    """`(height, width)`."""
    pixels: str
    """`U08`, `U16`, `U32`; `R64` for raw ones."""
    counter: int
    """Of the chip, 0 or 1: with both on, each threshold is an image of its own."""
    taken_ns: int | None
    """Of the Merlin's clock, of which it need not say the time zone; None where it cannot be read."""
    taken_unix_ns: int | None
    """The same where it is said in UTC."""


def frame(body: bytes) -> bytes:
    """A message."""
    return b"MPX,%010d," % (len(body) + 1) + body


def body_bytes(head: bytes | memoryview) -> int | None:
    """Length of the body behind a head; None where these bytes are no head."""
    found = _HEAD.fullmatch(head)
    if found is None:
        return None
    size = int(found[1]) - 1
    return size if 0 < size <= MAX_BODY_BYTES else None


def read_acquisition(body: bytes) -> int | None:
    """Images of an acquisition, from its header `HDR,…`; None where it does not say, or goes on until it is stopped."""
    found = re.search(rb"Frames in Acquisition \(Number\):\s*(\d+)", body)
    return int(found[1]) or None if found else None


def read_image_header(body: bytes | memoryview) -> ImageHeader:
    """Read the header of an image.

    Raises:
        MalformedMessage: It is none.
    """
    words = bytes(body[:_LONGEST_HEADER]).split(b",", _FIELDS + 20)
    try:
        number, offset = int(words[1]), int(words[2])
        width, height = int(words[4]), int(words[5])
        pixels = words[6].strip().decode("ascii")
        header = bytes(body[:offset])
        if number < 0 or not 0 < offset <= min(_LONGEST_HEADER, len(body)) or width < 1 or height < 1:
            raise ValueError(f"number {number}, {width} × {height} pixels behind {offset} bytes")
        counter = int(words[11]) if len(words) > 11 and words[11].strip().isdigit() else 0
        local, utc = _time(words[9] if len(words) > 9 else b""), _utc(header)
        return ImageHeader(number, offset, (height, width), pixels, counter, local if utc is None else utc, utc)
    except (ValueError, IndexError) as error:
        raise MalformedMessage(f"The header of an image cannot be read: {error}.") from error


def read_pixels(header: ImageHeader, body: bytes | memoryview) -> npt.NDArray[np.generic]:
    """The image `(height, width)`, in this machine's byte order and its own memory.

    Raises:
        MalformedMessage: Raw pixels, or another number of bytes than the header says.
    """
    if header.pixels not in DTYPES:
        raise MalformedMessage(
            f"Its pixels are {header.pixels}, which is not read here.",
            mend="Let Merlin send processed images: in its software, file format Binary, not Raw.",
        )
    dtype = np.dtype(DTYPES[header.pixels])
    height, width = header.shape
    data = body[header.offset :]
    if len(data) != height * width * dtype.itemsize:
        raise MalformedMessage(f"It has {len(data)} bytes of {height} × {width} pixels of type {header.pixels}.")
    return np.frombuffer(data, dtype).reshape(header.shape).astype(dtype.newbyteorder("="))


def _time(word: bytes) -> int | None:
    try:
        when = datetime.fromisoformat(word.strip().decode("ascii"))
    except ValueError:
        return None
    return int(when.replace(tzinfo=UTC).timestamp() * 1e6) * 1000


def _utc(header: bytes) -> int | None:
    """The time of the extension `MQ1A`, which newer software writes: UTC, in nanoseconds."""
    found = re.search(rb"MQ1A,(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\.(\d{1,9})Z", header)
    if found is None:
        return None
    seconds = _time(found[1])
    return None if seconds is None else seconds + int(found[2].ljust(9, b"0"))
