"""HDF5 files: of HyperSpy (.hspy), Velox and NCEM (.emd), NeXus (.nxs), DECTRIS (.h5), and any other by its path."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from pathlib import Path

import h5py
import hdf5plugin  # noqa: F401 - registers the compressions that detectors use
import numpy as np

from scanmend.errors import DamagedFile, InvalidInput
from scanmend.sources.files.hdf5_layouts import Found, find
from scanmend.sources.files.signals import Array, together

# What h5py raises for bytes that are none, for links that lead nowhere, and for types that it does not know.
MISHAPS = (OSError, ValueError, KeyError, TypeError, RuntimeError)


class Hdf5Reader:
    """An open HDF5 file.

    Args:
        path: The file.

    Raises:
        InvalidInput: It cannot be read, or holds no picture.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._file = h5py.File(path, "r")
        except OSError as error:
            raise InvalidInput(
                f"{path} cannot be read as HDF5: {error}.", mend="Is the file whole, and not open for writing?"
            ) from error
        try:
            self._found: tuple[Found, ...] = find(self._file)
        except InvalidInput:
            self.close()
            raise
        except MISHAPS as error:
            self.close()
            raise InvalidInput(f"{path} is damaged: {error}.", mend="Copy it again from where it was made.") from error
        if not self._found:
            self.close()
            raise InvalidInput(f"{path} holds no picture.", mend="Give a file with an array of two or more sides.")
        self.signals = tuple(found.signal for found in self._found)

    def read(self, chosen: Sequence[int]) -> Generator[Array, None, None]:
        """See `Reader.read`."""
        return together(self.signals, self._get, chosen)

    def _get(self, index: int, slow: tuple[int, ...], run: slice) -> Array:
        found = self._found[index]
        try:
            if found.steps_last:
                return np.moveaxis(found.datasets[0][:, :, run], -1, 0)
            if len(found.signal.shape) == 2:
                return np.asarray(found.datasets[0][()])[None]
            if len(found.datasets) == 1:
                return np.asarray(found.datasets[0][(*slow, run)])
            return self._across(found, run)
        except MISHAPS as error:
            raise DamagedFile(
                f"Picture {run.start} of {found.signal.name} cannot be read: {error}.", mend="Is the file whole?"
            ) from error

    def _across(self, found: Found, run: slice) -> Array:
        """Pictures of a stack that lies in several datasets, one after another."""
        parts, first = [], 0
        for dataset in found.datasets:
            begin, end = max(run.start, first), min(run.stop, first + len(dataset))
            if begin < end:
                parts.append(dataset[begin - first : end - first])
            first += len(dataset)
        return np.concatenate(parts)

    def close(self) -> None:
        """Close the file."""
        self._file.close()
