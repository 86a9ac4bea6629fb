"""The built wheel holds every file of the three packages: code, models, scenarios, the page."""

from __future__ import annotations

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PACKAGES = [ROOT / package for package in PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel, built from the working tree without the network."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert built.returncode == 0, built.stdout + built.stderr
    (path,) = folder.glob("*.whl")
    with zipfile.ZipFile(path) as opened:
        yield opened


def files_of(package: Path) -> set[str]:
    """Every file of a package, as it is to be named in the wheel."""
    return {
        str(path.relative_to(package.parent))
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".pyc"
    }


def test_every_file_of_the_packages_is_in_the_wheel(wheel: zipfile.ZipFile) -> None:
    expected = set().union(*(files_of(package) for package in PACKAGES))
    assert expected - set(wheel.namelist()) == set(), "hatchling leaves out what .gitignore names"


def test_the_wheel_holds_nothing_but_the_packages_and_its_record(wheel: zipfile.ZipFile) -> None:
    roots = {name.split("/")[0] for name in wheel.namelist()}
    info = {root for root in roots if root.endswith(".dist-info")}
    assert roots - info == {package.name for package in PACKAGES}
    assert any(name.endswith("licenses/LICENSE") for name in wheel.namelist())


@pytest.mark.parametrize(
    "pattern",
    [
        "scanmend_models/catalogue/*.onnx",
        "scanmend_models/catalogue/*.json",
        "scanmend_models/catalogue/*.golden.npz",
        "scanmend_sim/scenarios/*.toml",
        "scanmend/rescan/policies/*.onnx",
        "scanmend/rescan/policies/*.json",
        "scanmend/web/static/*.js",
        "scanmend/web/static/*.css",
        "scanmend/web/static/*.html",
    ],
)
def test_data_of_each_kind_is_in_the_wheel(wheel: zipfile.ZipFile, pattern: str) -> None:
    assert [name for name in wheel.namelist() if Path(name).match(pattern)] != []


def test_the_wheel_stays_small(wheel: zipfile.ZipFile) -> None:
    size_mb = sum(item.compress_size for item in wheel.infolist()) / 1e6
    assert size_mb < 40, f"{size_mb:.1f} MB: what is not needed at run time belongs elsewhere"


def test_the_command_is_declared(wheel: zipfile.ZipFile) -> None:
    (entry_points,) = (name for name in wheel.namelist() if name.endswith("entry_points.txt"))
    assert "scanmend = scanmend.cli:main" in wheel.read(entry_points).decode()


def test_base_train_and_dev_carry_no_onnx_runtime() -> None:
    """The two wheels of ONNX Runtime overwrite each other, so only the extras cpu and gpu name one, and one each."""
    extras = PROJECT["project"]["optional-dependencies"]
    carriers = {
        name: [line for line in lines if line.startswith("onnxruntime")]
        for name, lines in {**extras, "base": PROJECT["project"]["dependencies"]}.items()
    }
    assert {name: len(lines) for name, lines in carriers.items() if lines} == {"cpu": 1, "gpu": 1}
