"""Datasets that grow at their end, written in whole chunks: a chunk that is packed twice costs twice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from scanmend.export.tree import CHUNK_BYTES

_TABLE_ROWS = 4096


class Column:
    """A one-dimensional dataset; keeps less than a chunk in memory.

    Args:
        parent: Where.
        name: Its name.
        dtype: Of its values.
        packing: Arguments of `create_dataset`.
        chunk: Values in a chunk.
    """

    def __init__(
        self, parent: h5py.Group, name: str, dtype: npt.DTypeLike, packing: Mapping[str, Any], chunk: int = 0
    ) -> None:
        kind = np.dtype(dtype)
        self._chunk = chunk or CHUNK_BYTES // kind.itemsize
        self.dataset = parent.create_dataset(name, (0,), kind, maxshape=(None,), chunks=(self._chunk,), **packing)
        self._rest: npt.NDArray[np.generic] = np.empty(self._chunk, kind)
        self._held = 0
        self._written = 0

    def __len__(self) -> int:
        """How many values it has been given."""
        return self._written + self._held

    def append(self, values: npt.NDArray[np.generic]) -> None:
        """Take values; whole chunks go to the file."""
        at = 0
        while at < len(values):
            whole = (len(values) - at) // self._chunk * self._chunk
            if not self._held and whole:
                self._write(values[at : at + whole])
                at += whole
                continue
            part = values[at : at + self._chunk - self._held]
            self._rest[self._held : self._held + len(part)] = part
            self._held += len(part)
            at += len(part)
            if self._held == self._chunk:
                self._spill()

    def finish(self) -> None:
        """Write what is left; a column without values is taken out of the file again."""
        if self._held:
            self._spill()
        elif not self._written:
            del self.dataset.parent[self.dataset.name]

    def _spill(self) -> None:
        self._write(self._rest[: self._held])
        self._held = 0

    def _write(self, values: npt.NDArray[np.generic]) -> None:
        first = self._written
        self._written += len(values)
        self.dataset.resize(self._written, axis=0)
        self.dataset[first:] = values


class Table:
    """Columns of one length, filled row by row; each is a dataset of its own, as NeXus has it.

    Args:
        parent: The group of the columns.
        columns: Name → dtype.
        packing: Arguments of `create_dataset`.
    """

    def __init__(self, parent: h5py.Group, columns: Mapping[str, npt.DTypeLike], packing: Mapping[str, Any]) -> None:
        self.rows = 0
        self._columns = {name: Column(parent, name, dtype, packing, _TABLE_ROWS) for name, dtype in columns.items()}
        self._pending: dict[str, list[Any]] = {name: [] for name in columns}

    def add(self, **values: Any) -> None:
        """Add a row, with a value for every column."""
        for name, held in self._pending.items():
            held.append(values[name])
        self.rows += 1
        if self.rows % _TABLE_ROWS == 0:
            self._spill()

    def finish(self) -> None:
        """Write what is left."""
        self._spill()
        for column in self._columns.values():
            column.finish()

    def _spill(self) -> None:
        for name, held in self._pending.items():
            self._columns[name].append(np.asarray(held, dtype=self._columns[name].dataset.dtype))
            held.clear()
