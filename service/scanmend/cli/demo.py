"""`scanmend demo`: the service and a simulated microscope together, in processes of their own."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from scanmend.cli.accounts import account_text
from scanmend.cli.ports import check_ports
from scanmend.cli.serve import settings_from
from scanmend.errors import ConfigurationError
from scanmend.logs import set_up_logging
from scanmend.readiness import wait_ready
from scanmend.record import session_path
from scanmend.supervisor import ServiceState, Supervisor
from scanmend.web.token import FILE_NAME, load_or_make

HELP = "Start the service with a simulated microscope and show the page; nothing else is needed."

PASSES_SHOWN = 3000
"""Passes of a session of the demo on the page; then the next session begins."""

EXIT_FAILED = 1
END_S = 20.0
"""The microscope has this long to end its session."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the options."""
    parser.add_argument("--scenario", default="sparse", help="what the microscope does, as for `scanmend simulate`")
    parser.add_argument("--specimen", help="a micrograph, a folder of them, or a name such as nanoparticles:seed=3")
    parser.add_argument("--headless", action="store_true", help="one session on free ports, then the figures, no page")
    parser.add_argument("--frames", type=int, help="passes of a session")
    parser.add_argument("--rate", help="passes a second, or max, or realtime")
    parser.add_argument("--seed", type=int, help="of noise, motion and faults")
    parser.add_argument("--json", action="store_true", help="print one JSON object at the end")
    parser.add_argument("--open", action="store_true", help="open the page in a browser")
    parser.add_argument("--data-dir", type=Path, help="keep the recordings here; else they are removed at the end")
    parser.add_argument("--port", type=int, help="port for microscopes (7501; headless: a free one)")
    parser.add_argument("--http-port", type=int, help="port of the page (7580; headless: a free one)")
    parser.add_argument("--model", default="auto", help="the model that restores")
    parser.add_argument("--threads", type=int, help="threads of a runtime; 0 lets the tune choose")
    parser.add_argument("--tune-s", type=float, help="seconds for the choice among runtimes at start")
    parser.add_argument("--log-level", choices=("debug", "info", "warning", "error"), default="warning")


def run(arguments: argparse.Namespace) -> int:
    """Run the demo until it is done or somebody presses Ctrl-C."""
    if arguments.headless:
        arguments.port = arguments.port or 0
        arguments.http_port = arguments.http_port or 0
    with _data_dir(arguments.data_dir) as (data_dir, kept):
        arguments.data_dir = data_dir
        arguments.no_export = not kept
        settings = settings_from(arguments)
        check_ports(settings)
        set_up_logging("demo", settings.log_level)
        token = load_or_make(data_dir)
        demo = _Demo(Supervisor(settings), arguments, token, kept=kept)
        code = demo.run()
    if demo.report is not None:
        if arguments.json:
            print(json.dumps(demo.report), flush=True)
        else:
            if demo.sessions > 1:
                print(f"{demo.sessions} sessions with {demo.frames} frames, {demo.balanced} of them balance. The last:")
            print(account_text(demo.report), flush=True)
    return code


