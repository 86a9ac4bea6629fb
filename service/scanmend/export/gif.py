"""A moving GIF of grey pictures, written picture by picture: memory holds one, however long it gets.

Pillow packs each picture, but keeps all of them when it writes a whole animation; so each is packed alone here, and
its blocks are put behind each other under one table of 256 greys. Nothing is lost: 8-bit grey fits a GIF exactly.
The format: GIF89a, https://www.w3.org/Graphics/GIF/spec-gif89a.txt
"""

from __future__ import annotations

import io
import struct
from typing import BinaryIO

from PIL import Image

_HEADER_BYTES = 6 + 7 + 3 * 256
"""Signature, screen and a table of 256 colours, as Pillow begins each picture."""

_EXTENSION, _IMAGE, _TRAILER = 0x21, 0x2C, 0x3B
_LOOP_FOR_EVER = b"\x21\xff\x0bNETSCAPE2.0\x03\x01\x00\x00\x00"


class GifWriter:
    """Writes a GIF that plays again and again.

    Args:
        file: Where.
        comment: What the file says of itself.
    """

    def __init__(self, file: BinaryIO, comment: str) -> None:
        self._file, self._comment = file, comment
        self._size: tuple[int, int] | None = None

    def add(self, picture: Image.Image, seconds: float) -> None:
        """Add a grey picture that is shown for some time; all have the size of the first.

        Raises:
            ValueError: It has another size, or is not grey.
        """
        if picture.mode != "L" or self._size not in (None, picture.size):
            raise ValueError(f"a grey picture of {self._size} was expected, not {picture.mode} of {picture.size}")
        packed = io.BytesIO()
        picture.save(packed, format="GIF", optimize=False)
        data = packed.getvalue()
        if self._size is None:
            self._size = picture.size
            self._file.write(b"GIF89a" + data[6:_HEADER_BYTES] + _LOOP_FOR_EVER + _comment(self._comment))
        centiseconds = min(max(2, round(seconds * 100)), 65535)  # players show less than 2 much slower
        self._file.write(b"\x21\xf9\x04\x04" + struct.pack("<H", centiseconds) + b"\x00\x00")
        self._file.write(data[_image_at(data) : -1])

    def finish(self) -> None:
        """End the file."""
        self._file.write(bytes([_TRAILER]))


def _comment(text: str) -> bytes:
    data = text.encode()
    blocks = (data[at : at + 255] for at in range(0, len(data), 255))
    return b"\x21\xfe" + b"".join(bytes([len(block)]) + block for block in blocks) + b"\x00"


def _image_at(data: bytes) -> int:
    """Where the image begins in a GIF of one picture: behind the table of colours and any extensions."""
    at = _HEADER_BYTES
    while data[at] == _EXTENSION:
        at += 2
        while data[at]:
            at += data[at] + 1
        at += 1
    if data[at] != _IMAGE or data[-1] != _TRAILER:
        raise ValueError("Pillow packs GIFs in a way that is not known here")
    return at
