"""Real micrographs as specimens: one file, or a folder whose pictures are shown in turn.

Pictures are read where they lie; nothing is copied.
"""

from __future__ import annotations

import csv
import logging
import struct
import warnings
import zlib
from collections import defaultdict
from dataclasses import dataclass, replace
from itertools import chain, zip_longest
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tifffile
from PIL import Image, UnidentifiedImageError

from scanmend.errors import InvalidInput
from scanmend_sim.specimens.base import MOST_PIXELS, Specimen, check_grid, to_signal

logger = logging.getLogger(__name__)

SUFFIXES = (".tif", ".tiff", ".png", ".npy")
"""Kinds of picture that can be read."""

QUIET_NOISE = 0.03
"""Noise relative to the range up to which a picture counts as quiet, by the manifest's `noise_rel`."""

_READ_ERRORS = (OSError, ValueError, KeyError, IndexError, TypeError, struct.error, zlib.error, EOFError, SyntaxError)


def default_folder() -> Path | None:
    """Give the folder of real micrographs beside the project's checkout, or None where there is none."""
    project = Path(__file__).resolve().parents[3]
    for root in (project, Path.cwd()):
        folder = root.parent / "shared" / "data" / "dev"
        if folder.is_dir() and any(folder.glob("*.tif")):
            return folder
    return None


def open_path(path: Path, seed: int = 0) -> Specimen:
    """Open a micrograph or a folder of them.

    Args:
        path: A file with one of `SUFFIXES`, or a folder with some.
        seed: For a folder: 0 keeps the order (quiet pictures first, kinds in turn), others shuffle it.

    Returns:
        The specimen; a file is read when it is drawn.

    Raises:
        InvalidInput: Not such a file, or a folder without one.
    """
    if path.is_dir():
        files = _in_order(path, seed)
        if not files:
            raise InvalidInput(
                f"The folder {path} holds no picture.", mend=f"Put in pictures of type {', '.join(SUFFIXES)}."
            )
        return FolderSpecimen(path, tuple(files))
    if path.suffix.lower() not in SUFFIXES:
        raise InvalidInput(
            f"{path.name} is not a picture that the simulator reads.", mend=f"Use one of {', '.join(SUFFIXES)}."
        )
    return FileSpecimen(path)


@dataclass(frozen=True, slots=True)
class FileSpecimen:
    """One micrograph."""

    path: Path
    """Where it lies."""

    @property
    def name(self) -> str:
        """The file's name without its suffix."""
        return self.path.stem

    @property
    def natural_pixel_size_nm(self) -> float | None:
        """None: the pixels of the file are the field's pixels, whatever their size."""
        return None

    def render(self, shape: tuple[int, int], pixel_size_nm: float) -> npt.NDArray[np.float32]:
        """Read the picture and fit it to the field.

        A picture at least as large as the field is cropped at its centre; a smaller one is enlarged
        bilinearly. Percentiles 0.1 and 99.9 become the ends of the signal. See `Specimen.render`.

        Raises:
            InvalidInput: The file is unreadable, not a picture, or without contrast.
        """
        check_grid(shape, pixel_size_nm)
        picture = fit(read_picture(self.path), shape)
        low, high = (float(np.percentile(picture, q)) for q in (0.1, 99.9))
        if not high > low:
            low, high = float(picture.min()), float(picture.max())
        if not high > low:
            raise InvalidInput(f"{self.path.name} has no contrast.", mend="Choose a picture that shows something.")
        return to_signal(picture, low, high)

    def variant(self, index: int) -> FileSpecimen:
        """Give the same file: there is no other."""
        return self


@dataclass(frozen=True, slots=True)
class FolderSpecimen:
    """A folder of micrographs, one of which is under the beam."""

    folder: Path
    """Where they lie."""
    files: tuple[Path, ...]
    """The pictures in the order in which they are shown."""
    index: int = 0
    """Which one is shown."""

    @property
    def current(self) -> FileSpecimen:
        """The picture under the beam."""
        return FileSpecimen(self.files[self.index % len(self.files)])

    @property
    def name(self) -> str:
        """The current file's name without its suffix."""
        return self.current.name

    @property
    def natural_pixel_size_nm(self) -> float | None:
        """None, as for a file."""
        return None

    def render(self, shape: tuple[int, int], pixel_size_nm: float) -> npt.NDArray[np.float32]:
        """Read the current picture; see `FileSpecimen.render`."""
        return self.current.render(shape, pixel_size_nm)

    def variant(self, index: int) -> FolderSpecimen:
        """Move on by `index` pictures; after the last comes the first."""
        return replace(self, index=(self.index + index) % len(self.files))


