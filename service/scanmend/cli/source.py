"""`scanmend source`: relays another maker's instrument to a service, in a process of its own."""

from __future__ import annotations

import argparse
import json
import logging
import signal
import sys
from pathlib import Path

import msgspec
import numpy as np

from scanmend.client.sync import DEFAULT_ADDRESS
from scanmend.errors import InstrumentError, InvalidInput
from scanmend.field import Field
from scanmend.plan import ScanPlan
from scanmend.sources import registry
from scanmend.sources.kit import Completes, Instrument
from scanmend.sources.problems import ProblemLog
from scanmend.sources.reducers import CameraNoise
from scanmend.sources.relay import Relay
from scanmend.sources.shapes import parse_detector
from scanmend.sources.terms import AdaptiveTerms, RelayOptions, SeriesOptions, SeriesReport
from scanmend.wire.messages import check_session_name

HELP = "Relay a detector or scan generator of another maker to a service; `source list` names those that are installed."

EXIT_UNBALANCED = 4

NEEDED = ("shape", "pixel_size_nm", "dwell_us")
"""What must be known of the field: given, or found in a file."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the options; an adapter's own come after its name."""
    parser.add_argument("name", help="which instrument: a name of `scanmend source list`, or list")
    parser.add_argument("options", nargs=argparse.REMAINDER, help="see `scanmend source NAME --help`")


