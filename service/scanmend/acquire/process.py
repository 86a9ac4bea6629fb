"""The acquire process from its start to its end."""

from __future__ import annotations

import logging
import signal
import sys
from pathlib import Path

from scanmend.acquire.loop import Acquire
from scanmend.errors import ScanmendError
from scanmend.ipc.parent import end_with_parent
from scanmend.logs import set_up_logging
from scanmend.settings import Settings

log = logging.getLogger(__name__)


def main(arguments: list[str]) -> int:
    """Run the process; the arguments are the settings file and the run directory.

    Returns:
        0 after a drained stop, 3 where it could not start.
    """
    settings = Settings.model_validate_json(Path(arguments[0]).read_bytes())
    set_up_logging("acquire", settings.log_level)
    end_with_parent()
    acquire = Acquire(settings, Path(arguments[1]))

    def stop(*_: object) -> None:
        acquire.stop_asked = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the supervisor decides
    try:
        acquire.startup()
    except ScanmendError as error:
        log.error("%s", error)
        return 3
    acquire.main_loop()
    acquire.shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
