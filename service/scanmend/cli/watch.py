"""`scanmend watch`: the state of a running service in a terminal."""

from __future__ import annotations

import argparse
import json
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

from scanmend.errors import ConfigurationError, InvalidInput, NotConnected, ScanmendError
from scanmend.settings import Settings
from scanmend.web.token import FILE_NAME

HELP = "Watch a running service: one line for each session, written again every second."

EXIT_FAILED = 1
CLEAR = "\x1b[H\x1b[J"
PATIENCE_S = 5.0
STARTUP_MEND = "Is `scanmend serve` running? Start it, or give the --url that it prints."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the options."""
    parser.add_argument("session", nargs="?", help="only the session of this name")
    parser.add_argument("--url", default="http://127.0.0.1:7580", help="address of the service's page")
    parser.add_argument("--token-file", type=Path, help="file of the access token (scanmend-data/access-token)")
    parser.add_argument("--every", type=float, default=1.0, help="seconds from one look to the next")
    parser.add_argument("--once", action="store_true", help="look once")
    parser.add_argument("--json", action="store_true", help="look once, and print the status as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Watch until Ctrl-C."""
    if not 0.05 <= arguments.every <= 3600:
        raise InvalidInput(f"--every {arguments.every} is not a time.", mend="Give 0.05 to 3600 seconds.")
    watcher = Watcher(arguments.url, arguments.token_file or Settings().data_dir / FILE_NAME)
    if arguments.json:
        print(json.dumps(_only(watcher.status(), arguments.session)), flush=True)
        return 0
    if arguments.once:
        print(status_text(_only(watcher.status(), arguments.session)), flush=True)
        return 0
    terminal = sys.stdout.isatty()
    try:
        watcher.status()  # a wrong token or address is an error at the start, and a line later
        while True:
            text = _look(watcher, arguments.session)
            print((CLEAR if terminal else "") + text, flush=True)
            time.sleep(arguments.every)
    except KeyboardInterrupt:
        return 0


def _look(watcher: Watcher, name: str | None) -> str:
    try:
        return status_text(_only(watcher.status(), name))
    except ScanmendError as error:
        return f"{time.strftime('%H:%M:%S')} {error}"


class Watcher:
    """Asks the service's API.

    Args:
        url: Of the page, http on this machine.
        token_file: Holds the access token.

    Raises:
        InvalidInput: The address cannot be one.
        ConfigurationError: The token cannot be read.
    """

    def __init__(self, url: str, token_file: Path) -> None:
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InvalidInput(f"{url!r} is not the address of a page.", mend="Give one like http://127.0.0.1:7580.")
        self.url = f"{parts.scheme}://{parts.netloc}/api/v1/status"
        try:
            self._token = token_file.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(
                f"The access token cannot be read from {token_file}: {error}.",
                mend="Give --token-file; it is `access-token` in the service's data folder.",
            ) from error

    def status(self) -> dict[str, Any]:
        """The status, as `GET /api/v1/status` gives it.

        Raises:
            NotConnected: Nobody answers there, or somebody else.
            ConfigurationError: The token is not this service's.
        """
        request = urllib.request.Request(self.url, headers={"authorization": f"Bearer {self._token}"})
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:  # noqa: S310 - http(s) only, see above
                status: dict[str, Any] = json.load(answer)
                return status
        except urllib.error.HTTPError as error:
            if error.code in (401, 403):
                raise ConfigurationError(
                    f"The service at {self.url} does not take this token.", mend="Give its own with --token-file."
                ) from error
            raise NotConnected(f"The service answers with {error}.", mend="Look at its log.") from error
        except (OSError, ValueError) as error:
            raise NotConnected(f"Nobody answers at {self.url}: {error}.", mend=STARTUP_MEND) from error


def _only(status: dict[str, Any], name: str | None) -> dict[str, Any]:
    if name is None:
        return status
    sessions = [session for session in status["sessions"] if session["name"] == name]
    if not sessions:
        raise InvalidInput(f"There is no session {name}.", mend="Leave the name out to see those there are.")
    problems = [problem for problem in status["problems"] if problem["session"] in ("", name)]
    return {**status, "sessions": sessions, "problems": problems}


def status_text(status: dict[str, Any]) -> str:
    """A page of text about a status."""
    engine = status["engine"] or {}
    lines = [
        f"{time.strftime('%H:%M:%S')}  service {status['state']} · engine {engine.get('state', 'not known')} · "
        f"model {engine.get('default_model') or 'none'} · {status['disk_free_bytes'] / 1e9:.1f} GB free"
    ]
    lines += [f"  {reason['text']} {reason['mend']}".rstrip() for reason in status["reasons"]]
    lines += [session_line(session) for session in status["sessions"]] or ["  no session"]
    lines += [_problem(problem) for problem in status["problems"]]
    return "\n".join(lines)


def session_line(session: dict[str, Any]) -> str:
    """One line about a session."""
    account, latency, dose = session["account"], session["latency_ms"], session["dose"]
    parts = [f"{session['name']:<32} {session['state']:<8}"]
    parts.append(f"in {account['received']} ({session['frames_per_s_in']:.1f}/s)")
    passed = sum(account["passed_through"].values())
    parts.append(f"restored {account['restored']} ({session['frames_per_s_out']:.1f}/s)")
    if passed:
        parts.append(f"passed {passed}")
    lost = account["missing"] + sum(account["rejected"].values())
    if lost:
        parts.append(f"lost {lost}")
    if latency:
        parts.append(f"p50 {latency['p50']:.0f} p95 {latency['p95']:.0f} ms")
    if dose["used_e_per_nm2"] is not None:
        budget = dose["budget_e_per_nm2"]
        parts.append(f"{dose['used_e_per_nm2']:.3g}{'' if budget is None else f' of {budget:.3g}'} e/nm²")
    if session["paused"]:
        parts.append(f"held: {session['paused']}")
    if session["state"] == "ended" and not account["balanced"]:
        parts.append("DOES NOT BALANCE")
    return "  " + " · ".join(parts)


def _problem(problem: dict[str, Any]) -> str:
    times = f" ({problem['count']} times)" if problem["count"] > 1 else ""
    where = f" [{problem['session']}]" if problem["session"] else ""
    return f"  {problem['level'].upper()}{where}: {problem['text']} {problem['mend']}".rstrip() + times
