"""The run folder, and tidying up after services that were killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from scanmend.errors import ConfigurationError
from scanmend.ipc import RunDir, remove_stale_run_dirs
from scanmend.ipc.rundir import default_base, start_ticks


def test_private_random_and_removed(tmp_path: Path):
    with RunDir.create(tmp_path) as one, RunDir.create(tmp_path) as two:
        assert one.path != two.path
        assert one.path.stat().st_mode & 0o777 == 0o700
        (one.path / "ring").write_bytes(b"x")
        (one.path / "deeper").mkdir()
    assert list(tmp_path.iterdir()) == []
    one.remove()


def test_a_killed_owner_is_tidied_up_after_and_a_living_one_is_not(tmp_path: Path):
    script = (
        "import os, signal, sys; from pathlib import Path; from scanmend.ipc import RunDir\n"
        "print(RunDir.create(Path(sys.argv[1])).path, flush=True); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    made = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, timeout=60)
    dead = Path(made.stdout.strip())
    assert dead.is_dir()
    with RunDir.create(tmp_path) as mine:
        assert remove_stale_run_dirs(tmp_path) == [dead]
        assert mine.path.is_dir() and not dead.exists()
        assert remove_stale_run_dirs(tmp_path) == []


def _owner(folder: Path, text: str) -> Path:
    folder.mkdir(mode=0o700)
    (folder / "owner").write_text(text)
    return folder


def test_who_counts_as_dead(tmp_path: Path):
    alive = {"pid": os.getpid(), "start_ticks": start_ticks(os.getpid())}
    reused_pid = _owner(tmp_path / "scanmend-a", json.dumps(alive | {"start_ticks": 1}))
    _owner(tmp_path / "scanmend-b", json.dumps(alive))
    _owner(tmp_path / "scanmend-c", "half a line {")
    _owner(tmp_path / "scanmend-d", "[]")
    (tmp_path / "scanmend-e").mkdir()
    old = _owner(tmp_path / "scanmend-f", "")
    unowned = tmp_path / "scanmend-g"
    unowned.mkdir()
    for path in (old, unowned):
        os.utime(path, (1, 1))
    (tmp_path / "scanmend-h").symlink_to(reused_pid)
    (tmp_path / "other").mkdir()
    assert remove_stale_run_dirs(tmp_path) == [reused_pid, old, unowned]
    assert sorted(p.name[-1] for p in tmp_path.iterdir()) == ["b", "c", "d", "e", "h", "r"]


def test_a_place_that_cannot_be_written(tmp_path: Path):
    with pytest.raises(ConfigurationError, match="No run folder"):
        RunDir.create(tmp_path / "missing")
    assert default_base().is_dir()
    assert start_ticks(2**22 + 1) is None
