"""Where programs keep their pictures inside an HDF5 file, and what they write beside them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeGuard

import h5py
import numpy as np

from scanmend.errors import InvalidInput
from scanmend.sources.files.signals import Signal, can_be, length_nm, positive, square_nm

MOST_SIGNALS = 256

_DECTRIS = re.compile(r"data_\d{6}")


@dataclass(frozen=True, slots=True)
class Found:
    """A signal, and where it lies."""

    signal: Signal
    datasets: tuple[h5py.Dataset, ...]
    """One after another along the first axis."""
    steps_last: bool = False
    """Whether the pictures are counted by the last axis, as Velox has it."""


def find(file: h5py.File) -> tuple[Found, ...]:
    """The signals of a file: those of the first layout that it has."""
    for layout in (_hyperspy, _velox, _ncem, _dectris_master, _nexus, _any):
        found = tuple(one for _, one in zip(range(MOST_SIGNALS), layout(file), strict=False))
        if found:
            return found
    return ()


def _is_picture(item: Any) -> TypeGuard[h5py.Dataset]:
    return (
        isinstance(item, h5py.Dataset)
        and item.ndim >= 2
        and min(item.shape[-2:]) > 1
        and item.dtype.kind in "buifc"
        and can_be(item.shape)
    )


def _text(value: Any) -> str:
    value = value[0] if isinstance(value, np.ndarray) and value.size == 1 else value
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


# HyperSpy ------------------------------------------------------------------------------------------------------------


def _hyperspy(file: h5py.File) -> Iterator[Found]:
    experiments = file.get("Experiments")
    for name, group in experiments.items() if isinstance(experiments, h5py.Group) else ():
        data = group.get("data") if isinstance(group, h5py.Group) else None
        if not _is_picture(data):
            continue
        axes = [dict(group[f"axis-{n}"].attrs) for n in range(data.ndim) if f"axis-{n}" in group]
        steps = [bool(axis.get("navigate")) for axis in axes]
        if len(axes) != data.ndim or sum(steps) != data.ndim - 2 or any(steps[-2:]):
            continue  # spectra, or an order that is no stack of pictures
        sizes = [length_nm(axis.get("scale"), _text(axis.get("units", ""))) for axis in axes]
        metadata = _attributes(group.get("metadata"))
        yield Found(
            Signal(
                name=str(name),
                shape=data.shape,
                dtype=data.dtype,
                images=data.ndim == 4,
                pixel_nm=square_nm(*(sizes[:2] if data.ndim == 4 else sizes[-2:])),
                beam_current_pa=positive(metadata.get("beam_current"), 1e3),
                beam_energy_kev=positive(metadata.get("beam_energy")),
            ),
            (data,),
        )


def _attributes(group: Any) -> dict[str, Any]:
    """Attributes of a group and all below it, by their names."""
    found: dict[str, Any] = {}
    if isinstance(group, h5py.Group):
        found.update(group.attrs)
        group.visititems(lambda _, item: found.update(item.attrs) if isinstance(item, h5py.Group) else None)
    return found


# Velox ---------------------------------------------------------------------------------------------------------------


def _velox(file: h5py.File) -> Iterator[Found]:
    images = file.get("Data/Image")
    for group in images.values() if isinstance(images, h5py.Group) else ():
        data = group.get("Data") if isinstance(group, h5py.Group) else None
        if (
            not isinstance(data, h5py.Dataset)
            or data.ndim != 3
            or not can_be((data.shape[2], *data.shape[:2]))
            or data.dtype.kind not in "buifc"
        ):
            continue
        about = _velox_metadata(group.get("Metadata"))
        binary, scan, optics = (about.get(key) or {} for key in ("BinaryResult", "Scan", "Optics"))
        size = binary.get("PixelSize") or {}
        unit = binary.get("PixelUnitX", "m")
        height, width, steps = data.shape
        yield Found(
            Signal(
                name=str(binary.get("Detector") or "image"),
                shape=(steps, height, width) if steps > 1 else (height, width),
                dtype=data.dtype,
                pixel_nm=square_nm(length_nm(size.get("height"), unit), length_nm(size.get("width"), unit)),
                dwell_ns=positive(scan.get("DwellTime"), 1e9),
                beam_energy_kev=positive(optics.get("AccelerationVoltage"), 1e-3),
            ),
            (data,),
            steps_last=True,
        )


def _velox_metadata(metadata: Any) -> dict[str, Any]:
    if not isinstance(metadata, h5py.Dataset) or metadata.dtype != np.uint8 or metadata.ndim != 2:
        return {}
    try:
        found = json.loads(metadata[:, 0].tobytes().partition(b"\0")[0])
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


# NCEM ----------------------------------------------------------------------------------------------------------------


def _groups(file: h5py.File) -> list[h5py.Group]:
    found: list[h5py.Group] = [file]
    file.visititems(lambda _, item: found.append(item) if isinstance(item, h5py.Group) else None)
    return found


def _ncem(file: h5py.File) -> Iterator[Found]:
    for group in _groups(file):
        data = group.get("data")
        if not int(group.attrs.get("emd_group_type", 0)) or not _is_picture(data):
            continue
        sizes = [_step_nm(group.get(f"dim{n + 1}")) for n in range(data.ndim)]
        images = data.ndim == 4
        pixel = square_nm(*(sizes[:2] if images else sizes[-2:]))
        name = str(group.name).rpartition("/")[2]
        yield Found(Signal(name=name, shape=data.shape, dtype=data.dtype, images=images, pixel_nm=pixel), (data,))


def _step_nm(axis: Any) -> float | None:
    """The distance of an axis's first two positions."""
    if not isinstance(axis, h5py.Dataset) or axis.ndim != 1 or axis.size < 2 or axis.dtype.kind not in "uif":
        return None
    units = re.sub(r"[\[\]\s]", "", _text(axis.attrs.get("units", "")))
    return length_nm(float(axis[1]) - float(axis[0]), units)


