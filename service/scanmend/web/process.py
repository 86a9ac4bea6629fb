"""The web process: takes the port, serves until SIGTERM, notes that it is alive.

States: starting ──port taken──▶ listening (`RUN_DIR/web.json` written) ──SIGTERM, or the parent's death──▶ draining
──at most `DRAIN_S`──▶ ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import logging
import os
import signal
import socket
import sys
from collections.abc import Generator
from pathlib import Path

import uvicorn
import uvloop
from pydantic import ValidationError

from scanmend.errors import ConfigurationError, PortInUse, ScanmendError
from scanmend.ipc import HeartbeatBoard
from scanmend.ipc.parent import end_with_parent
from scanmend.logs import set_up_logging
from scanmend.settings import Settings
from scanmend.web.access import Access
from scanmend.web.app import build_app
from scanmend.web.slow import DeadlineHttp, DeadlineSocket

log = logging.getLogger(__name__)

NAME = "web"
"""The process's name on the heartbeat board."""
DRAIN_S = 1
EXIT_CONFIGURATION = 3
"""Starting again would not help; the supervisor ends the service."""
_BACKLOG = 512


def bind(host: str, port: int) -> socket.socket:
    """Take the address.

    Raises:
        PortInUse: Another program has it.
        ConfigurationError: It cannot be taken for another reason.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    taken = socket.socket(family, socket.SOCK_STREAM)
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        taken.bind((host, port))
        taken.listen(_BACKLOG)
    except OSError as error:
        taken.close()
        if error.errno == errno.EADDRINUSE:
            raise PortInUse(
                f"Port {port} on {host} is used by another program.",
                mend="Stop that program, or serve with another http_port (SCANMEND_HTTP_PORT; 0 takes a free one).",
            ) from error
        raise ConfigurationError(
            f"Port {port} on {host} cannot be taken: {error.strerror}.", mend="Choose an http_port above 1023."
        ) from error
    taken.setblocking(False)
    return taken


async def serve(settings: Settings, run_dir: Path) -> None:
    """Serve until SIGTERM.

    Raises:
        PortInUse: Another program has the port.
        ConfigurationError: A token or the heartbeat board cannot be used.
    """
    access = Access(settings.data_dir)
    taken = bind(settings.host, settings.http_port)
    port: int = taken.getsockname()[1]
    app = build_app(settings, run_dir=run_dir, access=access, port=port)
    server = _Server(
        uvicorn.Config(
            app,
            loop="uvloop",
            http=DeadlineHttp,
            ws=DeadlineSocket,
            ws_max_size=4096,
            ws_per_message_deflate=False,
            ws_ping_interval=5.0,
            ws_ping_timeout=10.0,
            access_log=False,
            log_config=None,
            proxy_headers=False,
            server_header=False,
            h11_max_incomplete_event_size=16 * 1024,
            timeout_keep_alive=10,
            timeout_graceful_shutdown=DRAIN_S,
            lifespan="on",
        )
    )
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, server.leave)
    beating = asyncio.create_task(_beat(run_dir), name="heartbeat")
    announcing = asyncio.create_task(_announce(server, run_dir, port), name="announce")
    try:
        await server.serve(sockets=[taken])
    finally:
        for task in (beating, announcing):
            task.cancel()
        results = await asyncio.gather(beating, announcing, return_exceptions=True)
        with contextlib.suppress(FileNotFoundError):
            (run_dir / "web.json").unlink()
    for result in results:
        if isinstance(result, ScanmendError):
            raise result


class _Server(uvicorn.Server):
    """uvicorn's server without its signal handling, which would end the process by the signal it had drained for."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leave signals to `serve`."""
        yield

    def leave(self) -> None:
        """Drain and end; asked a second time, end at once."""
        self.force_exit = self.should_exit
        self.should_exit = True


async def _announce(server: uvicorn.Server, run_dir: Path, port: int) -> None:
    while not server.started:
        await asyncio.sleep(0.01)
    draft = run_dir / f"web.json.{os.getpid()}"
    draft.write_text(json.dumps({"port": port, "pid": os.getpid()}))
    draft.replace(run_dir / "web.json")
    log.info("the page is at http://127.0.0.1:%d/", port)


async def _beat(run_dir: Path) -> None:
    path = run_dir / "heartbeat"
    if not path.exists():
        log.info("there is no heartbeat board: nobody supervises this process")
        return
    with HeartbeatBoard.attach(path) as board:
        while True:
            board.beat(NAME)
            await asyncio.sleep(1.0)


def main(arguments: list[str]) -> int:
    """`python -m scanmend.web SETTINGS.json RUN_DIR`.

    Returns:
        0 after SIGTERM; 3 where the port is in use, or settings, token or run folder cannot be used.
    """
    if len(arguments) != 2:
        sys.stderr.write("usage: python -m scanmend.web SETTINGS.json RUN_DIR\n")
        return EXIT_CONFIGURATION
    try:
        settings = Settings(**json.loads(Path(arguments[0]).read_text()))
    except (OSError, ValidationError, ValueError, TypeError) as error:
        sys.stderr.write(f"The settings cannot be read: {error}\n")
        return EXIT_CONFIGURATION
    set_up_logging("web", settings.log_level)
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    end_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the supervisor decides
    run_dir = Path(arguments[1])
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve(settings, run_dir))
    except ConfigurationError as error:
        log.error("%s", error)
        return EXIT_CONFIGURATION
    return 0
