"""A service of one's own for a while: on free ports, in processes that end with this one."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from scanmend.errors import InvalidInput, NotConnected, RecordingNotWritable
from scanmend.ipc.rundir import start_ticks
from scanmend.readiness import wait_ready
from scanmend.record import session_path
from scanmend.settings import Settings
from scanmend.supervisor import Supervisor

PREFIX = ".replay-"


class OwnService:
    """Starts a service, keeps its processes going in a thread, and stops it. Use it in a `with` block.

    Args:
        settings: Its settings; ports 0 for free ones.
    """

    def __init__(self, settings: Settings) -> None:
        self._supervisor = Supervisor(settings)
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look_after, name="own-service", daemon=True)

    @property
    def address(self) -> str:
        """Where clients connect."""
        return self._supervisor.address

    def __enter__(self) -> OwnService:
        """Start it, and wait until it restores.

        Raises:
            NotConnected: It failed, or is not ready in time; the text says why.
        """
        try:
            self._supervisor.startup()
            self._thread.start()
            if not wait_ready(self._supervisor, lambda: time.sleep(0.1)):
                raise NotConnected(f"The service failed: {self._supervisor.failure}", mend="Run `scanmend check`.")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it; sessions that are open get their receipts."""
        self._done.set()
        if self._thread.is_alive():
            self._thread.join()
        self._supervisor.shutdown()

    def _look_after(self) -> None:
        while not self._done.is_set():
            self._supervisor.turn()


@contextlib.contextmanager
def aside(data_dir: Path, name: str) -> Iterator[Path]:
    """A data folder for one's own service inside another one; what is recorded there as `name` moves over at the end.

    A second service on the data folder itself would take up, and end, sessions that were cut off there.

    Raises:
        InvalidInput: There is a session of this name already.
        RecordingNotWritable: The data folder cannot be written.
    """
    target = session_path(data_dir, name)
    if target.exists():
        raise InvalidInput(f"There is a session {name} already.", mend="Give another name with --name.")
    _remove_left(data_dir)
    try:
        folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=data_dir))
    except OSError as error:
        raise RecordingNotWritable(
            f"Nothing can be recorded in {data_dir}: {error.strerror}.",
            mend="Send the recording to a running service with --address.",
        ) from error
    try:
        yield folder
        made = session_path(folder, name)
        if made.is_dir():
            target.parent.mkdir(mode=0o700, exist_ok=True)
            made.rename(target)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _remove_left(data_dir: Path) -> None:
    """Remove what replays that were killed have left."""
    for path in data_dir.glob(f"{PREFIX}*"):
        pid = path.name[len(PREFIX) :].partition("-")[0]
        if pid.isdigit() and start_ticks(int(pid)) is None and path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
