"""Small words for writing a Zarr folder: the library, groups, arrays that grow, and a folder as one zip."""

from __future__ import annotations

import os
import shutil
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from scanmend.errors import ConfigurationError
from scanmend.export.aside import folder_written_aside, written_aside
from scanmend.export.tree import picture_chunk

if TYPE_CHECKING:
    import zarr

FORMAT: Literal[2] = 2
"""Version 2 of Zarr: OME-Zarr 0.4, which more programs read than 0.5 with Zarr 3 (decision 0014)."""

_COLUMN_CHUNK = 1 << 20
"""Values in a chunk of a column."""


def need_zarr() -> None:
    """See that the library is there.

    Raises:
        ConfigurationError: It is not installed.
    """
    try:
        import zarr  # noqa: F401
    except ImportError as error:
        raise ConfigurationError(
            "Writing Zarr needs the zarr package, which is not installed.",
            mend="Install it (pip install 'scanmend[zarr]', or pip install 'zarr>=3'), or export as nexus.",
        ) from error


@contextmanager
def new_store(target: Path, *, force: bool) -> Iterator[zarr.Group]:
    """The root group of a new Zarr folder, which gets its name when the block ends well.

    A target that ends in `.zip` becomes one file, for downloads: the folder is written beside it first and then
    packed without compression, for its chunks are compressed already.

    Raises:
        ConfigurationError: The library is not installed.
        InvalidInput: It is there already.
        ExportError: It cannot be written.
    """
    need_zarr()
    import zarr

    if target.suffix != ".zip":
        with folder_written_aside(target, force=force) as aside:
            yield zarr.create_group(store=aside, zarr_format=FORMAT)
        return
    with written_aside(target, force=force) as aside:
        folder = aside.with_name(f"{aside.name}.d")  # nobody else writes it: the lock on `aside` is held
        shutil.rmtree(folder, ignore_errors=True)
        try:
            yield zarr.create_group(store=folder, zarr_format=FORMAT)
            _pack(folder, aside)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _pack(folder: Path, file: Path) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as packed:
        for place, folders, names in os.walk(folder):
            folders.sort()
            for name in sorted(names):
                path = Path(place, name)
                packed.write(path, path.relative_to(folder))


def put_array(
    parent: zarr.Group, name: str, shape: Sequence[int], dtype: npt.DTypeLike, dimensions: Sequence[str], **more: Any
) -> zarr.Array[Any]:
    """A new array, packed with Blosc (LZ4 behind a shuffle of bits); the last two axes are those of a picture.

    Args:
        parent: Where.
        name: Its name.
        shape: Of the array; the first axis may be made longer later.
        dtype: Of its values.
        dimensions: A name for each axis, which xarray shows.
        more: Further attributes.
    """
    import numcodecs

    kind = np.dtype(dtype)
    if len(shape) == 1:
        chunks: tuple[int, ...] = (_COLUMN_CHUNK,)
    else:
        chunks = (*(1 for _ in shape[:-2]), *picture_chunk((shape[-2], shape[-1]), kind.itemsize))
    return parent.create_array(
        name,
        shape=tuple(shape),
        chunks=chunks,
        dtype=kind,
        fill_value=np.nan if kind.kind == "f" else 0,
        compressors=numcodecs.Blosc(cname="lz4", clevel=5, shuffle=numcodecs.Blosc.BITSHUFFLE),
        chunk_key_encoding={"name": "v2", "separator": "/"},
        attributes={"_ARRAY_DIMENSIONS": list(dimensions), **more},
    )


class Columns:
    """Columns of one length that grow at their end, written in whole chunks; made when the first values come.

    Args:
        parent: The group in which theirs is made.
        name: The name of their group.
        columns: Name → dtype.
        about: Attributes of their group.
    """

    def __init__(
        self, parent: zarr.Group, name: str, columns: Mapping[str, npt.DTypeLike], about: Mapping[str, Any]
    ) -> None:
        self.rows = 0
        """How many there are."""
        self._parent, self._name, self._about = parent, name, dict(about)
        self._held = {key: np.empty(_COLUMN_CHUNK, dtype) for key, dtype in columns.items()}
        self._arrays: dict[str, zarr.Array[Any]] = {}

    def append(self, **values: npt.ArrayLike) -> None:
        """Take values for every column, of one length; a single number stands for all of them."""
        arrays = {key: np.asarray(value) for key, value in values.items()}
        length, at = max(array.size for array in arrays.values()), 0
        while at < length:
            begin = self.rows % _COLUMN_CHUNK
            count = min(length - at, _COLUMN_CHUNK - begin)
            for key, held in self._held.items():
                array = arrays[key]
                held[begin : begin + count] = array if array.ndim == 0 else array[at : at + count]
            self.rows += count
            at += count
            if self.rows % _COLUMN_CHUNK == 0:
                self._spill(self.rows - _COLUMN_CHUNK)

    def finish(self) -> None:
        """Write what is left."""
        rest = self.rows % _COLUMN_CHUNK
        if rest:
            self._spill(self.rows - rest)

    def _spill(self, first: int) -> None:
        if not self._arrays:
            group = self._parent.create_group(self._name, attributes=self._about)
            for key, held in self._held.items():
                self._arrays[key] = put_array(group, key, (0,), held.dtype, ["sample"])
        for key, array in self._arrays.items():
            array.resize((self.rows,))
            array[first:] = self._held[key][: self.rows - first]
