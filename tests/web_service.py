"""The real web process for tests: started, waited for, asked to end, and failed on when it does not."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from scanmend.ipc import HeartbeatBoard


@dataclass
class WebService:
    """A running web process."""

    run_dir: Path
    data_dir: Path
    log: Path
    process: subprocess.Popen[bytes]
    port: int = 0
    board: HeartbeatBoard | None = field(default=None, repr=False)

    @property
    def token(self) -> str:
        return (self.data_dir / "access-token").read_text().strip()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def page(self) -> str:
        return f"{self.url}/#token={self.token}"


@contextlib.contextmanager
def short_folder() -> Iterator[Path]:
    """A folder whose name leaves room for a unix socket's (107 bytes)."""
    path = Path(tempfile.mkdtemp(prefix="sm-web-"))
    try:
        yield path
    finally:
        shutil.rmtree(path)


@contextlib.contextmanager
def web_service(folder: Path, **settings: object) -> Iterator[WebService]:
    """Start `python -m scanmend.web`; end it by SIGTERM and expect exit code 0 within five seconds."""
    run_dir = folder / "run"
    run_dir.mkdir(exist_ok=True)
    (folder / "settings.json").write_text(json.dumps({"http_port": 0, "data_dir": str(folder / "data"), **settings}))
    log = folder / "web.log"
    command = [sys.executable, "-m", "scanmend.web", str(folder / "settings.json"), str(run_dir)]
    with HeartbeatBoard.create(run_dir / "heartbeat", ["web"]) as board, log.open("wb") as out:
        process = subprocess.Popen(command, stderr=out, stdout=out, env={**os.environ, "OMP_NUM_THREADS": "1"})
        service = WebService(run_dir, folder / "data", log, process, board=board)
        try:
            deadline = time.monotonic() + 30
            while not (run_dir / "web.json").exists():
                assert process.poll() is None and time.monotonic() < deadline, log.read_text()
                time.sleep(0.02)
            service.port = json.loads((run_dir / "web.json").read_text())["port"]
            yield service
        finally:
            asked = time.monotonic()
            process.terminate()
            try:
                code = process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                raise
    assert code == 0, log.read_text()
    assert time.monotonic() - asked < 5
    assert "Traceback" not in log.read_text(), log.read_text()
