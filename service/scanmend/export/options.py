"""What an export is asked for, and what it reports."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from scanmend.exposure import Exposure
from scanmend.restoration import Restoration


class Compression(StrEnum):
    """How arrays are packed in an HDF5 file."""

    BLOSC = "blosc"
    """Blosc with LZ4 behind a shuffle of bits: the fastest; readers need the hdf5plugin package."""
    GZIP = "gzip"
    """Deflate behind a shuffle of bytes: slower, and read by every HDF5 library as it is."""
    NONE = "none"
    """As they are."""


@dataclass(frozen=True, slots=True)
class Restored:
    """A restoration that was made for an export, and how."""

    restoration: Restoration
    settings: Mapping[str, str | float]
    """What a reader needs to make it again: runtime, precision, threads, calibration as JSON, …"""


Mender = Callable[[Exposure], Restored]
"""Restores an exposure; raises ModelError or ExposureError."""

Loader = Callable[[str], Mender]
"""Gives the restorer of a model's name, `auto` included; raises ModelError or ConfigurationError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportReport:
    """What an export wrote, and what it could not."""

    path: Path
    bytes: int
    """Size of the file."""
    frames: int
    """Frames written."""
    passes: int
    sample_bytes: int
    """Bytes of samples, before they were packed."""
    finished: bool
    """Whether the session had come to its end."""
    frames_missing: int
    """Sequence numbers without a frame in the journal: rejected, dropped on the way, or lost."""
    frames_damaged: int
    """Frames in the journal that could not be read."""
    entries_lost: int
    """Journal entries that are known to have been there and are gone."""
    problems: tuple[str, ...]
    """All that could not be exported, in words."""
    restored_by: str
    """The model; empty where nothing was restored."""
    elapsed_s: float
