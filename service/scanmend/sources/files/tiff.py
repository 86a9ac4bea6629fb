"""TIFF files: pictures and stacks, of microscopes and of other programs."""

from __future__ import annotations

import math
import re
import struct
import zlib
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from scanmend.errors import DamagedFile, InvalidInput
from scanmend.field import MAX_CHANNELS
from scanmend.sources.files.signals import Array, Signal, can_be, length_nm, positive, square_nm, together

# What tifffile raises for bytes that are none; a damaged file may make it stumble in many ways.
MISHAPS = (
    *(tifffile.TiffFileError, OSError, ValueError, KeyError, IndexError, TypeError, RuntimeError, zlib.error),
    *(AttributeError, ArithmeticError, MemoryError, struct.error),
)

MOST_AT_ONCE_BYTES = 4 << 30
"""Largest stack that is read as a whole, where its pictures cannot be read one by one."""


@dataclass(frozen=True, slots=True)
class _Part:
    """A series of a file, or one channel of it."""

    series: tifffile.TiffPageSeries
    number: int
    """Of the series."""
    name: str
    channel: int = 0
    axis: int | None = None
    """Which axis of the series counts channels; None where none does."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of this part alone."""
        whole = tuple(self.series.shape)
        return whole if self.axis is None else whole[: self.axis] + whole[self.axis + 1 :]

    def page(self, step: int) -> int:
        """Number of a picture of this part in the series."""
        whole = tuple(self.series.shape)[:-2]
        if self.axis is None or not whole:
            return step
        index = list(np.unravel_index(step, self.shape[:-2])) if len(self.shape) > 2 else []
        index.insert(self.axis, np.intp(self.channel))
        return int(np.ravel_multi_index(tuple(index), whole))


class TiffReader:
    """An open TIFF file; each channel of its series is a signal.

    Args:
        path: The file.

    Raises:
        InvalidInput: It cannot be read, or holds no pictures of one channel.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._file = tifffile.TiffFile(path)
        except MISHAPS as error:
            raise InvalidInput(f"{path} cannot be read as TIFF: {error}.", mend="Is the file whole?") from error
        try:
            self._parts = list(_parts(self._file))
            known = _metadata(self._file)
            self.signals = tuple(
                Signal(
                    name=part.name,
                    shape=part.shape,
                    dtype=np.dtype(part.series.dtype),
                    pixel_nm=known.get("pixel_nm"),
                    dwell_ns=known.get("dwell_ns"),
                    beam_current_pa=known.get("beam_current_pa"),
                    beam_energy_kev=known.get("beam_energy_kev"),
                )
                for part in self._parts
            )
            colour = any(one.axes.endswith("S") for one in self._file.series)
        except MISHAPS as error:
            self.close()
            raise InvalidInput(f"{path} is damaged: {error}.", mend="Copy it again from where it was made.") from error
        if not self.signals:
            self.close()
            what = "colour pictures" if colour else "no picture"
            raise InvalidInput(f"{path} holds {what}.", mend="Save the detector's own values: one channel, no colours.")

    def read(self, chosen: Sequence[int]) -> Generator[Array, None, None]:
        """See `Reader.read`."""
        whole: dict[int, Array] = {}

        def get(index: int, slow: tuple[int, ...], run: slice) -> Array:
            part, shape = self._parts[index], self.signals[index].shape
            series, first = part.series, 0
            if len(shape) > 2:
                first = int(np.ravel_multi_index((*slow, run.start), shape[:-2]))
            pages = [part.page(step) for step in range(first, first + run.stop - run.start)]
            try:
                if len(series.pages) == math.prod(series.shape[:-2]):
                    return np.stack([_page(series, page) for page in pages])
                if series.nbytes > MOST_AT_ONCE_BYTES:
                    raise ValueError(f"its {series.nbytes} bytes can only be read at once")
                if part.number not in whole:
                    whole[part.number] = series.asarray().reshape(-1, *shape[-2:])
                return whole[part.number][pages]
            except MISHAPS as error:
                mend = "Save it without compression." if "imagecodecs" in str(error) else "Is the file whole?"
                raise DamagedFile(f"Picture {first} cannot be read: {error}.", mend=mend) from error

        return together(self.signals, get, chosen)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _parts(file: tifffile.TiffFile) -> Iterator[_Part]:
    names = re.findall(r'<Channel\b[^>]*\bName="([^"]+)"', file.ome_metadata or "")
    for number, series in enumerate(file.series):
        if not series.axes.endswith("YX") or not can_be(series.shape):
            continue
        axis = series.axes.find("C")
        channels = series.shape[axis] if axis >= 0 else 0
        name = series.name or f"series {number}"
        if 0 < channels <= MAX_CHANNELS:
            for channel in range(channels):
                named = names[channel] if len(names) == channels else f"{name} {channel}"
                yield _Part(series, number, named, channel, axis)
        else:
            yield _Part(series, number, name)


def _page(series: tifffile.TiffPageSeries, number: int) -> Array:
    page = series.pages[number]
    if page is None:
        raise ValueError("the page is missing")
    return np.asarray(page.asarray())


def _metadata(file: tifffile.TiffFile) -> dict[str, float | None]:
    """What the instrument's maker wrote beside the picture."""
    fei, zeiss, ome = file.fei_metadata, file.sem_metadata, file.ome_metadata
    if isinstance(fei, Mapping):
        return _fei(fei)
    if isinstance(zeiss, Mapping):
        return {
            "pixel_nm": _zeiss(zeiss, "ap_image_pixel_size", length_nm) or _zeiss(zeiss, "ap_pixel_size", length_nm),
            "dwell_ns": None,
            "beam_current_pa": None,
            "beam_energy_kev": _zeiss(zeiss, "ap_actualkv", lambda value, unit: positive(value)),
        }
    if isinstance(ome, str):
        sizes = [length_nm(*_ome(ome, f"PhysicalSize{axis}")) for axis in "YX"]
        return {"pixel_nm": square_nm(*sizes)}
    return {}


def _fei(fei: Mapping[str, Any]) -> dict[str, float | None]:
    scan, beam = fei.get("Scan") or {}, fei.get("EBeam") or fei.get("Beam") or {}
    return {
        "pixel_nm": square_nm(length_nm(scan.get("PixelHeight"), "m"), length_nm(scan.get("PixelWidth"), "m")),
        "dwell_ns": positive(scan.get("Dwelltime"), 1e9),
        "beam_current_pa": positive(beam.get("BeamCurrent"), 1e12),
        "beam_energy_kev": positive(beam.get("HV"), 1e-3),
    }


def _zeiss(zeiss: Mapping[str, Any], key: str, read: Any) -> float | None:
    entry = zeiss.get(key)
    if not isinstance(entry, tuple) or len(entry) < 2:
        return None
    found: float | None = read(entry[1], entry[2] if len(entry) > 2 else "")
    return found


def _ome(xml: str, name: str) -> tuple[str | None, str]:
    value, unit = re.search(rf'\b{name}="([^"]+)"', xml), re.search(rf'\b{name}Unit="([^"]+)"', xml)
    return (value[1] if value else None), (unit[1] if unit else "µm")
