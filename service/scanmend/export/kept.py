"""A snapshot of the live view as files: pictures for people and for programs, and all that is known of them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from scanmend.export.restored import ESTIMATE
from scanmend.export.snapshot import Picture, png_bytes, tiff_bytes

PARTS = ("raw", "estimate", "sigma")


def write_kept(folder: Path, about: dict[str, Any], files: dict[str, str]) -> None:
    """Write the files of a snapshot beside its planes, and remove the planes.

    Args:
        folder: Holds `raw.npy`, and for a restored picture `estimate.npy` and `sigma.npy`, each `(ny, nx)`.
        about: All that is known; its parts `session` and `picture` are as the API has them. It is written as
            JSON, with the sha256 of every other file.
        files: The name of each file: `png` and `tiff` (the picture), `raw_png`, `raw_tiff`, `sigma_tiff`, `json`.

    Raises:
        OSError: The folder cannot be read or written.
    """
    planes = {name: _plane(folder / f"{name}.npy") for name in PARTS}
    written: dict[str, str] = {}
    for word, data in _drawn(planes, about).items():
        path = folder / files[word]
        path.write_bytes(data)
        written[files[word]] = hashlib.sha256(data).hexdigest()
    kinds = {name: str(plane.dtype) for name, plane in planes.items() if plane is not None}
    text = json.dumps({**about, "planes": kinds, "sha256_of_files": written}, ensure_ascii=False, indent=2)
    (folder / files["json"]).write_text(text + "\n", encoding="utf-8")
    for name in PARTS:
        (folder / f"{name}.npy").unlink(missing_ok=True)


def _plane(path: Path) -> npt.NDArray[Any] | None:
    return np.load(path, allow_pickle=False) if path.exists() else None


def _drawn(planes: dict[str, npt.NDArray[Any] | None], about: dict[str, Any]) -> dict[str, bytes]:
    """The pictures as files, by their words."""
    session, picture = about["session"], about["picture"]
    channel = picture["channel"] or session["restore_channel"]
    raw, estimate, sigma = (planes[name] for name in PARTS)
    common: dict[str, Any] = {
        "pixel_size_nm": session["field"]["pixel_size_nm"],
        "title": session["name"],
        "acquired_unix_ns": picture["acquired_unix_ns"],
    }
    made: dict[str, bytes] = {}
    if raw is not None:
        sampled = "" if picture["coverage"] is None else f", {100 * picture['coverage']:.3g} % of the pixels sampled"
        measured = Picture(values=raw, words=f"{channel}, as measured{sampled}", channel=channel, **common)
        made["raw_png"] = made["png"] = png_bytes(measured)
        made["raw_tiff"] = made["tiff"] = tiff_bytes(measured, bits=16 if raw.dtype.kind in "ui" else 32)
    if estimate is not None:
        version = about["model"]["version"] if about["model"] else ""
        by = f"{picture['model']} {version}".strip()
        marked = f"restored by {by} — {ESTIMATE}"
        caution = f"; caution: {picture['caution']}" if picture["caution"] else ""
        common["origin"] = f"{picture['sha256']}, {picture['provider']}, made while the session ran"
        label = f"{channel} (restored: {ESTIMATE})"
        restored = Picture(values=estimate, words=f"{channel}, {marked}{caution}", channel=label, **common)
        made["png"], made["tiff"] = png_bytes(restored), tiff_bytes(restored)
        if sigma is not None:
            words = f"{channel}, standard deviation of the picture {marked}"
            label = f"{channel} (sigma: {ESTIMATE})"
            made["sigma_tiff"] = tiff_bytes(Picture(values=sigma, words=words, channel=label, **common))
    return made