def run(arguments: argparse.Namespace) -> int:
    """List the adapters, or relay one until it is done or somebody stops it."""
    if arguments.name == "list":
        for name in registry.names():
            print(f"{name:<16} {registry.load(name).help}")
        return 0
    adapter = registry.load(arguments.name)
    parser = argparse.ArgumentParser(
        prog=f"scanmend source {arguments.name}",
        description=adapter.help,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    _add_relay_arguments(parser)
    adapter.add_arguments(parser.add_argument_group("the instrument"))  # type: ignore[arg-type]
    chosen = parser.parse_args(arguments.options)
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(message)s")
    if isinstance(adapter, Completes):
        adapter.complete(chosen)
    missing = [f"--{name.replace('_', '-')}" for name in NEEDED if getattr(chosen, name) is None]
    if missing:
        parser.error(f"the following arguments are required: {', '.join(missing)}")
    plan, adaptive = _plan(chosen), _adaptive(chosen)
    return _relay(arguments.name, chosen, adapter.build(chosen, plan), plan, adaptive)


def _add_relay_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--address", default=DEFAULT_ADDRESS, help="where the service listens")
    add("--name", help="sessions are called NAME-time-series; the instrument's name where it is not given")
    add("--shape", type=_shape, help="grid of the field, lines x pixels: 256x256")
    add("--pixel-size-nm", type=float, help="side of a pixel")
    add("--dwell-us", type=float, help="time at each point, of a detector the time of an image")
    add("--beam-current-pa", type=float, help="without it no dose is given")
    add("--beam-energy-kev", type=float, help="for the recording")
    add("--points", type=Path, help="points of a sparse scan in visiting order: .npy or text, x and y in each line")
    add("--detector", action="append", default=[], help="a virtual detector for images: disk:radius=20, "
        "annular:inner=30,outer=90, segments:inner=5,outer=20,count=4, com:radius=20; may be given again")  # fmt: skip
    add("--units-per-electron", type=float, help="what one electron adds to an image of a camera; 1 for images of "
        "which virtual detectors are made here, else not known, and estimated by the service")  # fmt: skip
    add("--restore-channel", help="which channel is restored; the first where it is not given")
    add("--mode", choices=("frames", "exposure"), default="frames", help="whether passes add up")
    add("--model", default="auto", help="the model that sessions ask for")
    add("--passes", type=_count, default=0, help="passes of a session; 0 for as many as come")
    add("--series", type=_count, help="end after so many series, or adaptive scans; 0 goes on until stopped, which is "
        "what happens to series where it is not given; of adaptive scans there is one")  # fmt: skip
    add("--silence-s", type=float, default=10.0, help="a series from which nothing came for so long is over")
    add("--drive", action="store_true", help="tell the instrument to begin each series")
    add("--no-recording", action="store_true", help="have nothing kept by the service")
    add("--json", action="store_true", help="print one line of JSON for each series, or adaptive scan")
    _add_adaptive_arguments(parser.add_argument_group("adaptive scans, for instruments that can be told what to scan"))


def _add_adaptive_arguments(group: argparse._ArgumentGroup) -> None:
    """The words of `Client.adaptive`."""
    add = group.add_argument
    add("--adaptive", action="store_true", help="run what the service proposes, pass by pass, until it is enough; "
        "--points and --dwell-us are the first pass, and the instrument is told to begin")  # fmt: skip
    add("--budget-e-per-nm2", type=float, help="most dose of all passes, averaged over the field; none by default")
    add("--target-sigma", type=float, help="standard deviation to reach, as a share of the picture's range")
    add("--quantile", type=float, help="share of the pixels that must reach it; their root mean square by default")
    add("--region", type=_region, help="TOP,LEFT,HEIGHT,WIDTH in pixels that the target is about; the whole field")
    add("--min-gain", type=float, help="least share by which a pass must be expected to lower sigma (0.02)")
    add("--max-passes", type=_count, help="most passes, the first included; no limit by default")
    add("--policy", default="auto", help="rescan policy; auto is the service's best")
    add("--approval", action="store_true", help="let an operator accept or decline each rescan")


def _relay(
    name: str, chosen: argparse.Namespace, instrument: Instrument, plan: ScanPlan, adaptive: AdaptiveTerms | None
) -> int:
    session_name = chosen.name or name
    check_session_name(f"{session_name}-20260101-000000-{'x' * 24}-99")
    problems = ProblemLog()
    unbalanced = False

    def tell(report: SeriesReport) -> None:
        nonlocal unbalanced
        unbalanced |= report.receipt is not None and not report.receipt.balanced
        print(_line(report, problems) if chosen.json else _sentence(report), flush=True)

    relay = Relay(
        instrument,
        chosen.address,
        RelayOptions(name=session_name, silence_s=chosen.silence_s, drive=chosen.drive),
        SeriesOptions(
            field=_field(chosen),
            plan=plan,
            passes=chosen.passes,
            mode=chosen.mode,
            record=not chosen.no_recording,
            model=chosen.model,
            restore_channel=chosen.restore_channel,
        ),
        adaptive=adaptive,
        detectors=tuple(parse_detector(text) for text in chosen.detector),
        camera=CameraNoise(units_per_electron=1.0 if chosen.units_per_electron is None else chosen.units_per_electron),
        problems=problems,
        on_series=tell,
    )
    stops = 0

    def on_signal(*_: object) -> None:
        nonlocal stops
        stops += 1
        if stops > 1:
            raise KeyboardInterrupt
        relay.stop_asked = True

    before = [(number, signal.signal(number, on_signal)) for number in (signal.SIGINT, signal.SIGTERM)]
    try:
        # A second scan of the same field would give its dose once more.
        relay.run(int(adaptive is not None) if chosen.series is None else chosen.series)
    finally:
        for number, handler in before:
            signal.signal(number, handler)
    if adaptive is not None and not (relay.ended or relay.stop_asked):
        raise InstrumentError("Nothing came of the first plan.", mend="Look at the problems before this one.")
    return EXIT_UNBALANCED if unbalanced else 0


def _line(report: SeriesReport, problems: ProblemLog) -> str:
    receipt = None if report.receipt is None else msgspec.to_builtins(report.receipt)
    return json.dumps(
        {
            "series": report.series,
            "session": report.session,
            "points": report.points,
            "lost": report.lost,
            "why": report.why,
            "receipt": receipt,
            "problems": problems.to_json(),
        }
    )


def _sentence(report: SeriesReport) -> str:
    account = "no receipt"
    if report.receipt is not None:
        kept = f"{report.receipt.durable} frames on the disk" if report.receipt.recording else "not recorded"
        account = f"{kept}, account {'balances' if report.receipt.balanced else 'DOES NOT BALANCE'}"
    return f"{report.session}: {report.points} points, {report.lost} lost; {account}" + (
        report.why and f". {report.why}"
    )


def _adaptive(chosen: argparse.Namespace) -> AdaptiveTerms | None:
    """The terms of an adaptive scan, where one is asked for."""
    terms = {name: getattr(chosen, name) for name in ("budget_e_per_nm2", "target_sigma", "quantile", "region")}
    terms |= {"min_gain": chosen.min_gain, "max_passes": chosen.max_passes}
    if not chosen.adaptive:
        if any(value is not None for value in terms.values()) or chosen.approval:
            raise InvalidInput("Terms of an adaptive scan were given without --adaptive.", mend="Give --adaptive too.")
        return None
    if chosen.passes or chosen.mode != "frames":
        raise InvalidInput("An adaptive scan sets --passes and --mode itself.", mend="Use --max-passes.")
    return AdaptiveTerms(**terms, policy=chosen.policy, approval="operator" if chosen.approval else "microscope")


def _field(chosen: argparse.Namespace) -> Field:
    return Field(
        shape=chosen.shape,
        pixel_size_nm=chosen.pixel_size_nm,
        beam_current_pa=chosen.beam_current_pa,
        beam_energy_kev=chosen.beam_energy_kev,
    )


def _plan(chosen: argparse.Namespace) -> ScanPlan:
    """The raster of the field, or the points of a file."""
    dwell_ns = round(chosen.dwell_us * 1000)
    if dwell_ns < 1:
        raise InvalidInput(f"A dwell of {chosen.dwell_us:g} µs is too short.", mend="Give --dwell-us of 0.001 or more.")
    if chosen.points is None:
        return ScanPlan.raster(chosen.shape, dwell_ns)
    try:
        if chosen.points.suffix == ".npy":
            xy = np.load(chosen.points, allow_pickle=False)
        else:
            xy = np.loadtxt(chosen.points, delimiter="," if "," in chosen.points.read_text() else None, ndmin=2)
    except (OSError, ValueError) as error:
        raise InvalidInput(
            f"The points of {chosen.points} cannot be read: {error}.", mend="Give x and y of one point in each line."
        ) from error
    if xy.ndim != 2 or xy.shape[1] != 2 or not np.array_equal(xy, np.rint(xy)):
        raise InvalidInput(
            f"The points of {chosen.points} have the shape {xy.shape}.", mend="Give whole x and y, one point a line."
        )
    plan = ScanPlan.point_list(chosen.shape, dwell_ns, xy=xy.astype(np.int32))
    plan.validate()
    return plan


def _region(text: str) -> tuple[int, int, int, int]:
    top, left, height, width = map(_count, text.split(","))
    return top, left, height, width


def _shape(text: str) -> tuple[int, int]:
    lines, _, pixels = text.lower().partition("x")
    return _count(lines), _count(pixels)


def _count(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} is negative")
    return value
