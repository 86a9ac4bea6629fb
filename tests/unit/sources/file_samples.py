"""Small files of each format that is replayed, as the programs that own the formats lay them out."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import tifffile

FRAMES = np.arange(3 * 8 * 10, dtype=np.uint16).reshape(3, 8, 10)
IMAGES = (np.arange(6 * 4 * 5) % 251).astype(np.uint16).reshape(6, 4, 5)
"""Of a scan of two lines of three points."""


def tiff(path: Path, data: np.ndarray = FRAMES, **options: Any) -> Path:
    tifffile.imwrite(path, data, **({"photometric": "minisblack"} | options))
    return path


def ome(path: Path) -> Path:
    sizes = {"PhysicalSizeX": 0.02, "PhysicalSizeXUnit": "µm", "PhysicalSizeY": 0.02, "PhysicalSizeYUnit": "µm"}
    return tiff(path, ome=True, metadata={"axes": "TYX", **sizes})


def hspy(path: Path, data: np.ndarray | None = None) -> Path:
    data = IMAGES.reshape(2, 3, 4, 5) if data is None else data
    with h5py.File(path, "w") as file:
        group = file.create_group("Experiments/scan")
        group["data"] = data
        for axis in range(data.ndim):
            steps = axis < data.ndim - 2
            units, scale = ("nm", 0.5) if steps or data.ndim < 4 else ("1/nm", 0.1)
            group.create_group(f"axis-{axis}").attrs.update(
                {"navigate": steps, "units": units, "scale": scale, "size": data.shape[axis]}
            )
        about = group.create_group("metadata/Acquisition_instrument/TEM")
        about.attrs.update({"beam_current": 0.05, "beam_energy": 200.0})
    return path


def velox(path: Path, detectors: tuple[str, ...] = ("HAADF", "BF")) -> Path:
    with h5py.File(path, "w") as file:
        for number, name in enumerate(detectors):
            group = file.create_group(f"Data/Image/{number:032x}")
            group["Data"] = np.moveaxis(FRAMES + number, 0, -1)
            about = {
                "BinaryResult": {
                    "Detector": name, "PixelSize": {"width": "2e-10", "height": "2e-10"}, "PixelUnitX": "m",
                },
                "Scan": {"DwellTime": "4e-06"},
                "Optics": {"AccelerationVoltage": "300000"},
            }  # fmt: skip
            text = np.zeros(4096, np.uint8)
            written = np.frombuffer(json.dumps(about).encode(), np.uint8)
            text[: len(written)] = written
            group["Metadata"] = np.repeat(text[:, None], 3, axis=1)
    return path


def ncem(path: Path) -> Path:
    with h5py.File(path, "w") as file:
        group = file.create_group("data/single")
        group.attrs["emd_group_type"] = 1
        group["data"] = FRAMES[0]
        for axis, size in enumerate(FRAMES.shape[1:], 1):
            group[f"dim{axis}"] = np.arange(size) * 0.25
            group[f"dim{axis}"].attrs["units"] = "[n_m]"
    return path


def nexus(path: Path) -> Path:
    with h5py.File(path, "w") as file:
        group = file.create_group("entry/HAADF")
        group.attrs.update({"NX_class": "NXdata", "signal": "data", "axes": ["frame", "y", "x"]})
        group["data"] = FRAMES.astype(np.float64)
        for name, size in (("y", 8), ("x", 10)):
            group[name] = np.arange(size) * 3.0
            group[name].attrs["units"] = "Å"
    return path


def dectris(folder: Path) -> Path:
    """A master file, and two files with the images."""
    master = folder / "run_master.h5"
    with h5py.File(master, "w") as file:
        file.create_group("entry/instrument/detector/detectorSpecific")["flatfield"] = np.ones((4, 5), np.float32)
        file.create_group("entry/data").attrs["NX_class"] = "NXdata"
        for number, part in enumerate((IMAGES[:4], IMAGES[4:]), 1):
            name = f"run_data_{number:06d}.h5"
            with h5py.File(folder / name, "w") as data:
                data["entry/data/data"] = part
            file[f"entry/data/data_{number:06d}"] = h5py.ExternalLink(name, "/entry/data/data")
    return master


def mib(path: Path, images: np.ndarray = IMAGES, kind: str = "U16") -> Path:
    written = b""
    for number, image in enumerate(images, 1):
        height, width = image.shape
        words = f"MQ1,{number:06d},00384,01,{width:04d},{height:04d},{kind},   1x1,01,2026-01-02 03:04:05.000000,"
        written += (words + "0.002000,0,0,0,").encode().ljust(384) + image.astype(">u2").tobytes()
    path.write_bytes(written)
    path.with_suffix(".hdr").write_text(
        f"HDR,\t\nFrames in Acquisition (Number):\t{len(images)}\nFrames per Trigger (Number):\t3\nEnd\t"
    )
    return path


READER = """
import argparse, json, sys
import numpy as np
parser = argparse.ArgumentParser()
parser.add_argument("path")
parser.add_argument("--signal", type=int, action="append", default=[])
wanted = parser.parse_args()
arrays = [array for _, array in sorted(np.load(wanted.path).items())]
if len(arrays) == 7:
    sys.exit("seven is not my number")
about = [
    {"name": f"array {n}", "shape": a.shape, "dtype": a.dtype.str, "images": a.ndim == 4, "pixel_nm": 2.0}
    for n, a in enumerate(arrays)
]
print("a word that belongs elsewhere", file=sys.stderr)
out = sys.stdout.buffer
out.write(json.dumps({"scanmend_reader": 1, "signals": about, "later": 1}).encode() + b"\\n")
if wanted.signal:
    chosen = np.stack([arrays[n].reshape(-1, *arrays[n].shape[-2:]) for n in wanted.signal], axis=1)
    out.write(chosen.tobytes())
"""


def reader(folder: Path, text: str = READER) -> str:
    """A command that reads `.npz` files, through the pipe of docs/adapters.md."""
    script = folder / "my_reader.py"
    script.write_text(text)
    return f"{sys.executable} {script}"
