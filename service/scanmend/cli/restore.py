"""`scanmend restore`: mend one exposure from a file, without a service."""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from pathlib import Path

import numpy as np

from scanmend.engine.restorer import Restorer
from scanmend.errors import ExposureError, InvalidInput
from scanmend.exposure import Exposure
from scanmend.restoration import Restoration

HELP = "Restore a sparse scan or a noisy picture from a file (npz with values, visits, electrons_per_unit; tif; npy)."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the options."""
    parser.add_argument("input", type=Path, help=".npz with an exposure, or .tif/.npy with a fully scanned picture")
    parser.add_argument("-o", "--output", type=Path, required=True, help=".npz, with sigma, or .tif")
    parser.add_argument("--model", default="auto", help="a name from the catalogue")
    parser.add_argument("--threads", type=int, default=2, help="threads of the runtime")
    parser.add_argument(
        "--electrons-per-unit",
        help="a number, inf for noise-free samples, or auto to estimate it; overrides the file's own",
    )
    parser.add_argument("--read-noise", type=float, default=0.0, help="standard deviation of the detector, in units")
    parser.add_argument("--json", action="store_true", help="print one JSON object about the restoration")


def run(arguments: argparse.Namespace) -> int:
    """Restore, and write the result aside before it gets its name."""
    exposure = read_exposure(arguments.input, arguments.electrons_per_unit, arguments.read_noise)
    check_output(arguments.output)
    restorer = Restorer.load(arguments.model, threads=arguments.threads)
    mended = restorer.restore(exposure)
    write_restoration(arguments.output, mended)
    about = {
        "output": str(arguments.output),
        "shape": list(exposure.shape),
        "coverage": exposure.coverage,
        "model": mended.model,
        "model_version": mended.model_version,
        "sha256": mended.sha256,
        "provider": mended.provider,
        "elapsed_ms": mended.elapsed_ms,
        "sigma_mean": float(mended.sigma.mean()),
        "caution": mended.caution,
    }
    if arguments.json:
        print(json.dumps(about))
    else:
        print(
            f"{arguments.output}: {exposure.shape[0]} × {exposure.shape[1]} pixels, {exposure.coverage:.1%} sampled, "
            f"restored by {mended.model} in {mended.elapsed_ms:.0f} ms; mean sigma {about['sigma_mean']:.4g}",
            file=sys.stderr,
        )
        if mended.caution:
            print(f"Take care: {mended.caution}.", file=sys.stderr)
    return 0


def read_exposure(path: Path, electrons_per_unit: str | None, read_noise: float) -> Exposure:
    """Read an exposure, or a fully scanned picture.

    Raises:
        InvalidInput: The file is missing, of another kind, or lacks what an exposure needs.
    """
    try:
        match path.suffix.lower():
            case ".npz":
                with np.load(path, allow_pickle=False) as data:
                    arrays = {name: data[name] for name in data.files}
            case ".npy":
                arrays = {"values": np.load(path, allow_pickle=False)}
            case ".tif" | ".tiff":
                import tifffile  # noqa: PLC0415 - a slow import that only pictures need

                arrays = {"values": tifffile.imread(path)}
            case other:
                raise InvalidInput(f"{path} is of kind {other or '(none)'}.", mend="Give an npz, npy or tif file.")
    except (OSError, ValueError, KeyError) as error:
        if isinstance(error, InvalidInput):
            raise
        raise InvalidInput(f"{path} cannot be read: {error}.", mend="Give an npz, npy or tif file.") from error
    if "values" not in arrays:
        raise InvalidInput(
            f"{path} holds {', '.join(arrays) or 'nothing'}, and no values.",
            mend="Save it with np.savez(path, values=…, visits=…, electrons_per_unit=…).",
        )
    values = arrays["values"]
    visits = arrays.get("visits")
    if visits is None:
        visits = np.ones(values.shape, dtype=np.uint16)
    return Exposure.from_samples(
        values,
        visits,
        electrons_per_unit=_gain(electrons_per_unit, arrays.get("electrons_per_unit")),
        read_noise=read_noise or float(arrays.get("read_noise", 0.0)),
    )


def _gain(word: str | None, stored: np.ndarray | None) -> float | None:
    if word == "auto":
        return None
    if word is not None:
        try:
            return float(word)
        except ValueError as error:
            raise ExposureError(f"{word!r} is not a gain.", mend="Give a number, inf, or auto.") from error
    if stored is None or stored.size != 1 or stored.dtype.kind not in "uif":
        return None
    value = float(stored.reshape(()))
    return None if math.isnan(value) else value


def check_output(path: Path) -> None:
    """See that a result can be written there before the work is done.

    Raises:
        InvalidInput: It cannot.
    """
    if path.suffix.lower() not in (".npz", ".tif", ".tiff"):
        raise InvalidInput(
            f"{path} is of no kind that can hold a picture and what made it.", mend="Name an npz or a tif file."
        )
    if not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
        raise InvalidInput(f"The folder {path.parent} cannot be written.", mend="Name an existing, writable folder.")


def write_restoration(path: Path, mended: Restoration) -> None:
    """Write the estimate, and that it is one; an npz holds sigma and what made both, a tif has a description."""
    words = f"Restored by {mended.model} {mended.model_version} ({mended.sha256}): an estimate, not data."
    if mended.caution:
        words += f" Take care: {mended.caution}."
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    with aside.open("wb") as file:
        match path.suffix.lower():
            case ".npz":
                np.savez(
                    file,
                    image=mended.image,
                    sigma=mended.sigma,
                    model=mended.model,
                    model_version=mended.model_version,
                    sha256=mended.sha256,
                    provider=mended.provider,
                    elapsed_ms=mended.elapsed_ms,
                    note=words,
                )
            case _:
                import tifffile  # noqa: PLC0415

                tifffile.imwrite(file, mended.image, description=words)
    aside.rename(path)
