"""MIB files: images of a Merlin as its software saves them, one after another, each behind a header of its own."""

from __future__ import annotations

import re
from collections.abc import Generator, Sequence
from pathlib import Path

import numpy as np

from scanmend.errors import DamagedFile, InvalidInput, MalformedMessage
from scanmend.sources.files.signals import Array, Signal, blocks, can_be, positive
from scanmend.sources.merlin.mpx import DTYPES, read_image_header, read_pixels

_HEADER_ROOM = 4096


class MibReader:
    """An open MIB file.

    Args:
        path: The file.

    Raises:
        InvalidInput: It is none, or holds raw pixels.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("rb")
        try:
            start = self._file.read(_HEADER_ROOM)
            header = read_image_header(start)
        except MalformedMessage as error:
            self.close()
            raise InvalidInput(f"{path} is no MIB file: {error}", mend="Is it the .mib, and not its .hdr?") from error
        if header.pixels not in DTYPES or not can_be((1, *header.shape)):
            self.close()
            raise InvalidInput(
                f"{path} holds pixels of the kind {header.pixels}, as the chips gave them.",
                mend="Save images in Merlin's software, file format Binary, not Raw.",
            )
        dtype = np.dtype(DTYPES[header.pixels])
        height, width = header.shape
        self._image_bytes = header.offset + height * width * dtype.itemsize
        # What is left over is no image: it is missed where the file ends.
        self._size = path.stat().st_size
        held = -(-self._size // self._image_bytes)
        announced, points = _beside(path.with_suffix(".hdr"))
        steps = max(held, announced)
        grid = (steps // points, points) if 1 < points < steps and steps % points == 0 else (steps,)
        shape = (*grid, height, width)
        native = dtype.newbyteorder("=")
        self.signals: tuple[Signal, ...] = (
            Signal(name="Merlin", shape=shape, dtype=native, images=True, dwell_ns=positive(_exposure(start), 1e9)),
        )

    def read(self, chosen: Sequence[int]) -> Generator[Array, None, None]:
        """See `Reader.read`."""
        signal = self.signals[0]
        for _, run in blocks((signal.steps, *signal.side), signal.dtype.itemsize):
            images: list[Array] = []
            try:
                images.extend(self._image(number) for number in range(run.start, run.stop))
            except MalformedMessage as error:
                number = run.start + len(images)
                if images:
                    yield np.stack(images)[:, None]
                text = f"Image {number} of {self._path.name} cannot be read: {error.message}"
                raise DamagedFile(text, mend="Is the file whole?") from error
            yield np.stack(images)[:, None]

    def _image(self, number: int) -> Array:
        self._file.seek(number * self._image_bytes)
        data = self._file.read(self._image_bytes)
        image = read_pixels(read_image_header(data), data)
        if image.shape != self.signals[0].side:
            raise MalformedMessage(f"It has the shape {image.shape}.")
        return image

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _beside(header: Path) -> tuple[int, int]:
    """Images of the acquisition, and of each trigger, which mostly is a line of the scan; 0 where it is not told."""
    try:
        text = header.read_bytes()[:65_536]
    except OSError:
        return 0, 0
    found = [
        re.search(rb"Frames %s \(Number\):\s*(\d{1,9})\s" % word, text) for word in (b"in Acquisition", b"per Trigger")
    ]
    images, points = (int(one[1]) if one else 0 for one in found)
    return images, points


def _exposure(header: bytes) -> bytes:
    """Time of an image, in seconds."""
    words = header.split(b",", 12)
    return words[10] if len(words) > 10 else b""
