"""The Makefile and the search for a Chromium, on machines that lack something."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
TOOLS = ("awk", "bash", "dirname", "grep", "ls", "make", "rm", "touch")


class Machine:
    """A folder with the Makefile, and a PATH that holds nothing but a few tools and what a test adds."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bin = folder / "bin"
        self.bin.mkdir()
        for tool in TOOLS:
            found = shutil.which(tool)
            assert found is not None, f"{tool} is not installed"
            (self.bin / tool).symlink_to(found)
        for name in ("Makefile", "pyproject.toml", "constraints.txt", "tests/browser/find_chromium.sh"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)

    def add(self, name: str, script: str) -> Path:
        """Put a program on the PATH, or anywhere in the folder."""
        path = self.folder / name if "/" in name else self.bin / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!{self.bin}/bash\n{script}\n")
        path.chmod(0o755)
        return path

    def run(self, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a command with nothing of this process's environment."""
        env = {"PATH": str(self.bin), "HOME": str(self.folder), **variables}
        return subprocess.run(command, cwd=self.folder, env=env, capture_output=True, text=True, timeout=30)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine without Python and without a browser."""
    return Machine(tmp_path)


def test_make_alone_lists_the_words(machine: Machine) -> None:
    listed = machine.run("make")
    assert listed.returncode == 0, listed.stderr
    for word in ("demo", "test", "lint", "bench", "docs", "clean"):
        assert f"make {word} " in listed.stdout


@pytest.mark.parametrize("script", [None, "exit 1"], ids=["no python", "an old python"])
def test_a_machine_without_python_is_told_so(machine: Machine, script: str | None) -> None:
    if script is not None:
        machine.add("python3", script)
    made = machine.run("make", "demo")
    assert made.returncode != 0
    assert "Scanmend needs Python 3.11 or newer" in made.stderr
    assert "apt-get install" in made.stderr
    assert not (machine.folder / ".venv").exists()


def test_an_environment_that_cannot_be_made_is_not_left_half_made(machine: Machine) -> None:
    machine.add("python3.11", f'[ "$1" = -m ] || exit 0\n{shutil.which("mkdir")} .venv\nexit 1')
    assert machine.run("make", "demo").returncode != 0
    assert not (machine.folder / ".venv").exists()


def test_pip_runs_once_and_again_when_the_requirements_change(machine: Machine) -> None:
    machine.add(".venv/bin/pip", "")
    machine.add(".venv/bin/python", 'echo "$@" >>calls')
    machine.add(".venv/bin/scanmend", 'echo "the demo runs: $*"')
    calls = machine.folder / "calls"

    first = machine.run("make", "demo", "ARGS=--headless")
    assert "the demo runs: demo --headless" in first.stdout
    assert machine.run("make", "demo").returncode == 0
    assert calls.read_text().count("install") == 1
    assert ".[cpu,openvino]" in calls.read_text()

    later = (machine.folder / ".venv/stamp-user-cpu").stat().st_mtime + 10
    os.utime(machine.folder / "pyproject.toml", (later, later))
    assert machine.run("make", "demo").returncode == 0
    assert calls.read_text().count("install") == 2


def test_one_environment_holds_one_runtime(machine: Machine) -> None:
    machine.add(".venv/bin/pip", "")
    machine.add(".venv/bin/python", "exit 0")
    machine.add(".venv/bin/scanmend", "exit 0")
    assert machine.run("make", "demo").returncode == 0
    other = machine.run("make", "demo", "RUNTIME=gpu")
    assert other.returncode != 0
    assert "make clean" in other.stderr
    assert machine.run("make", "demo", "RUNTIME=tpu").returncode != 0


def test_the_first_chromium_that_runs_is_found(machine: Machine) -> None:
    machine.add("chromium", "exit 127")
    works = machine.add("google-chrome", "echo Chrome 1")
    found = machine.run("tests/browser/find_chromium.sh")
    assert (found.returncode, found.stdout.strip()) == (0, str(works))


def test_playwrights_chromium_is_found(machine: Machine) -> None:
    works = machine.add(".cache/ms-playwright/chromium-1200/chrome-linux64/chrome", "echo Chromium 1")
    found = machine.run("tests/browser/find_chromium.sh", "--no-install")
    assert (found.returncode, found.stdout.strip()) == (0, str(works))


def test_a_chromium_that_is_named_is_taken_or_refused(machine: Machine) -> None:
    machine.add("chromium", "echo Chromium 1")
    mine, broken = machine.add("mine", "echo Chromium 2"), machine.add("broken", "exit 1")
    assert machine.run("tests/browser/find_chromium.sh", CHROMIUM=str(mine)).stdout.strip() == str(mine)
    refused = machine.run("tests/browser/find_chromium.sh", CHROMIUM=str(broken))
    assert refused.returncode == 1
    assert str(broken) in refused.stderr


def test_a_machine_without_a_chromium_is_told_so(machine: Machine) -> None:
    found = machine.run("tests/browser/find_chromium.sh", "--no-install")
    assert (found.returncode, found.stdout) == (1, "")
    assert "apt-get install chromium" in found.stderr
