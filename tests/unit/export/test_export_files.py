"""The file on the disk: whole under its name or not there at all, whatever happens on the way."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import hdf5plugin
import numpy as np
import pytest

from journals import Shot, hello_for, write_journal
from scanmend.bench.export import record_counts
from scanmend.cli import main
from scanmend.errors import ExportError, InvalidInput
from scanmend.export import export_nexus
from scanmend.export.aside import written_aside
from scanmend.plan import ScanPlan
from scanmend.wire.messages import Mode

assert hdf5plugin.FILTERS, "Blosc is read with it"

SHAPE = (128, 160)
RASTER = ScanPlan.raster(SHAPE, 1000)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A session of 120 frames that do not pack, 5 MB."""
    rng = np.random.default_rng(3)
    shots = (Shot(rng.integers(0, 1 << 16, RASTER.points, np.uint16), pass_index=index) for index in range(120))
    place = tmp_path_factory.mktemp("data")
    write_journal(place, hello_for(SHAPE, Mode.FRAMES), {0: RASTER}, shots)
    return place


def session(data_dir: Path) -> Path:
    return data_dir / "sessions" / "one"


def hidden(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob(".*"))


def check_whole(path: Path) -> None:
    with h5py.File(path) as file:
        assert file["entry/frames_SE/data"].shape == (120, *SHAPE)
        assert int(file["entry/frames_SE/data"][119].sum()) > 0
        assert not file["entry/recording/finished"][()]


SLOW = """
import sys, time
from pathlib import Path
from scanmend.export import export_nexus
def beat():
    print("frame", flush=True)
    time.sleep(0.02)
export_nexus(Path(sys.argv[1]), Path(sys.argv[2]), beat=beat)
"""


def test_an_export_that_is_killed_leaves_nothing_under_its_name_and_can_be_run_again(
    data_dir: Path, tmp_path: Path
) -> None:
    target = tmp_path / "one.nxs"
    command = [sys.executable, "-c", SLOW, str(session(data_dir)), str(target)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as export:
        assert export.stdout is not None
        for _ in range(40):
            export.stdout.readline()
        with pytest.raises(ExportError, match="Another export is writing"):
            export_nexus(session(data_dir), target)
        export.send_signal(signal.SIGKILL)
        assert export.wait(10) == -signal.SIGKILL
    assert not target.exists()
    assert hidden(tmp_path) == [".one.nxs.part"]
    assert export_nexus(session(data_dir), target).frames == 120
    assert hidden(tmp_path) == []
    check_whole(target)


def test_an_export_that_is_interrupted_cleans_up(data_dir: Path, tmp_path: Path) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_nexus(session(data_dir), tmp_path / "one.nxs", beat=interrupt)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("kind", "limit"),
    [(kind, limit) for kind in ("nexus", "tiff", "npz", "png", "csv") for limit in (100, 3_000)]
    + [("zarr", 3_000), ("movie", 3_000)],
)
def test_a_full_disk_is_said_in_one_line_and_leaves_nothing(
    data_dir: Path, tmp_path: Path, kind: str, limit: int
) -> None:
    """A limit to the size of files stands for the full disk: the same error on the same system call."""
    done = export_limited(data_dir, tmp_path, limit, "--to", kind)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("scanmend: There is no room for ") and done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("limit", [40_000, 1_000_000, 4_900_000])
def test_a_disk_that_gets_full_on_the_way_does_not_take_the_process_with_it(
    data_dir: Path, tmp_path: Path, limit: int
) -> None:
    done = export_limited(data_dir, tmp_path, limit)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("scanmend: There is no room for ") and done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def export_limited(data_dir: Path, place: Path, limit: int, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "scanmend.cli", "export", "one", "--data-dir", str(data_dir), "--model", "none"]

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [*command, *words], cwd=place, capture_output=True, text=True, timeout=60, preexec_fn=limited, env=environment
    )


