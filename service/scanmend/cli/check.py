"""`scanmend check`: what is wrong with an installation, in plain words."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Literal

from scanmend.acquire.recordings import check_folder
from scanmend.cli.serve import settings_from
from scanmend.engine.catalogue import Catalogue
from scanmend.engine.restorer import Restorer
from scanmend.engine.runtimes import installation
from scanmend.errors import ScanmendError
from scanmend.settings import Settings
from scanmend.wire.sockets import check_libzmq

HELP = "Say in plain words what is wrong with this installation, and how to mend it."

LEAST_SHM_BYTES = 512 << 20
EXIT_CONFIGURATION = 3


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    level: Literal["ok", "warning", "error"]
    what: str
    mend: str = ""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the options."""
    parser.add_argument("--port", type=int, help="port for microscopes (7501)")
    parser.add_argument("--http-port", type=int, help="port of the page (7580)")
    parser.add_argument("--data-dir", help="folder of recordings")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(arguments: argparse.Namespace) -> int:
    """Look at everything; 0 where no error was found, else 3."""
    settings = settings_from(arguments)
    findings = check(settings)
    healthy = all(finding.level != "error" for finding in findings)
    if arguments.json:
        print(json.dumps({"healthy": healthy, "findings": [asdict(finding) for finding in findings]}))
    else:
        for finding in findings:
            print(f"{finding.level:>7}  {finding.what}{'  →  ' + finding.mend if finding.mend else ''}")
        print("The installation is fit for use." if healthy else "The errors above must be mended.", file=sys.stderr)
    return 0 if healthy else EXIT_CONFIGURATION


def check(settings: Settings) -> list[Finding]:
    """Every finding, in the order in which a service would stumble over them."""
    findings: list[Finding] = []
    for look in (_python, _libzmq, _wheels, _models, _ports, _folder, _shared_memory):
        findings += look(settings)
    return findings


def _python(_: Settings) -> list[Finding]:
    version = ".".join(str(part) for part in sys.version_info[:3])
    return [Finding("ok", f"Python {version}, {os.cpu_count()} processors")]


def _attempt(what: str, act: Callable[[], object]) -> list[Finding]:
    try:
        act()
    except ScanmendError as error:
        return [Finding("error", error.message, error.mend)]
    return [Finding("ok", what)]


def _libzmq(_: Settings) -> list[Finding]:
    return _attempt("libzmq is new enough", check_libzmq)


def _wheels(_: Settings) -> list[Finding]:
    problems = installation.problems(installation.installed())
    return [Finding("error", problem) for problem in problems] or [Finding("ok", "one ONNX Runtime is installed")]


def _models(_: Settings) -> list[Finding]:
    findings = []
    for name in Catalogue().names():
        try:
            info = Restorer.load(name, threads=1).info
        except ScanmendError as error:
            findings.append(Finding("error", f"model {name}: {error.message}", error.mend))
        else:
            findings.append(Finding("ok", f"model {name} runs on {info.provider} ({info.runtime}, {info.precision})"))
    return findings or [Finding("error", "There is no model.", "Install Scanmend again.")]


def _ports(settings: Settings) -> list[Finding]:
    findings = []
    for name, port, option in (
        ("microscopes", settings.port, "--port"),
        ("the page", settings.http_port, "--http-port"),
    ):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((settings.host, port))
            except OSError as error:
                mend = f"Stop the other program (or the running service), or choose another port with {option}."
                findings.append(Finding("error", f"port {port} for {name} is taken: {error.strerror}.", mend))
            else:
                findings.append(Finding("ok", f"port {port} for {name} is free"))
    return findings


def _folder(settings: Settings) -> list[Finding]:
    folder = settings.data_dir.resolve()
    existed = folder.exists()
    found = _attempt(f"recordings go to {folder}", lambda: check_folder(folder))
    if found[0].level != "ok":
        return found
    free = shutil.disk_usage(folder).free
    if not existed:
        (folder / "sessions").rmdir()
        folder.rmdir()
    if free < settings.free_bytes + settings.segment_bytes:
        mend = "Free some space, or name another folder with --data-dir."
        return [*found, Finding("error", f"only {free >> 20} MiB are free there.", mend)]
    return [*found, Finding("ok", f"{free >> 30} GiB are free there")]


def _shared_memory(_: Settings) -> list[Finding]:
    try:
        free = shutil.disk_usage("/dev/shm").free  # noqa: S108 - shared memory, not a temporary file
    except OSError:
        mend = "Mount a tmpfs at /dev/shm; in a container, set shm_size."
        return [Finding("warning", "There is no /dev/shm: frames would go through the temporary folder.", mend)]
    if free < LEAST_SHM_BYTES:
        return [Finding("error", f"/dev/shm has {free >> 20} MiB free.", "Give it 512 MiB or more (shm_size).")]
    return [Finding("ok", f"shared memory has {free >> 20} MiB free")]
