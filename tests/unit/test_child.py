"""What the supervisor starts does not outlive it."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

PROGRAM = """
import os, sys
from scanmend.child import Child

child = Child("sleeper", [sys.executable, "-c", "import time; time.sleep(60)"])
child.start()
print(child.process.pid, flush=True)
os._exit(0)  # long before the child could ask to be ended with its parent
"""


def test_a_child_ends_with_a_parent_that_died_at_once() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True, timeout=60
    )
    stat = Path(f"/proc/{int(done.stdout)}/stat")
    while stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z":
        time.sleep(0.01)  # the suite's time limit ends this if the child lives on
