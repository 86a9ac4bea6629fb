"""A process that gives way does so beside the processes of other sessions too, and takes nobody with it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

LOOK = (
    "import os; from pathlib import Path; from scanmend.humble import be_humble; be_humble(7); "
    "print(os.getpriority(os.PRIO_PROCESS, 0), Path('/proc/self/autogroup').read_text().split()[-1])"
)


def _looked(own_session: bool) -> list[int]:
    # Another session around it, so that the priority of the tests stays what it is whatever happens.
    inner = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {LOOK!r}], start_new_session={own_session})"
    done = subprocess.run([sys.executable, "-c", inner], start_new_session=True, capture_output=True, check=True)
    return [int(word) for word in done.stdout.split()]


@pytest.mark.parametrize("own_session", [True, False])
def test_the_priority_is_that_of_its_own_session_only(own_session: bool) -> None:
    groups = Path("/proc/self/autogroup")
    if not groups.is_file() or not groups.read_text().strip():  # a kernel that does not share out time by session
        assert subprocess.run([sys.executable, "-c", LOOK.rsplit("print", 1)[0]], check=True).returncode == 0
        return
    nice, of_the_session = _looked(own_session)
    assert nice == 7
    assert of_the_session == (7 if own_session else 0)
