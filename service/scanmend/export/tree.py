"""Small words for writing an HDF5 tree by the NeXus rules."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import h5py
import hdf5plugin
import numpy as np
import numpy.typing as npt

from scanmend.export.options import Compression

CHUNK_BYTES = 1 << 20
"""About the size of a chunk: large enough for the disk, small enough to be read alone."""


def packing(compression: Compression) -> dict[str, Any]:
    """The arguments of `create_dataset` for a compression."""
    match compression:
        case Compression.BLOSC:
            return dict(hdf5plugin.Blosc(cname="lz4", clevel=5, shuffle=hdf5plugin.Blosc.BITSHUFFLE))
        case Compression.GZIP:
            return {"compression": "gzip", "compression_opts": 4, "shuffle": True}
        case Compression.NONE:
            return {}


def group(parent: h5py.Group, name: str, nx_class: str, **attributes: Any) -> h5py.Group:
    """A new group of a NeXus class."""
    made = parent.create_group(name)
    made.attrs["NX_class"] = nx_class
    for key, value in attributes.items():
        made.attrs[key] = value
    return made


def put(parent: h5py.Group, name: str, value: Any, units: str = "", **attributes: Any) -> None:
    """A small field; None is left out, because what is not known is no number, and so is an array without values.

    HyperSpy 2.5 (RosettaSciIO 0.15) cannot load a file that has an empty array anywhere.
    """
    if value is None or np.size(value) == 0:
        return
    made = parent.create_dataset(name, data=value)
    if units:
        made.attrs["units"] = units
    for key, text in attributes.items():
        made.attrs[key] = text


def put_map(
    parent: h5py.Group, name: str, rows: Iterable[npt.NDArray[Any]], like: tuple[tuple[int, int], Any], **options: Any
) -> h5py.Dataset:
    """A picture `(ny, nx)`, written in bands of lines so that it need not be in memory.

    Args:
        parent: Where.
        name: Its name.
        rows: Bands `(n, nx)`, from the first line down.
        like: Its shape and dtype.
        options: Packing.
    """
    shape, dtype = like
    made = parent.create_dataset(name, shape, dtype, chunks=picture_chunk(shape, np.dtype(dtype).itemsize), **options)
    line = 0
    for band in rows:
        made[line : line + len(band)] = band
        line += len(band)
    return made


def picture_chunk(shape: tuple[int, int], item_bytes: int) -> tuple[int, int]:
    """The chunk of a picture `(ny, nx)`: whole lines, about `CHUNK_BYTES`."""
    ny, nx = shape
    return (max(1, min(ny, CHUNK_BYTES // max(1, nx * item_bytes))), nx)


def bands(shape: tuple[int, int]) -> Iterable[slice]:
    """A picture's lines in bands of about a million pixels."""
    step = max(1, (1 << 20) // shape[1])
    return (slice(line, min(line + step, shape[0])) for line in range(0, shape[0], step))


def put_axes(nxdata: h5py.Group, shape: tuple[int, int], pixel_size_nm: float) -> None:
    """The axes `y` and `x` of an NXdata, pixel centres from 0 on, in nanometres."""
    for name, length in zip(("y", "x"), shape, strict=True):
        put(nxdata, name, np.arange(length) * pixel_size_nm, "nm", long_name=f"{name} (nm)")


def put_tree(parent: h5py.Group, values: Mapping[str, Any]) -> None:
    """A message as fields: maps become groups, lists of pairs become arrays, None is left out."""
    for key, value in values.items():
        name = nx_name(key)
        if isinstance(value, Mapping):
            put_tree(group(parent, name, "NXcollection"), value)
        elif isinstance(value, list):
            put(parent, name, np.asarray(value))
        else:
            put(parent, name, value)


def nx_name(text: str) -> str:
    """A text as a NeXus name: letters, digits and underlines."""
    name = re.sub(r"[^A-Za-z0-9_]+", "_", text).strip("_")
    return name or "unnamed"


def nx_names(texts: Iterable[str]) -> list[str]:
    """Different NeXus names for these texts."""
    names: list[str] = []
    for text in texts:
        name, number = nx_name(text), 2
        while name in names:
            name, number = f"{nx_name(text)}_{number}", number + 1
        names.append(name)
    return names


def iso_time(unix_ns: int) -> str | None:
    """A time as ISO 8601 with its time zone (UTC); None for 0, which means that it is not known."""
    if unix_ns <= 0:
        return None
    seconds, rest = divmod(unix_ns, 1_000_000_000)
    try:
        return datetime.fromtimestamp(seconds, tz=UTC).replace(microsecond=rest // 1000).isoformat("T", "microseconds")
    except (ValueError, OverflowError, OSError):
        return None  # a clock that cannot be right


def known(value: float | None) -> float | None:
    """A number, or None where it is not known (None, NaN)."""
    return None if value is None or math.isnan(value) else value
