"""The engine process from its start to its end.

::

    starting ── models live ──▶ serving ──acquire gone──▶ waiting (30 s at most) ──acquire back──▶ serving
                                   │ SIGTERM                   │ nobody came
                                   └─▶ exit 0                  └─▶ exit 1
"""

from __future__ import annotations

import ctypes
import gc
import logging
import os
import signal
from collections.abc import Callable
from pathlib import Path

import msgspec

from scanmend.engine.beating import beating
from scanmend.engine.loop import EngineLoop
from scanmend.engine.models import LiveModels
from scanmend.engine.runtimes import installation
from scanmend.errors import NotConnected, ScanmendError
from scanmend.ipc import Doorbell, HeartbeatBoard
from scanmend.ipc.doorbell import MAX_MESSAGE_BYTES
from scanmend.ipc.engine_link import EngineProblem, EngineReady, encode
from scanmend.ipc.parent import end_with_parent
from scanmend.logs import set_up_logging
from scanmend.rescan import policy_names
from scanmend.settings import Settings

log = logging.getLogger(__name__)

NAME = "engine"
WAIT_FOR_ACQUIRE_S = 30.0
LONGEST_LOAD_S = 300.0
"""Compiling a model for a GPU may take minutes."""
_TRY_S = 0.5
_M_MMAP_THRESHOLD, _M_TRIM_THRESHOLD = -3, -1  # malloc.h
_KEPT_BYTES = 256 << 20


class Engine:
    """Loads the models once, and serves acquire for as long as there is one.

    Args:
        settings: The service's settings.
        run_dir: The run folder, with acquire's doorbell and the heartbeat board in it.
    """

    def __init__(self, settings: Settings, run_dir: Path) -> None:
        self.settings = settings
        self.run_dir = run_dir
        self.stop_asked = False
        self._loop: EngineLoop | None = None

    def stop(self) -> None:
        """Finish the frame in hand, then end; safe in a signal handler."""
        self.stop_asked = True
        if self._loop is not None:
            self._loop.stop_asked = True

    def run(self) -> int:
        """Work until a stop is asked or acquire stays away.

        Returns:
            The exit status.
        """
        with HeartbeatBoard.attach(self.run_dir / "heartbeat") as board:

            def beat() -> None:
                board.beat(NAME)

            bell = self._connect(beat)
            if bell is None:
                return self._end()
            with beating(beat, longest_s=LONGEST_LOAD_S):
                models = LiveModels.load(
                    preferred=self.settings.model,
                    threads=self.settings.threads,
                    runtimes=self.settings.runtimes,
                    tune_s=self.settings.tune_s,
                    memory=self.run_dir / "engine-chosen.json",
                )
            # What lives as long as the process need not be looked at by every collection.
            gc.collect()
            gc.freeze()
            while bell is not None:
                with bell:
                    self._serve(bell, models, beat)
                if self.stop_asked:
                    break
                log.info("acquire has hung up; waiting for it or for a stop")
                bell = self._connect(beat)
            models.close()
            return self._end()

    def _serve(self, bell: Doorbell, models: LiveModels, beat: Callable[[], None]) -> None:
        self._loop = EngineLoop(bell, models, self.run_dir, beat)
        self._loop.stop_asked = self.stop_asked
        self._loop.say(_ready(models))
        for problem in installation.problems(installation.installed()):
            self._loop.say(EngineProblem(code="runtimes", text=problem))
        self._loop.run()

    def _connect(self, beat: Callable[[], None]) -> Doorbell | None:
        """The doorbell to acquire; None where a stop was asked or nobody came in time."""
        for _ in range(round(WAIT_FOR_ACQUIRE_S / _TRY_S)):
            beat()
            if self.stop_asked:
                return None
            try:
                return Doorbell.connect(self.run_dir / "engine.sock", timeout_s=_TRY_S)
            except NotConnected:
                continue
        return None

    def _end(self) -> int:
        if self.stop_asked:
            return 0
        log.error("acquire did not come back within %g s", WAIT_FOR_ACQUIRE_S)
        return 1


def _ready(models: LiveModels) -> EngineReady:
    """The engine's first message, with as much of the models' cards as a message holds."""
    for characters in (4000, 400, 0):
        infos = [msgspec.structs.replace(info, card=info.card[:characters]) for info in models.infos]
        ready = EngineReady(pid=os.getpid(), models=infos, default_model=models.default, policies=policy_names())
        if len(encode(ready)) <= MAX_MESSAGE_BYTES:
            break
    return ready


def keep_freed_memory() -> None:
    """Have malloc keep what is freed: pictures come and go, and fresh pages cost half the time of work on them."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):  # glibc
        libc.mallopt(_M_MMAP_THRESHOLD, _KEPT_BYTES)
        libc.mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)


def main(arguments: list[str]) -> int:
    """Run the process; the arguments are the settings file and the run folder.

    Returns:
        0 after a stop that was asked for, 1 where acquire stayed away, 3 where it could not start.
    """
    settings = Settings.model_validate_json(Path(arguments[0]).read_bytes())
    set_up_logging(NAME, settings.log_level)
    end_with_parent()
    keep_freed_memory()
    engine = Engine(settings, Path(arguments[1]))
    signal.signal(signal.SIGTERM, lambda *_: engine.stop())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the supervisor decides
    try:
        return engine.run()
    except ScanmendError as error:
        log.error("%s", error)
        return 3
