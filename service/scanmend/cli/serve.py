"""`scanmend serve`: the service beside a microscope."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from pathlib import Path

from pydantic import ValidationError

from scanmend.errors import ConfigurationError
from scanmend.logs import set_up_logging
from scanmend.settings import Settings
from scanmend.supervisor import ServiceState, Supervisor
from scanmend.web.token import load_or_make

HELP = "Start the service: it takes frames over ZeroMQ, restores them, and shows a live page."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the options; every one is a field of `scanmend.settings.Settings`."""
    parser.add_argument("--port", type=int, help="port for microscopes; 0 takes a free one (7501)")
    parser.add_argument("--http-port", type=int, help="port of the page and the API; 0 takes a free one (7580)")
    parser.add_argument("--data-dir", type=Path, help="folder of recordings and of the access token (scanmend-data)")
    parser.add_argument("--model", help="model for sessions that ask for auto")
    parser.add_argument("--threads", type=int, help="threads of a runtime; 0 lets the tune choose")
    parser.add_argument("--tune-s", type=float, help="seconds for the choice among runtimes at start")
    parser.add_argument("--no-recording", action="store_true", help="refuse to record")
    parser.add_argument("--no-export", action="store_true", help="do not export sessions when they have ended")
    parser.add_argument("--exports-dir", type=Path, help="folder for exports (exports in the data folder)")
    parser.add_argument("--json", action="store_true", help="when ready, print one line of JSON on standard output")
    parser.add_argument("--log-level", choices=("debug", "info", "warning", "error"))


def settings_from(arguments: argparse.Namespace) -> Settings:
    """The settings that a command line asks for, on top of `SCANMEND_…` variables and defaults.

    Raises:
        ConfigurationError: A value that a setting cannot have.
    """
    names = ("port", "http_port", "data_dir", "model", "threads", "tune_s", "exports_dir", "log_level")
    given = {name: value for name in names if (value := getattr(arguments, name, None)) is not None}
    if getattr(arguments, "no_recording", False):
        given["allow_recording"] = False
    if getattr(arguments, "no_export", False):
        given["export_when_ended"] = False
    try:
        return Settings(**given)
    except ValidationError as error:
        lines = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise ConfigurationError(
            f"These settings cannot be used: {lines}.", mend="See `scanmend serve --help`."
        ) from error


def run(arguments: argparse.Namespace) -> int:
    """Serve until SIGTERM or Ctrl-C."""
    settings = settings_from(arguments)
    set_up_logging("service", settings.log_level)
    token = load_or_make(settings.data_dir)
    supervisor = Supervisor(settings)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, supervisor.ask_to_stop)
    try:
        supervisor.startup()
        announced = False
        while supervisor.state in (ServiceState.STARTING, ServiceState.RUNNING) and not supervisor.stop_asked:
            supervisor.turn()
            if not announced and supervisor.state is ServiceState.RUNNING:
                announced = True
                _announce(supervisor, token, as_json=arguments.json)
    finally:
        code = supervisor.shutdown()
    return code


def _announce(supervisor: Supervisor, token: str, *, as_json: bool) -> None:
    page = f"http://127.0.0.1:{supervisor.http_port}/#token={token}"
    if as_json:
        line = {
            "address": supervisor.address,
            "page": page,
            "run_dir": str(supervisor.run_dir),
            "pids": supervisor.pids,
        }
        print(json.dumps(line), flush=True)
    else:
        print(f"Microscopes: {supervisor.address}\nPage:        {page}", file=sys.stderr)
