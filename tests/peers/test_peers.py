"""Exported sessions as other programs see them: pictures, axes and units are what was measured."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
import pytest
import tifffile
import zarr

from scanmend.wire.messages import Mode

Look = Callable[..., dict[str, Any]]

assert hdf5plugin.FILTERS, "Blosc is read with it"


@pytest.mark.parametrize("mode", Mode)
def test_hyperspy_reads_every_picture_of_a_nexus_file_with_its_axes(
    files: Path, look: Look, shape: tuple[int, int], mode: Mode
) -> None:
    seen = look("hyperspy", files / f"{mode}.nxs")
    with h5py.File(files / f"{mode}.nxs") as file:
        entry = file["entry"]
        wanted = {name for name in entry if entry[name].attrs.get("NX_class") == "NXdata"}
        assert {signal["title"] for signal in seen["signals"]} == wanted
        for signal in seen["signals"]:
            nxdata = entry[signal["title"]]
            stored = nxdata[nxdata.attrs["signal"]][()]
            np.testing.assert_array_equal(seen["arrays"][signal["array"]], stored)
            picture = [(axis["name"], axis["size"], axis["scale"], axis["units"]) for axis in signal["axes"][-2:]]
            assert picture == [("y", shape[0], 0.5, "nm"), ("x", shape[1], 0.5, "nm")]
            stack = signal["title"].startswith("frames_")
            assert signal["navigation"] == stack, "passes are gone through, not looked at from the side"
    assert ("frames_SE" in wanted) is (mode is Mode.FRAMES)


def test_hyperspy_reads_the_pixel_size_of_a_tiff(files: Path, look: Look) -> None:
    seen = look("hyperspy", files / "exposure.ome.tif")
    (signal,) = seen["signals"]
    np.testing.assert_array_equal(seen["arrays"]["array0"], tifffile.imread(files / "exposure.ome.tif"))
    for axis in signal["axes"]:
        length_nm = {"nm": 1.0, "µm": 1e3, "um": 1e3, "cm": 1e7}[axis["units"]] * axis["scale"]
        assert length_nm == pytest.approx(0.5)


def test_libertem_adds_up_the_passes_of_a_stack(files: Path, look: Look, shape: tuple[int, int]) -> None:
    places = ("/entry/frames_SE/data", "/entry/frames_BSE/data")
    seen = look("libertem", files / "frames.nxs", *places)
    with h5py.File(files / "frames.nxs") as file:
        for place in places:
            assert seen["shapes"][place] == [[file[place].shape[0]], list(shape)]
            total = file[place][()].sum(axis=0, dtype=np.float64)
            np.testing.assert_allclose(seen["arrays"][place.replace("/", "|")], total)


@pytest.mark.parametrize("mode", Mode)
def test_ome_zarr_reads_every_image_and_finds_it_in_order(files: Path, look: Look, mode: Mode) -> None:
    root = zarr.open_group(files / f"{mode}.ome.zarr", mode="r")
    images = list(root["OME"].attrs["series"])
    seen = look("omezarr", files / f"{mode}.ome.zarr", *images)
    assert seen["kind"] == "BioFormats2Raw"
    for image in images:
        about = seen["images"][image]
        assert about["kind"] == "Image"
        np.testing.assert_array_equal(seen["arrays"][image], root[f"{image}/0"][...])
        space = [(axis["name"], axis["unit"]) for axis in about["axes"][-2:]]
        assert space == [("y", "nanometer"), ("x", "nanometer")]
        assert about["scales"][0][0]["scale"][-2:] == [0.5, 0.5]
    assert "estimate, not data" in seen["images"]["restored"]["channels"][0]