@contextmanager
def _data_dir(given: Path | None) -> Iterator[tuple[Path, bool]]:
    """The folder of recordings, and whether it is kept."""
    if given is not None:
        yield given, True
        return
    folder = Path(tempfile.mkdtemp(prefix="scanmend-demo-"))
    try:
        yield folder, False
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class _Demo:
    """A service and a microscope: `run` starts them, watches them, and brings them to an end.

    Args:
        supervisor: Of the service, not started.
        arguments: The command line.
        token: For the page.
        kept: Whether recordings stay.
    """

    def __init__(self, supervisor: Supervisor, arguments: argparse.Namespace, token: str, *, kept: bool) -> None:
        self.report: dict[str, Any] | None = None
        """Of the last session that has ended."""
        self.sessions = self.frames = self.balanced = 0
        """Sessions that have ended, their frames, and how many of the sessions balance."""
        self._supervisor = supervisor
        self._arguments = arguments
        self._token = token
        self._kept = kept
        self._microscope: subprocess.Popen[bytes] | None = None
        self._unread = b""

    def run(self) -> int:
        """Gives the exit code."""
        supervisor = self._supervisor
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, supervisor.ask_to_stop)
        code = 0
        try:
            supervisor.startup()
            if wait_ready(supervisor, supervisor.turn):
                if not self._arguments.headless:
                    self._announce()
                code = self._scan()
        finally:
            self._end_microscope()
            service_code = supervisor.shutdown()
        if supervisor.failure:
            print(f"scanmend: The service failed: {supervisor.failure} Run `scanmend check`.", file=sys.stderr)
        return service_code or code

    @property
    def _well(self) -> bool:
        return self._supervisor.state in (ServiceState.STARTING, ServiceState.RUNNING)

    def _announce(self) -> None:
        page = f"http://127.0.0.1:{self._supervisor.http_port}/#token={self._token}"
        settings = self._supervisor.settings
        where = (
            str(settings.data_dir) if self._kept else "a temporary folder, removed at the end (--data-dir keeps them)"
        )
        print(
            f"Page:        {page}\n"
            f"Microscopes: {self._supervisor.address}\n"
            f"Recordings:  {where}\n"
            f"In another terminal: scanmend watch --url http://127.0.0.1:{self._supervisor.http_port} "
            f"--token-file {settings.data_dir / FILE_NAME}\n"
            f"Ctrl-C stops everything and prints the receipt.",
            file=sys.stderr,
            flush=True,
        )
        if self._arguments.open:
            webbrowser.open(page)

    # The microscope ---------------------------------------------------------------------------------------------

    def _scan(self) -> int:
        """Let the microscope run until it is done; gives its exit code."""
        process = self._microscope = subprocess.Popen(
            self._command(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            process_group=0,  # Ctrl-C reaches the demo alone, which then ends the session before the service
        )
        if process.stdout is None:
            raise ConfigurationError("The simulated microscope has no output.", mend="Report this as a fault.")
        os.set_blocking(process.stdout.fileno(), False)
        while process.poll() is None and self._well and not self._supervisor.stop_asked:
            self._supervisor.turn()
            self._read_reports()
        self._end_microscope()
        return process.returncode if process.returncode >= 0 else EXIT_FAILED

    def _command(self) -> list[str]:
        given = self._arguments
        words = [sys.executable, "-m", "scanmend.cli", "simulate", given.scenario, "--child", "--json"]
        words += ["--address", self._supervisor.address, "--model", given.model]
        frames = given.frames
        if not given.headless:
            words += ["--sessions", "0"]
            if frames is None and given.scenario == "sparse":
                frames = PASSES_SHOWN
        for option, value in (
            ("--frames", frames), ("--specimen", given.specimen), ("--rate", given.rate), ("--seed", given.seed),
        ):  # fmt: skip
            if value is not None:
                words += [option, str(value)]
        return words

    def _end_microscope(self) -> None:
        """Ask it to end its session, and wait; the service serves on meanwhile."""
        process = self._microscope
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        deadline_s = time.monotonic() + END_S
        while process.poll() is None and time.monotonic() < deadline_s:
            if self._well:
                self._supervisor.turn()
            else:
                time.sleep(0.05)
            self._read_reports()
        if process.poll() is None:
            process.kill()
            process.wait()
        self._read_reports()
        if process.stdout is not None:
            process.stdout.close()
        self._microscope = None

    def _read_reports(self) -> None:
        """Take the lines that the microscope has printed, one a session."""
        process = self._microscope
        if process is None or process.stdout is None:
            return
        while data := process.stdout.read():
            self._unread += data
        *lines, self._unread = self._unread.split(b"\n")
        for line in lines:
            self.report = report = json.loads(line)
            self.sessions += 1
            self.frames += report["frames_sent"]
            self.balanced += report["balanced"]
            recording = report["receipt"]["recording"]
            if recording and not self._kept:
                # A demo that runs for days must not fill the disk.
                shutil.rmtree(session_path(self._supervisor.settings.data_dir, recording), ignore_errors=True)
