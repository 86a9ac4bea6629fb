"""A command that the web process runs: it gives way, ends with its parent, and says what is wrong as JSON."""

from __future__ import annotations

import argparse
import functools
import json
import signal
from collections.abc import Callable

from scanmend.cli import EXIT_FAILED
from scanmend.errors import InvalidInput, ModelError, RecordingError, ScanmendError
from scanmend.humble import be_humble
from scanmend.ipc.parent import end_with_parent

Run = Callable[[argparse.Namespace], int]


def add_option(parser: argparse.ArgumentParser) -> None:
    """Add `--child`, which is not for people."""
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)


def as_child(nice: int, ends_by: int = signal.SIGTERM) -> Callable[[Run], Run]:
    """Make a command's `run` obey `--child`.

    Args:
        nice: How far it gives way.
        ends_by: The signal that it gets when its parent dies.
    """

    def wrap(run: Run) -> Run:
        @functools.wraps(run)
        def wrapped(arguments: argparse.Namespace) -> int:
            if not arguments.child:
                return run(arguments)
            end_with_parent(ends_by)
            be_humble(nice)
            try:
                return run(arguments)
            except ScanmendError as error:
                # The question's fault, or the answerer's: whoever asks is answered accordingly.
                code = "impossible" if isinstance(error, InvalidInput | ModelError | RecordingError) else "failed"
                problem = {"code": code, "detail": error.message, "mend": error.mend or "Look at the service's log."}
                print(json.dumps({"problem": problem}), flush=True)
                return EXIT_FAILED

        return wrapped

    return wrap
