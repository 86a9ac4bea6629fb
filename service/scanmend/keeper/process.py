"""The keeper process from its start to its end."""

from __future__ import annotations

import logging
import signal
from pathlib import Path

from scanmend.ipc import HeartbeatBoard
from scanmend.ipc.parent import end_with_parent
from scanmend.keeper.loop import Keeper, Stop
from scanmend.logs import set_up_logging
from scanmend.settings import Settings

log = logging.getLogger(__name__)


def main(arguments: list[str]) -> int:
    """Run the process; the arguments are the settings file and the run folder.

    Returns:
        0 after a stop that was asked for.
    """
    settings = Settings.model_validate_json(Path(arguments[0]).read_bytes())
    set_up_logging("keeper", settings.log_level)
    run_dir = Path(arguments[1])
    with HeartbeatBoard.attach(run_dir / "heartbeat") as board:
        keeper = Keeper(settings, run_dir, board)
        signal.signal(signal.SIGTERM, lambda *_: keeper.stop.set())
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the supervisor decides
        end_with_parent()
        try:
            while True:
                keeper.turn()
                keeper.wait()
        except Stop:
            return 0
        finally:
            keeper.close()
