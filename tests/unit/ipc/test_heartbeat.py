"""The board of heartbeats."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from scanmend.errors import ConfigurationError, InvalidInput
from scanmend.ipc import HeartbeatBoard


class Clock:
    now_ns = 5_000_000_000

    def __call__(self) -> int:
        return self.now_ns


def test_age_and_pid_by_name(tmp_path: Path):
    clock = Clock()
    with HeartbeatBoard.create(tmp_path / "beats", ["acquire", "engine"], clock_ns=clock) as board:
        assert board.age_s("engine") == math.inf and board.pid("engine") is None
        board.beat("engine")
        clock.now_ns += 1_500_000_000
        with HeartbeatBoard.attach(tmp_path / "beats", clock_ns=clock) as other:
            assert other.names == ("acquire", "engine")
            assert other.age_s("engine") == 1.5 and other.pid("engine") == os.getpid()
            assert other.age_s("acquire") == math.inf
            clock.now_ns -= 3_000_000_000
            assert other.age_s("engine") == 0.0, "never negative"
            other.clear("engine")
        assert board.age_s("engine") == math.inf and board.pid("engine") is None
    assert not (tmp_path / "beats").exists()


def test_another_process_is_seen_on_the_real_clock(tmp_path: Path):
    script = (
        "import sys; from pathlib import Path; from scanmend.ipc import HeartbeatBoard\n"
        "HeartbeatBoard.attach(Path(sys.argv[1])).beat('web')"
    )
    with HeartbeatBoard.create(tmp_path / "beats", ["web"]) as board:
        child = subprocess.Popen([sys.executable, "-c", script, str(tmp_path / "beats")])
        assert child.wait(60) == 0
        assert board.pid("web") == child.pid
        assert 0 <= board.age_s("web") < 60


@pytest.mark.parametrize("names", [[], ["a", "a"], [""], ["x" * 49]])
def test_names_that_cannot_stand_on_a_board(tmp_path: Path, names: list[str]):
    with pytest.raises(InvalidInput):
        HeartbeatBoard.create(tmp_path / "beats", names)


def test_a_name_that_is_not_there_and_files_that_are_no_boards(tmp_path: Path):
    board = HeartbeatBoard.create(tmp_path / "beats", ["a"])
    with pytest.raises(InvalidInput, match="'b' is not on"):
        board.beat("b")
    with pytest.raises(ConfigurationError):
        HeartbeatBoard.create(tmp_path / "beats", ["a"])
    board.close()
    board.close()
    with pytest.raises(InvalidInput):
        board.beat("a")
    (tmp_path / "junk").write_bytes(bytes(128))
    for name in ("junk", "missing"):
        with pytest.raises(ConfigurationError):
            HeartbeatBoard.attach(tmp_path / name)
