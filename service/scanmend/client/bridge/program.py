"""A bridge as a program: its options, what it says, Ctrl-C."""

from __future__ import annotations

import argparse
import json
import logging
import signal
import sys
import time
from collections.abc import Sequence

import msgspec

from scanmend.client.bridge.instrument import Microscope
from scanmend.client.bridge.loop import Bridge, BridgeOptions
from scanmend.client.sync import DEFAULT_ADDRESS, Client
from scanmend.errors import InvalidInput, NotConnected, ScanmendError
from scanmend.wire.messages import Receipt, check_session_name

EXIT_FAILED = 1
EXIT_UNBALANCED = 4

RETRY_S = 1.0
"""Pause between tries to reach a service that is not there yet."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the options that every bridge has."""
    add = parser.add_argument
    add("--address", default=DEFAULT_ADDRESS, help="where the service listens")
    add("--name", default="bridge", help="sessions are called NAME-time")
    add("--mode", choices=("adaptive", "frames"), default="adaptive", help="frames: passes of the whole field, each a "
        "picture of its own; adaptive: the service proposes each next pass")  # fmt: skip
    add("--dwell-us", type=float, help="time at each pixel; of an adaptive scan, in its first pass")
    add("--passes", type=int, help="most passes of a session; without it, until it is enough or stopped")
    add("--sessions", type=int, default=1, help="how many sessions, 0 for one after another until stopped")
    add("--budget-e-per-nm2", type=float, help="largest dose of an adaptive scan, averaged over the field")
    add("--target-sigma", type=float, help="standard deviation to reach, as a share of the picture's range")
    add("--start", choices=("microscope", "operator"), default="microscope", help="who starts a session")
    add("--approval", choices=("microscope", "operator"), default="microscope", help="who decides on a proposal")
    add("--restore-channel", help="which channel is restored; the first where it is not given")
    add("--model", default="auto", help="the model that sessions ask for")
    add("--no-recording", action="store_true", help="have nothing kept by the service")
    add("--json", action="store_true", help="print one line of JSON for each session")


def run_program(microscope: Microscope, words: Sequence[str] | None = None) -> int:
    """Run a microscope with options as from a command line, to the end; gives the exit code.

    Args:
        microscope: The maker's.
        words: The options; those of this program where None.
    """
    parser = argparse.ArgumentParser(formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    add_arguments(parser)
    return run_chosen(microscope, parser.parse_args(words))


def run_chosen(microscope: Microscope, chosen: argparse.Namespace) -> int:
    """As `run_program`, with options that were read already."""
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(message)s")
    try:
        check_session_name(f"{chosen.name}-20260101-000000-99")
        with Client(chosen.address, program=f"scanmend bridge {chosen.name}") as client:
            bridge = Bridge(microscope, client, _options(chosen), tell=lambda line: print(line, file=sys.stderr))
            print(_about(bridge), file=sys.stderr, flush=True)
            return _sessions(bridge, chosen)
    except ScanmendError as problem:
        print(problem, file=sys.stderr)
        return EXIT_FAILED
    finally:
        microscope.close()


def _options(chosen: argparse.Namespace) -> BridgeOptions:
    if chosen.dwell_us is not None and not chosen.dwell_us >= 0.001:
        raise InvalidInput(f"A dwell of {chosen.dwell_us:g} µs is too short.", mend="Give --dwell-us of 0.001 or more.")
    if chosen.sessions < 0 or (chosen.passes is not None and chosen.passes < 1):
        raise InvalidInput("Sessions and passes cannot be so few.", mend="Give --passes of 1 or more.")
    return BridgeOptions(
        mode=chosen.mode,
        dwell_ns=None if chosen.dwell_us is None else round(1000 * chosen.dwell_us),
        passes=chosen.passes,
        budget_e_per_nm2=chosen.budget_e_per_nm2,
        target_sigma=chosen.target_sigma,
        start=chosen.start,
        approval=chosen.approval,
        record=not chosen.no_recording,
        model=chosen.model,
        restore_channel=chosen.restore_channel,
    )


def _about(bridge: Bridge) -> str:
    said, field = bridge.described, bridge.described.field
    current = "unknown, so no dose is given" if field.beam_current_pa is None else f"{field.beam_current_pa:g} pA"
    lines = [
        f"{said.program}: {field.shape[0]} × {field.shape[1]} pixels of {field.pixel_size_nm:.4g} nm, beam current "
        f"{current}, channels {', '.join(channel.name for channel in said.channels)}.",
        *said.remarks,
    ]
    return "\n".join(lines)


def _sessions(bridge: Bridge, chosen: argparse.Namespace) -> int:
    signals = 0

    def on_signal(*_: object) -> None:
        nonlocal signals
        signals += 1
        if signals > 1:
            raise KeyboardInterrupt
        bridge.stop_asked = True

    before = [(number, signal.signal(number, on_signal)) for number in (signal.SIGINT, signal.SIGTERM)]
    done, code = 0, 0
    try:
        while not bridge.stop_asked and (not chosen.sessions or done < chosen.sessions):
            receipt = _session(bridge, chosen, done)
            done += 1
            if receipt is not None and not receipt.balanced:
                code = EXIT_UNBALANCED
    finally:
        for number, handler in before:
            signal.signal(number, handler)
    return code


def _session(bridge: Bridge, chosen: argparse.Namespace, number: int) -> Receipt | None:
    """One session; a service that is not there yet is waited for."""
    name = f"{chosen.name}-{time.strftime('%Y%m%d-%H%M%S')}-{number + 1}"
    waiting = False
    while True:
        try:
            receipt = bridge.run(name)
            break
        except NotConnected as problem:
            if bridge.began or bridge.stop_asked:
                raise
            if not waiting:
                print(f"{problem} Trying again until it is.", file=sys.stderr, flush=True)
            waiting = True
            time.sleep(RETRY_S)
    if chosen.json:
        account = None if receipt is None else msgspec.to_builtins(receipt)
        print(json.dumps({"session": name, "why": bridge.why, "receipt": account}), flush=True)
    else:
        print(_sentence(name, bridge.why, receipt), flush=True)
    return receipt


def _sentence(name: str, why: str, receipt: Receipt | None) -> str:
    if receipt is None:
        return f"{name}: no receipt. {why}"
    kept = f"{receipt.durable} frames on the disk" if receipt.recording else "not recorded"
    return f"{name}: {kept}, account {'balances' if receipt.balanced else 'DOES NOT BALANCE'}. {why}"
