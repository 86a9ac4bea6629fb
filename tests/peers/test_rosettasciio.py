"""`scanmend source file` with the real RosettaSciIO behind the pipe, and our own readers held against it."""

from __future__ import annotations

import argparse
import os
import subprocess
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from in_thread import AcquireInThread
from scanmend.errors import InvalidInput
from scanmend.export.session import RecordedSession
from scanmend.field import Field
from scanmend.plan import ScanPlan
from scanmend.sources import Relay, RelayOptions, SeriesOptions
from scanmend.sources.files.adapter import ADAPTER
from scanmend.sources.files.opening import OWN, open_file

STACK = (np.arange(3 * 20 * 24) * 7 % 4000).astype(np.uint16).reshape(3, 20, 24)
FOUR_D = (np.arange(4 * 5 * 6 * 7) % 251).astype(np.uint8).reshape(4, 5, 6, 7)

WRITE = """
import sys
import numpy as np
from rsciio import hspy, ripple, tiff

def signal(data, units, scales):
    axes = [
        {"name": f"axis{n}", "size": size, "units": unit, "scale": scale, "offset": 0.0, "navigate": n < data.ndim - 2,
         "index_in_array": n, "_type": "UniformDataAxis", "is_binned": False}
        for n, (size, unit, scale) in enumerate(zip(data.shape, units, scales))
    ]
    about = {"General": {"title": "made"}, "Signal": {"signal_type": ""},
             "Acquisition_instrument": {"TEM": {"beam_energy": 80.0, "beam_current": 0.03}}}
    return {"data": data, "axes": axes, "metadata": about, "original_metadata": {}, "attributes": {"_lazy": False},
            "learning_results": {}, "tmp_parameters": {}, "models": {}, "package_info": {}, "package": "",
            "package_version": ""}

stack = np.load(sys.argv[1] + "/stack.npy")
images = np.load(sys.argv[1] + "/four_d.npy")
of_frames, of_images = ["s", "nm", "nm"], ["nm", "nm", "1/nm", "1/nm"]
ripple.file_writer(sys.argv[1] + "/a.rpl", signal(stack, of_frames, [1.0, 0.25, 0.25]))
hspy.file_writer(sys.argv[1] + "/a.hspy", signal(images, of_images, [0.5, 0.5, 0.1, 0.1]))
hspy.file_writer(sys.argv[1] + "/stack.hspy", signal(stack, of_frames, [1.0, 0.25, 0.25]))
tiff.file_writer(sys.argv[1] + "/a.tif", signal(stack, of_frames, [1.0, 0.25, 0.25]))
"""


@pytest.fixture(scope="module")
def python() -> str:
    found = Path(os.environ["SCANMEND_PEERS"]) / "rosettasciio" / "bin" / "python"
    assert found.exists(), f"there is no environment {found.parent.parent}: run `make peers`"
    return str(found.absolute())


