"""`scanmend replay`: a recording goes through a service once more, as if the microscope scanned it again."""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from scanmend.cli import EXIT_FAILED, EXIT_UNBALANCED
from scanmend.cli.accounts import ProgressLine
from scanmend.cli.as_child import add_option, as_child
from scanmend.cli.serve import settings_from
from scanmend.logs import set_up_logging
from scanmend.sessions.folders import find_session
from scanmend.sessions.own_service import OwnService, aside
from scanmend.sessions.recording import Recording
from scanmend.sessions.replay import Replayed, replay
from scanmend.sessions.words import count_text

HELP = "Send a recording through a service again, frame by frame, and compare what it recorded."

WIDTH = 24
NICE = 10
"""How far a replay that the page started gives way to the service that it sends to."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the options."""
    parser.add_argument("session", help="name of the recording, finished or not; see `scanmend sessions`")
    parser.add_argument("--speed", type=_speed, default=1.0, help="how much faster than it was scanned, or max")
    parser.add_argument("--model", help="model to ask for; the one that the session asked for by default")
    parser.add_argument("--address", help="a running service; one of its own is started where none is given")
    parser.add_argument("--name", help="name of the new session; that of the old one with the time by default")
    parser.add_argument("--data-dir", type=Path, help="folder of the recordings, also of the new one (scanmend-data)")
    parser.add_argument("--threads", type=int, help="of the own service: threads of a runtime; 1 for equal results")
    parser.add_argument("--tune-s", type=float, help="of the own service: seconds for the choice among runtimes")
    parser.add_argument("--json", action="store_true", help="print one line of JSON")
    add_option(parser)


@as_child(NICE, signal.SIGINT)  # as Ctrl-C: the session is ended in order
def run(arguments: argparse.Namespace) -> int:
    """Replay, and print the receipt and the comparison."""
    settings = settings_from(argparse.Namespace(data_dir=arguments.data_dir))
    set_up_logging("replay", "warning")
    path = find_session(settings.data_dir, arguments.session)
    name = arguments.name or f"{arguments.session[:40].rstrip('.')}-{time.strftime('%Y%m%d-%H%M%S')}"
    line = ProgressLine(sys.stderr)
    with Recording(path) as recording, _service(arguments, settings.data_dir, name) as (address, new_data_dir):
        try:
            done = replay(
                recording,
                address,
                name,
                speed=arguments.speed,
                model=arguments.model,
                new_data_dir=new_data_dir,
                on_progress=lambda sent, of: line.show(f"{sent} of {of} frames"),
            )
        finally:
            line.clear()
    if arguments.json:
        print(json.dumps({**msgspec.to_builtins(done), "equal": done.equal}))
    else:
        print(_text(done))
    if not done.receipt.balanced:
        return EXIT_UNBALANCED
    return 0 if done.equal else EXIT_FAILED


@contextlib.contextmanager
def _service(arguments: argparse.Namespace, data_dir: Path, name: str) -> Iterator[tuple[str, Path]]:
    """The service to send to, and the data folder in which it records as far as that is known."""
    if arguments.address:
        yield arguments.address, data_dir
        return
    with aside(data_dir, name) as folder:
        own = argparse.Namespace(
            data_dir=folder,
            port=0,
            http_port=0,
            threads=arguments.threads,
            tune_s=arguments.tune_s,
            no_export=True,  # the recording moves away when the service ends
            log_level="warning",
        )
        with OwnService(settings_from(own)) as service:
            yield service.address, folder


def _text(done: Replayed) -> str:
    receipt = done.receipt
    how = "read back from the new recording" if done.compared == "recording" else "by the checksum in the receipt"
    same = "every sample is equal" if done.equal else f"{count_text(done.differing, 'frame')} NOT equal"
    rows = [
        ("Recording", done.source),
        ("Replayed as", f"{done.session}, {done.elapsed_s:.1f} s"),
        ("Frames sent", f"{done.sent}" + (f", {done.skipped} left out: damaged" if done.skipped else "")),
        ("On the disk", f"{receipt.durable}" if receipt.recording else "not recorded"),
        ("Compared", f"{same} ({how})"),
        ("Restored", f"{receipt.restored_out} by {done.model or 'no model'}"),
        ("Estimates", f"{done.estimates_xxh3}, of {count_text(done.passes_answered, 'pass', 'passes')}"),
        ("Proposals declined", f"{done.declined}" if done.declined else ""),
        ("The account balances", "yes" if receipt.balanced else "NO"),
    ]
    return "\n".join(f"{name:<{WIDTH}}{value}" for name, value in rows if value)


def _speed(text: str) -> float:
    try:
        value = math.inf if text == "max" else float(text)
    except ValueError:
        value = 0.0
    if not value > 0:
        raise argparse.ArgumentTypeError(f"{text} is neither max nor a number above 0")
    return value
