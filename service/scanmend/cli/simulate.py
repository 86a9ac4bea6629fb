"""`scanmend simulate`: a simulated microscope that runs a scenario against a service."""

from __future__ import annotations

import argparse
import json
import logging
import signal
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from scanmend.cli.accounts import ProgressLine, account_text, progress_text
from scanmend.client.sync import DEFAULT_ADDRESS
from scanmend.errors import InvalidInput
from scanmend.ipc.parent import end_with_parent

if TYPE_CHECKING:
    from scanmend_sim.instrument import Instrument, RunOptions
    from scanmend_sim.pacing import Rate
    from scanmend_sim.report import Progress
    from scanmend_sim.scenario import Scenario

HELP = "Run a simulated microscope against a service, and print the receipt of its session."

EXIT_UNBALANCED = 4

REST_S = 10.0
"""After an operator's stop or abort, so long until the next session begins: who stops a scan wants to see it stand."""

VARIANT_STEP = 7
"""How many specimens the next session moves on by."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the options; most override what the scenario says."""
    parser.add_argument(
        "scenario",
        nargs="?",
        default="sparse",
        help="quiet, low_dose, detectors, sparse, adaptive, fading, burst, flaky, or the path of a .toml file",
    )
    parser.add_argument("--address", default=DEFAULT_ADDRESS, help="where the service listens")
    parser.add_argument("--specimen", help="a micrograph, a folder of them, or a name such as nanoparticles:seed=3")
    parser.add_argument("--frames", type=_count, help="passes of the session; 0 goes on until stopped")
    parser.add_argument("--rate", type=_rate, help="passes a second, or max, or realtime")
    parser.add_argument("--speed", type=_positive, default=1.0, help="how much faster than the beam, in real time")
    parser.add_argument("--seed", type=_count, help="of noise, motion and faults")
    parser.add_argument("--model", default="auto", help="the model that the session asks for")
    parser.add_argument("--session", help="name of the session (the scenario's with the time and a random word)")
    parser.add_argument("--sessions", type=_count, default=1, help="sessions one after another; 0 until stopped")
    parser.add_argument("--no-recording", action="store_true", help="have nothing kept by the service")
    parser.add_argument("--wait", action="store_true", help="wait until an operator starts the session at the service")
    parser.add_argument("--approval", action="store_true", help="let an operator accept or decline each rescan")
    parser.add_argument("--json", action="store_true", help="print one line of JSON for each session")
    # Ends with the process that started it.
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)


def run(arguments: argparse.Namespace) -> int:
    """Run sessions until they are done, or somebody stops them."""
    # The simulator is a package beside the service's; only these two commands load it.
    from scanmend_sim.instrument import RunOptions
    from scanmend_sim.scenario import load_scenario

    if arguments.child:
        end_with_parent()
    if arguments.session and arguments.sessions != 1:
        raise InvalidInput("Several sessions cannot have one name.", mend="Leave out --session, or --sessions.")
    logging.basicConfig(stream=sys.stderr, level=logging.ERROR, format="%(message)s")
    scenario = load_scenario(arguments.scenario)
    options = RunOptions(
        session=arguments.session,
        specimen=arguments.specimen,
        frames=arguments.frames,
        rate=arguments.rate,
        speed=arguments.speed,
        seed=scenario.seed if arguments.seed is None else arguments.seed,
        model=arguments.model,
        record=False if arguments.no_recording else None,
        wait=arguments.wait,
        approval="operator" if arguments.approval else "microscope",
    )
    return _Sessions(arguments).run(scenario, options)


class _Sessions:
    """Runs one session after another; the first Ctrl-C ends the present one, the second aborts it."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._arguments = arguments
        self._line = ProgressLine(sys.stderr)
        self._instrument: Instrument | None = None
        self._stops = 0
        self._code = 0

    def run(self, scenario: Scenario, options: RunOptions) -> int:
        """Run them all; gives the exit code."""
        from scanmend_sim.instrument import Instrument

        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_signal)
        most = self._arguments.sessions or (1 << 62)
        index = 0
        while index < most and not self._stops:
            seed = (options.seed or 0) + index
            self._instrument = Instrument(
                scenario,
                self._arguments.address,
                replace(options, seed=seed, variant=options.variant + index * VARIANT_STEP),
                on_progress=self._show if self._line.shown else None,
            )
            reason = self._tell(self._instrument)
            index += 1
            if index < most and reason in ("stopped", "aborted"):
                self._rest()
        return self._code

    def _rest(self) -> None:
        """Let the microscope stand still for a while."""
        until_s = time.monotonic() + REST_S
        while time.monotonic() < until_s and not self._stops:
            time.sleep(0.1)

    def _tell(self, instrument: Instrument) -> str:
        """Run one session and print its account; gives the reason of its end."""
        report = instrument.run().to_json()
        self._line.clear()
        if self._arguments.json:
            print(json.dumps(report), flush=True)
        else:
            print(account_text(report), flush=True)
        if not report["balanced"]:
            self._code = EXIT_UNBALANCED
        return str(report["receipt"]["reason"])

    def _show(self, progress: Progress) -> None:
        self._line.show(progress_text(progress))

    def _on_signal(self, *_: object) -> None:
        self._stops += 1
        if self._stops > 1:
            raise KeyboardInterrupt
        if self._instrument is not None:
            self._instrument.ask_to_stop()


def _rate(text: str) -> Rate:
    if text in ("max", "realtime"):
        return "max" if text == "max" else "realtime"
    return _positive(text)


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return value


def _count(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} is negative")
    return value