@pytest.fixture(scope="module")
def written(python: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files that RosettaSciIO itself has written."""
    folder = tmp_path_factory.mktemp("written")
    np.save(folder / "stack.npy", STACK)
    np.save(folder / "four_d.npy", FOUR_D)
    done = subprocess.run(
        [python, "-I", "-c", WRITE, str(folder)], capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stderr
    return folder


def pictures(path: Path, python: str = "") -> tuple[object, np.ndarray]:
    with closing(open_file(path, reader_python=python)) as reader:
        return reader.signals[0], np.concatenate(list(reader.read([0])))[:, 0]


@pytest.mark.parametrize(
    ("name", "data", "pixel_nm"),
    [("a.rpl", STACK, 0.25), ("a.hspy", FOUR_D, 0.5), ("stack.hspy", STACK, 0.25), ("a.tif", STACK, 0.25)],
)
def test_what_rosettasciio_wrote_it_gives_through_the_pipe(
    written: Path, python: str, name: str, data: np.ndarray, pixel_nm: float
) -> None:
    signal, found = pictures(written / name, python)
    assert signal.shape == data.shape and signal.dtype == data.dtype and signal.images == (data.ndim == 4)
    assert signal.pixel_nm == pytest.approx(pixel_nm)
    np.testing.assert_array_equal(found, data.reshape(-1, *data.shape[-2:]))


@pytest.mark.parametrize("name", ["a.hspy", "stack.hspy", "a.tif"])
def test_our_own_readers_find_the_same(written: Path, python: str, name: str) -> None:
    ours, data = pictures(written / name)
    theirs, same = pictures(written / name, python)
    np.testing.assert_array_equal(data, same)
    assert (ours.shape, ours.dtype, ours.images) == (theirs.shape, theirs.dtype, theirs.images)
    if name != "a.tif":  # its units are in tags of ImageJ's and HyperSpy's own, which only RosettaSciIO reads
        assert ours.pixel_nm == theirs.pixel_nm
        assert (ours.beam_energy_kev, ours.beam_current_pa) == (80.0, 30.0)


def test_a_format_that_only_rosettasciio_reads_becomes_a_recording(written: Path, python: str, tmp_path: Path) -> None:
    parser = argparse.ArgumentParser()
    ADAPTER.add_arguments(parser)
    known = {"series": 0, **dict.fromkeys(("shape", "pixel_size_nm", "dwell_us", "beam_current_pa", "beam_energy_kev"))}
    words = [str(written / "a.rpl"), "--reader-python", python, "--speed", "max"]
    arguments = parser.parse_args(words, argparse.Namespace(**known))
    ADAPTER.complete(arguments)
    plan = ScanPlan.raster(arguments.shape, 1000)
    with AcquireInThread(tmp_path / "data") as service:
        relay = Relay(
            ADAPTER.build(arguments, plan),
            service.address,
            RelayOptions(name="file"),
            SeriesOptions(field=Field(shape=arguments.shape, pixel_size_nm=arguments.pixel_size_nm), plan=plan),
        )
        relay.run(1)
    (report,) = relay.ended
    assert report.receipt is not None and report.receipt.balanced and report.lost == 0
    with RecordedSession(tmp_path / "data" / "sessions" / report.session) as session:
        samples = np.concatenate([frame.samples for frame in session.frames()], axis=1)
    np.testing.assert_array_equal(samples[0], STACK.reshape(-1))


def test_a_file_that_rosettasciio_cannot_read_is_said_in_its_words(python: str, tmp_path: Path) -> None:
    (tmp_path / "a.dm4").write_bytes(b"\0\0\0\4" + bytes(4000))
    with pytest.raises(InvalidInput, match="DigitalMicrograph"):
        open_file(tmp_path / "a.dm4", reader_python=python)
    (tmp_path / "a.nothing").write_bytes(b"x")
    with pytest.raises(InvalidInput, match="no files called"):
        open_file(tmp_path / "a.nothing", reader_python=python)


def test_files_of_real_instruments(instrument_files: list[Path], python: str) -> None:
    """What can be read is read to its end; what is of both kinds gives the same pictures."""
    read = 0
    kinds = (".dm3", ".dm4", ".ser", ".mrc", ".emd", ".tif", ".prz")
    for path in [path for kind in kinds for path in [one for one in instrument_files if one.suffix == kind][:1]]:
        try:
            theirs, data = pictures(path, python)
        except InvalidInput as error:
            assert error.mend
            continue
        except Exception as error:
            assert getattr(error, "mend", ""), f"{path.name}: {error!r}"
            continue
        read += 1
        assert len(data) == theirs.steps
        if path.suffix in OWN:
            with closing(open_file(path)) as reader:
                alike = [
                    n for n, one in enumerate(reader.signals) if (one.shape, one.dtype) == (theirs.shape, theirs.dtype)
                ]
                ours = [np.concatenate(list(reader.read([number])))[:, 0] for number in alike]
            # Of NCEM's files RosettaSciIO turns the picture, whatever their axes are called.
            turned = data.swapaxes(1, 2) if data.shape[1] == data.shape[2] and path.suffix == ".emd" else data
            assert any(np.array_equal(one, data) or np.array_equal(one, turned) for one in ours), path.name
    assert read >= 5 or not instrument_files
