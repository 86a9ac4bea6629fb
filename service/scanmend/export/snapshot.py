"""One picture with its words and its scale, as the bytes of a PNG or a TIFF; knows no recording and no disk.

Whoever holds a picture (an exported session, the live view) describes it once as a `Picture`, and gets::

    png_bytes(picture)   8-bit grey for people: a scale bar under it, and its words in the picture itself
    tiff_bytes(picture)  for programs: OME-TIFF with the pixel size, float32, or 16 bits with `bits=16`

A picture that a model made must say so: give `words` made with `scanmend.export.restored.marking`, and `origin`.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import tifffile
from PIL import PngImagePlugin

from scanmend._version import __version__
from scanmend.export.drawn import captioned, fitted, grey_levels
from scanmend.export.tree import iso_time

BIG_TIFF_BYTES = 3 << 30
"""From this size on a TIFF needs offsets of 64 bits."""

Pages = npt.NDArray[Any] | Iterator[npt.NDArray[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A picture and what is to be said with it."""

    values: npt.NDArray[np.generic]
    """`(ny, nx)`; NaN where not sampled."""
    pixel_size_nm: float
    title: str
    """The session."""
    words: str
    """What it shows; a restored one is marked."""
    channel: str
    """The channel's name in a TIFF; a restored one is marked there too."""
    origin: str = ""
    """For a restored one, what made it: the model's sha256 and provider."""
    acquired_unix_ns: int = 0
    """When it was taken, in nanoseconds since 1970; 0 where that is not known."""

    @property
    def description(self) -> str:
        """All that is said in the file's own text."""
        return f"{self.title}: {self.words}" + (f" ({self.origin})" if self.origin else "")


def png_bytes(picture: Picture, levels: tuple[float, float] | None = None) -> bytes:
    """An 8-bit grey PNG with a scale bar and the picture's words under it.

    Args:
        picture: What is shown.
        levels: What becomes black and white; the picture's own 0.5 and 99.5 percentiles where it is None.
    """
    shown, factor = fitted(grey_levels(picture.values, levels))
    drawn = captioned(shown.astype(np.uint8), picture.pixel_size_nm / factor, [f"{picture.title}: {picture.words}"])
    about = PngImagePlugin.PngInfo()
    about.add_itxt("Title", picture.title)
    about.add_itxt("Description", picture.description)
    about.add_itxt("Software", f"scanmend {__version__}")
    out = io.BytesIO()
    drawn.save(out, format="PNG", pnginfo=about)
    return out.getvalue()


def tiff_bytes(picture: Picture, *, bits: int = 32) -> bytes:
    """An OME-TIFF of one page with the pixel size.

    Args:
        picture: What is shown.
        bits: 32 for float32, NaN where not sampled; 16 for whole numbers, 0 where not sampled, whose scale stands in
            the description.
    """
    out = io.BytesIO()
    write_picture(out, picture, bits=bits)
    return out.getvalue()


def write_picture(file: BinaryIO, picture: Picture, *, bits: int = 32) -> None:
    """Write what `tiff_bytes` gives."""
    values, scale = (picture.values.astype(np.float32), "") if bits == 32 else as_u16(picture.values)
    about = ome_about(picture.title, picture.pixel_size_nm, picture.acquired_unix_ns)
    about |= {"axes": "YX", "Channel": {"Name": [picture.channel]}, "Description": f"{picture.description}{scale}"}
    write_pages(file, values, values.shape, values.dtype, about)


def as_u16(values: npt.NDArray[np.generic]) -> tuple[npt.NDArray[np.uint16], str]:
    """A picture in 16 bits, and the words that say how.

    Counts that fit stay what they are; else the smallest value becomes 1, the largest 65535. 0 is what was not
    sampled, where there is such a thing.
    """
    seen = np.isfinite(values)
    if not seen.any():
        return np.zeros(values.shape, np.uint16), "; nothing was sampled"
    low, high = float(np.min(values[seen])), float(np.max(values[seen]))
    whole = values.dtype.kind in "ui" or bool((np.floor(values[seen]) == values[seen]).all())
    if seen.all() and whole and low >= 0 and high <= 65535:
        return values.astype(np.uint16), ""
    step = (high - low) / 65534 or 1.0
    made = np.rint((np.where(seen, values, low).astype(np.float64) - low) / step) + 1
    words = f"; value = {low:.9g} + {step:.9g} × (sample − 1)" + ("" if seen.all() else "; 0: not sampled")
    return np.where(seen, made, 0).astype(np.uint16), words


def ome_about(title: str, pixel_size_nm: float, acquired_unix_ns: int) -> dict[str, Any]:
    """The fields of OME that every TIFF has."""
    about = {
        "Name": title,
        "PhysicalSizeX": pixel_size_nm,
        "PhysicalSizeXUnit": "nm",
        "PhysicalSizeY": pixel_size_nm,
        "PhysicalSizeYUnit": "nm",
    }
    acquired = iso_time(acquired_unix_ns)
    return about if acquired is None else about | {"AcquisitionDate": acquired}


def write_pages(file: Any, pages: Pages, shape: tuple[int, ...], dtype: np.dtype[Any], about: dict[str, Any]) -> None:
    """Write pictures as an OME-TIFF; the pixel size stands in OME's fields and, for plain readers, in TIFF's own.

    Args:
        file: A path or a file.
        pages: An array of this shape, or its pages one after the other.
        shape: All pages together.
        dtype: Of the samples.
        about: OME's fields.
    """
    per_cm = 1e7 / float(about["PhysicalSizeX"])
    size = int(np.prod(shape)) * dtype.itemsize
    with tifffile.TiffWriter(file, ome=True, bigtiff=size > BIG_TIFF_BYTES) as tiff:
        tiff.write(
            pages,
            shape=shape,
            dtype=dtype,
            photometric="minisblack",
            resolution=(per_cm, per_cm),
            resolutionunit="CENTIMETER",
            software=f"scanmend {__version__}",
            metadata=about,
        )