def read_picture(path: Path) -> npt.NDArray[np.float32]:
    """Read one picture.

    Args:
        path: A tif, png or npy file. Of a stack the first picture is taken; colours are averaged.

    Returns:
        float32 (ny, nx) in the file's units; not-a-number becomes the smallest value.

    Raises:
        InvalidInput: The file is missing, damaged, too large, or holds no picture.
    """
    try:
        if path.suffix.lower() == ".npy":
            values: npt.NDArray[np.generic] = np.load(path, mmap_mode="r", allow_pickle=False)
        elif path.suffix.lower() == ".png":
            values = _with_pillow(path)
        else:
            values = _tiff(path)
    except Image.DecompressionBombError as error:
        raise InvalidInput(f"{path.name} is too large: {error}", mend="Crop it to 8192×8192 pixels.") from error
    except _READ_ERRORS as error:
        raise InvalidInput(
            f"{path.name} cannot be read as a picture: {error}",
            mend="Check that the file is whole, and save it again as an uncompressed tif or as png.",
        ) from error
    if values.ndim < 2 or values.size == 0 or values.dtype.kind not in "buif":
        raise InvalidInput(
            f"{path.name} holds {values.dtype} of shape {values.shape}, which is no picture.",
            mend="Save it as a table of real numbers with the axes (y, x).",
        )
    if values.ndim >= 3 and values.shape[-1] in (3, 4) and values.shape[-2] > 4:
        values = values[..., :3].mean(axis=-1)
    while values.ndim > 2:
        values = values[0]
    if values.size > MOST_PIXELS:
        raise InvalidInput(f"{path.name} has {values.size} pixels.", mend="Crop it to 8192×8192 pixels.")
    picture = np.array(values, dtype=np.float32)
    finite = np.isfinite(picture)
    if not finite.any():
        raise InvalidInput(f"{path.name} holds no finite value.", mend="Choose another picture.")
    if not finite.all():
        logger.warning("%s: %d values are not finite; the smallest value stands in.", path.name, int((~finite).sum()))
        picture[~finite] = picture[finite].min()
    return picture


def fit(picture: npt.NDArray[np.float32], shape: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Crop at the centre, after a bilinear enlargement where the picture is too small.

    Args:
        picture: float32 (h, w).
        shape: Grid `(ny, nx)` wanted.

    Returns:
        float32 (ny, nx).
    """
    (h, w), (ny, nx) = picture.shape, shape
    scale = max(ny / h, nx / w, 1.0)
    top, left = (h - ny / scale) / 2, (w - nx / scale) / 2
    if scale == 1.0:
        return picture[int(top) : int(top) + ny, int(left) : int(left) + nx]
    y = np.clip(top - 0.5 + (np.arange(ny) + 0.5) / scale, 0, h - 1)
    x = np.clip(left - 0.5 + (np.arange(nx) + 0.5) / scale, 0, w - 1)
    y0, x0 = np.minimum(y.astype(int), max(h - 2, 0)), np.minimum(x.astype(int), max(w - 2, 0))
    y1, x1 = np.minimum(y0 + 1, h - 1), np.minimum(x0 + 1, w - 1)
    fy, fx = (y - y0)[:, None].astype(np.float32), (x - x0)[None, :].astype(np.float32)
    upper = picture[y0][:, x0] * (1 - fx) + picture[y0][:, x1] * fx
    lower = picture[y1][:, x0] * (1 - fx) + picture[y1][:, x1] * fx
    return np.asarray(upper * (1 - fy) + lower * fy, dtype=np.float32)


def _tiff(path: Path) -> npt.NDArray[np.generic]:
    try:
        with tifffile.TiffFile(path) as file:
            page = file.pages[0]
            if page.size <= 4 * MOST_PIXELS:
                return np.asarray(page.asarray())
            oversize = page.shape
    except _READ_ERRORS as error:
        logger.debug("tifffile cannot read %s (%s); trying Pillow, which knows more compressions.", path.name, error)
        return _with_pillow(path)
    raise InvalidInput(f"{path.name} is too large: {oversize}.", mend="Crop it to 8192×8192 pixels.")


def _with_pillow(path: Path) -> npt.NDArray[np.generic]:
    try:
        # Pillow warns of damage that it then fails on, or that does not reach the pixels.
        with warnings.catch_warnings(action="ignore"), Image.open(path) as image:
            return np.asarray(image.convert("L") if image.mode in ("P", "1", "CMYK", "YCbCr") else image)
    except UnidentifiedImageError as error:
        raise ValueError("it is not a picture, or is damaged") from error


def _in_order(folder: Path, seed: int) -> list[Path]:
    """List a folder's pictures: quiet ones first, the manifest's kinds in turn, shuffled by a seed other than 0."""
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and path.is_file())
    notes = _manifest(folder / "manifest.csv")
    quiet = [path for path in files if notes.get(path.name, ("", 0.0))[1] <= QUIET_NOISE]
    noisy = [path for path in files if path not in set(quiet)]
    ordered = []
    for group in (quiet, noisy):
        kinds: dict[str, list[Path]] = defaultdict(list)
        if seed:
            order = np.random.default_rng(seed & 0xFFFFFFFF).permutation(len(group))
            group = [group[k] for k in order]
        for path in group:
            kinds[notes.get(path.name, ("", 0.0))[0]].append(path)
        ordered += [path for path in chain.from_iterable(zip_longest(*kinds.values())) if path is not None]
    return ordered


def _manifest(path: Path) -> dict[str, tuple[str, float]]:
    """Read kind and relative noise by file name; a missing or odd manifest gives nothing."""
    notes: dict[str, tuple[str, float]] = {}
    try:
        with path.open(newline="", encoding="utf-8") as lines:
            for row in csv.DictReader(lines):
                try:
                    noise = float(row.get("noise_rel") or 0.0)
                except ValueError:
                    noise = 0.0
                notes[row.get("file") or ""] = (row.get("mode") or "", noise)
    except FileNotFoundError:
        return {}
    except (OSError, csv.Error, UnicodeDecodeError) as error:
        logger.warning("%s is ignored: %s", path, error)
    return notes