# DECTRIS detectors, and NeXus ----------------------------------------------------------------------------------------


def _dectris_master(file: h5py.File) -> Iterator[Found]:
    """The images of a master file lie in other files; without them there is nothing to replay."""
    group = file.get("entry/data")
    if "entry/instrument/detector/detectorSpecific" not in file or not isinstance(group, h5py.Group):
        return
    found = list(_dectris(group))
    if not found:
        raise InvalidInput(
            f"The files with the images of {file.filename} are not beside it, or not all of them.",
            mend="Copy the files that end in _data_000001.h5 and so on into the same folder.",
        )
    yield from found


def _nexus(file: h5py.File) -> Iterator[Found]:
    for group in _groups(file):
        if _text(group.attrs.get("NX_class", "")) != "NXdata":
            continue
        name = _text(group.attrs.get("signal", ""))
        data = group.get(name) if name else None
        if name and _is_picture(data) and _text(group.attrs.get("interpretation", "image")) == "image":
            yield _of_nexus(group, data)
        elif not name:
            yield from _dectris(group)


def _of_nexus(group: h5py.Group, data: h5py.Dataset) -> Found:
    axes = group.attrs.get("axes", ())
    names = [_text(axis) for axis in (axes if isinstance(axes, np.ndarray | list | tuple) else [axes])]
    sizes = [_step_nm(group.get(name)) if name != "." else None for name in names]
    sizes = sizes if len(sizes) == data.ndim else [None] * data.ndim
    images = data.ndim == 4
    pixel = square_nm(*(sizes[:2] if images else sizes[-2:]))
    name = str(group.name).rpartition("/")[2]
    return Found(Signal(name=name, shape=data.shape, dtype=data.dtype, images=images, pixel_nm=pixel), (data,))


def _dectris(group: h5py.Group) -> Iterator[Found]:
    """A master file's images lie in further files, `data_000001` and so on; a data file has them in `data`."""
    names = sorted(name for name in group if _DECTRIS.fullmatch(name)) or ["data"]
    # A link to a file that is not there gives None; what stands behind a gap is no part of the stack.
    parts = [group.get(name) for name in names]
    good = [part for part in parts if _is_picture(part) and part.ndim == 3]
    if not good or len(good) < len(parts) or len({(part.shape[1:], part.dtype) for part in good}) > 1:
        return
    shape = (sum(len(part) for part in good), *good[0].shape[1:])
    yield Found(Signal(name="data", shape=shape, dtype=good[0].dtype, images=True), tuple(good))


# Any other -----------------------------------------------------------------------------------------------------------


def _any(file: h5py.File) -> Iterator[Found]:
    found: list[h5py.Dataset] = []
    file.visititems(lambda _, item: found.append(item) if _is_picture(item) else None)
    for data in found:
        name = str(data.name).lstrip("/")
        yield Found(Signal(name=name, shape=data.shape, dtype=data.dtype, images=data.ndim == 4), (data,))