@pytest.mark.parametrize("word", ["..one", "one..", "a b", "", "-", "one\n", "x" * 65, "nothing"])
def test_a_name_that_is_no_session_is_refused(
    data_dir: Path, tmp_path: Path, word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", "--data-dir", str(data_dir), "--out", str(tmp_path / "one.nxs"), "--", word]) == 1
    said = capsys.readouterr().err
    assert "cannot be the name of a session" in said or "Those that there are: one." in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("word", ["../one", "/nowhere/one", "./one", "sessions/../../etc/"])
def test_a_path_that_holds_no_recording_is_refused(
    data_dir: Path, tmp_path: Path, word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", word, "--data-dir", str(data_dir), "--out", str(tmp_path / "one.nxs")]) == 1
    assert "There is no recording" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_replaced_only_where_that_is_asked_for(data_dir: Path, tmp_path: Path) -> None:
    words = ["export", str(session(data_dir)), "--model", "none", "--out", str(tmp_path / "one.nxs")]
    (tmp_path / "one.nxs").write_text("mine")
    assert main(words) == 1
    assert (tmp_path / "one.nxs").read_text() == "mine"
    assert main([*words, "--force"]) == 0
    check_whole(tmp_path / "one.nxs")


def test_a_file_that_appears_on_the_way_is_not_replaced(tmp_path: Path) -> None:
    target = tmp_path / "one.csv"
    with pytest.raises(InvalidInput, match="there already"), written_aside(target) as aside:
        aside.write_text("new")
        target.write_text("mine")
    assert target.read_text() == "mine"
    assert hidden(tmp_path) == []


def test_a_link_in_the_way_is_not_followed(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("mine")
    (tmp_path / ".one.csv.part").symlink_to(precious)
    with pytest.raises(ExportError), written_aside(tmp_path / "one.csv"):
        raise AssertionError("it was opened")
    assert precious.read_text() == "mine"


@pytest.mark.parametrize(
    ("out", "words"),
    [
        ("/proc/one.nxs", "cannot be written"),
        ("missing/one.nxs", "There is no folder"),
        (".", "is a folder"),
        ("y" * 254, "cannot be written"),
    ],
    ids=["read-only folder", "missing folder", "folder", "long name"],
)
def test_a_place_where_nothing_can_be_written_is_named(
    data_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    out: str,
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["export", str(session(data_dir)), "--model", "none", "--out", out]) == 1
    said = capsys.readouterr().err
    assert words in said and said.startswith("scanmend: ") and said.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_model_is_refused_before_anything_is_read(
    data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    begin = time.monotonic()
    words = ["export", "one", "--data-dir", str(data_dir), "--out", str(tmp_path / "one.nxs"), "--model", "best"]
    assert main(words) == 1
    assert "There is no model called 'best'" in capsys.readouterr().err
    assert time.monotonic() - begin < 20
    assert list(tmp_path.iterdir()) == []


def test_the_command_says_what_it_wrote(
    data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["export", "one", "--data-dir", str(data_dir), "--model", "none", "--json"]) == 0
    said = capsys.readouterr()
    about = json.loads(said.out)
    assert (about["path"], about["frames"], about["finished"], about["problems"]) == ("one.nxs", 120, False, [])
    check_whole(tmp_path / "one.nxs")
    assert main(["export", "one", "--data-dir", str(data_dir), "--model", "none", "--force"]) == 0
    assert "120 frames in 120 passes" in (said := capsys.readouterr().err) and "the session had not ended" in said


PEAKS = """
import re, sys
from pathlib import Path
from scanmend.export import export_nexus
def peak_kb():
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
peaks = []
for number, folder in enumerate(sys.argv[2:]):
    export_nexus(Path(folder), Path(sys.argv[1], f"{number}.nxs"))
    peaks.append(peak_kb())
print(*peaks)
"""


@pytest.mark.parametrize("mode", Mode)
def test_memory_does_not_grow_with_the_session(tmp_path: Path, mode: Mode) -> None:
    """A session of 40 MB, after one of 4 MB over the same field, in one process."""
    sessions = [record_counts(tmp_path / str(size), mode, 512, size)[0] for size in (4, 40)]
    command = [sys.executable, "-c", PEAKS, str(tmp_path), *map(str, sessions)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    small_kb, large_kb = map(int, done.stdout.split())
    assert large_kb - small_kb < 10_000
