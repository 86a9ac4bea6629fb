"""Reads a microscopist's file with RosettaSciIO and writes it to standard output, as docs/adapters.md describes.

RosettaSciIO is under the GPL. This script is started as a program of its own, with a Python that has the package; it
imports nothing of Scanmend, and Scanmend imports nothing of it.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import pathlib
import sys
import warnings
from typing import Any, BinaryIO

NM = {"m": 1e9, "mm": 1e6, "µm": 1e3, "um": 1e3, "nm": 1.0, "n_m": 1.0, "Å": 0.1, "A": 0.1, "pm": 1e-3}


def load(path: str) -> list[dict[str, Any]]:
    """What RosettaSciIO makes of a file: the first of its readers for such a name that can."""
    from rsciio import IO_PLUGINS  # type: ignore[import-not-found,unused-ignore]

    ending = pathlib.Path(path).suffix.lower().lstrip(".")
    fitting = [plugin for plugin in IO_PLUGINS if ending in plugin["file_extensions"]]
    if not fitting:
        sys.exit(f"RosettaSciIO reads no files called .{ending}")
    problems = []
    for plugin in fitting:
        for options in ({"lazy": True}, {}):
            try:
                signals: list[dict[str, Any]] = importlib.import_module(plugin["api"]).file_reader(path, **options)
                return signals
            except Exception as error:  # each format has errors of its own; the last one is told
                problems.append(f"{plugin['name']}: {error!r}")
    sys.exit("; ".join(problems[-2:]).replace("\n", " "))


def found(data: Any, name: str) -> float | None:
    """A number anywhere below a key of nested maps."""
    if isinstance(data, dict):
        if isinstance(data.get(name), (int, float)):
            return float(data[name])
        for value in data.values():
            below = found(value, name)
            if below is not None:
                return below
    return None


def pictures(signal: dict[str, Any]) -> bool:
    """Whether a signal is a stack of pictures, with the axes that count them first."""
    axes, data = signal["axes"], signal["data"]
    steps = [bool(axis.get("navigate")) for axis in axes] or [False] * data.ndim
    return (
        data.ndim >= 2
        and len(steps) == data.ndim
        and steps == sorted(steps, reverse=True)
        and sum(steps) == data.ndim - 2
    )


def length_nm(axis: dict[str, Any]) -> float | None:
    """Size of a pixel along an axis, where it is a length that a microscope has."""
    value = abs(float(axis.get("scale") or 0)) * NM.get(str(axis.get("units") or "").strip(), 0)
    return value if 1e-4 <= value <= 1e7 else None


def describe(number: int, signal: dict[str, Any], ending: str) -> dict[str, Any]:
    """The signal as the header has it."""
    data, axes = signal["data"], signal["axes"]
    images = data.ndim == 4 or ending == ".mib"
    sides = [length_nm(axis) for axis in (axes[:2] if images else axes[-2:])]
    known = [side for side in sides if side is not None]
    square = len(known) == 2 and abs(known[0] - known[1]) <= 0.02 * known[1]
    instrument = signal.get("metadata", {}).get("Acquisition_instrument", {})
    dwell_s, current_na, energy_kev = (found(instrument, key) for key in ("dwell_time", "beam_current", "beam_energy"))
    title = signal.get("metadata", {}).get("General", {}).get("title")
    return {
        "name": str(title or f"signal {number}")[:200],
        "shape": [int(side) for side in data.shape],
        "dtype": data.dtype.newbyteorder("<").str,
        "images": images,
        "pixel_nm": sides[1] if square else None,
        "dwell_ns": dwell_s * 1e9 if dwell_s and 0 < dwell_s < 1e3 else None,
        "beam_current_pa": current_na * 1e3 if current_na and current_na > 0 else None,
        "beam_energy_kev": energy_kev if energy_kev and energy_kev > 0 else None,
    }


def write(signals: list[dict[str, Any]], out: BinaryIO) -> None:
    """The pictures of all chosen signals, one picture of each in turn."""
    import numpy as np

    shape = signals[0]["data"].shape
    for index in np.ndindex(*shape[:-3]):
        for first in range(0, shape[-3] if len(shape) > 2 else 1, 16):
            run = (*index, slice(first, first + 16)) if len(shape) > 2 else ()
            parts = [np.asarray(signal["data"][run]).reshape(-1, *shape[-2:]) for signal in signals]
            block = np.stack(parts, axis=1)
            out.write(np.ascontiguousarray(block, block.dtype.newbyteorder("<")).tobytes())


def main() -> None:
    """Write the header, and the data of the signals that were asked for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("path")
    parser.add_argument("--signal", type=int, action="append", default=[])
    wanted = parser.parse_args()
    warnings.simplefilter("ignore")
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # some readers print; nothing but the header and the data may go into the pipe
    ending = pathlib.Path(wanted.path).suffix.lower()
    signals = [signal for signal in load(wanted.path) if pictures(signal) and signal["data"].dtype.kind in "buifc"]
    about = [describe(number, signal, ending) for number, signal in enumerate(signals)]
    out.write(json.dumps({"scanmend_reader": 1, "signals": about}).encode() + b"\n")
    if wanted.signal:
        write([signals[number] for number in wanted.signal], out)
    out.flush()


if __name__ == "__main__":
    main()
