"""One way to log, for every process."""

from __future__ import annotations

import logging
import sys


def set_up_logging(process: str, level: str) -> None:
    """Log to standard error, one line an event, with the process's name.

    Args:
        process: For example acquire.
        level: debug, info, warning or error.
    """
    logging.basicConfig(
        level=level.upper(),
        stream=sys.stderr,
        format=f"%(asctime)s {process:<8} %(levelname)-7s %(message)s",
        force=True,
    )
