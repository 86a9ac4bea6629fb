"""The adapter `file`: its options, what the file itself says of the field, and how it is put together."""

from __future__ import annotations

import argparse
import logging
import math
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from scanmend.errors import InvalidInput
from scanmend.field import MAX_CHANNELS
from scanmend.plan import ScanPlan
from scanmend.sources.files.opening import open_file
from scanmend.sources.files.piped import PipedReader
from scanmend.sources.files.signals import Reader, Signal
from scanmend.sources.files.source import FileSource, Replay, channels_of, sample_type
from scanmend.sources.kit import Instrument

log = logging.getLogger(__name__)

ASSUMED_DWELL_US = 1.0

NEEDED = {
    "shape": "on what grid its images were taken",
    "pixel_size_nm": "the size of a pixel",
    "dwell_us": "the dwell time, which the dose depends on",
}


class FileAdapter:
    """Files of other programs."""

    help = "files as instruments: .tif, .nxs, .hspy, .emd, .h5, .mib; .dm3, .dm4, .ser, .mrc … through RosettaSciIO"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Describe its options."""
        add = parser.add_argument
        add("path", type=Path, help="the file")
        add("--as", dest="kind", choices=("frame", "image"), help="what a picture of the file is: a pass of the scan, "
            "or the image of a pixelated detector at one point; as the file says where it is not given")  # fmt: skip
        add("--signal", action="append", default=[], help="name or number of what to replay, where a file holds "
            "several; may be given again, each is a channel")  # fmt: skip
        add("--speed", type=_speed, default=1.0, help="how much faster than it was scanned, or max")
        add("--gain", type=float, help="what one electron adds to a pixel of a frame; estimated where not given")
        add(
            "--counting", action="store_true", help="the pixels of a frame are counts: twice the dwell, twice the value"
        )
        add("--reader-python", default="", help="a Python with the package rosettasciio, which then reads the file")
        add("--reader", default="", help="a command that reads the file; docs/adapters.md says how it must answer")

    def complete(self, arguments: argparse.Namespace) -> None:
        """Open the file, and take from it what the options leave out; called before `build`.

        Raises:
            InvalidInput: The file cannot be read or replayed; the text names what it holds.
            MissingExtra: It needs RosettaSciIO, and there is none.
        """
        with closing(_open(arguments)) as reader:
            chosen = _choose(reader.signals, arguments.signal)
            signal = reader.signals[chosen[0]]
            sample_type(signal.dtype)
            if not isinstance(reader, PipedReader):  # one that nothing can be read of is told at once
                with closing(reader.read(chosen)) as pictures:
                    next(pictures, None)
        images = signal.images if arguments.kind is None else arguments.kind == "image"
        if images and len(chosen) > 1:
            raise InvalidInput("Images of several signals cannot be replayed at once.", mend="Name one by --signal.")
        arguments.signals, arguments.chosen, arguments.images = reader.signals, chosen, images
        arguments.series = arguments.series or 1
        arguments.shape = arguments.shape or _scan(signal, images=images)
        for name, value in (
            ("pixel_size_nm", signal.pixel_nm if images == signal.images else None),
            ("dwell_us", None if signal.dwell_ns is None else signal.dwell_ns / 1e3),
            ("beam_current_pa", signal.beam_current_pa),
            ("beam_energy_kev", signal.beam_energy_kev),
        ):
            if getattr(arguments, name) is None:
                setattr(arguments, name, value)
        if arguments.dwell_us is None and arguments.beam_current_pa is None:
            # Without a current there is no dose that it could falsify.
            arguments.dwell_us = ASSUMED_DWELL_US
            log.warning("%s does not say its dwell time: 1 µs is assumed; give --dwell-us.", arguments.path.name)
        for name, what in NEEDED.items():
            if getattr(arguments, name) is None:
                option = f"--{name.replace('_', '-')}"
                raise InvalidInput(f"{arguments.path} does not say {what}.", mend=f"Give {option}.")

    def build(self, arguments: argparse.Namespace, plan: ScanPlan) -> Instrument:
        """Make the source.

        Raises:
            InvalidInput: The pictures do not fit the plan.
        """
        signals, chosen, images = arguments.signals, arguments.chosen, arguments.images
        signal: Signal = signals[chosen[0]]
        if not images and (signal.side != plan.shape or not plan.is_full_raster):
            height, width = signal.side
            raise InvalidInput(
                f"The pictures have {height} × {width} pixels, the field {plan.shape[0]} × {plan.shape[1]}.",
                mend="Leave --shape and --points out, or give --as image where each picture belongs to one point.",
            )
        replay = Replay(
            name=arguments.path.stem[:20],
            chosen=chosen,
            images=images,
            dwell_ns=arguments.dwell_us * 1e3,
            speed=arguments.speed,
        )
        channels = () if images else channels_of(
            [signals[index] for index in chosen],
            units_per_electron=1.0 if arguments.counting and arguments.gain is None else arguments.gain,
            counting=arguments.counting,
            dwell_ns=replay.dwell_ns,
        )  # fmt: skip
        return Instrument(source=FileSource(lambda: _open(arguments), signal, replay, channels))


def _open(arguments: argparse.Namespace) -> Reader:
    return open_file(arguments.path, arguments.reader, arguments.reader_python)


def _choose(signals: Sequence[Signal], wanted: Sequence[str]) -> tuple[int, ...]:
    """The signals to replay: those that are named, else all where they are alike."""
    if wanted:
        chosen = tuple(dict.fromkeys(index for word in wanted for index in _named(signals, word)))
    else:
        chosen = tuple(range(len(signals)))
        first = signals[0]
        # Only what was surely measured together makes channels: the detectors of one scan.
        if first.images or any(signal.pixel_nm is None for signal in signals):
            chosen = (0,) if len(signals) == 1 else ()
    alike = {(signals[index].shape, signals[index].dtype) for index in chosen}
    if len(alike) != 1 or len(chosen) > MAX_CHANNELS:
        raise InvalidInput(
            f"The file holds several signals: {_listed(signals)}.",
            mend="Name one by --signal, or several that have one shape and type.",
        )
    return chosen


def _named(signals: Sequence[Signal], word: str) -> list[int]:
    if word.isdigit() and int(word) < len(signals):
        return [int(word)]
    found = [index for index, signal in enumerate(signals) if signal.name == word]
    if not found:
        raise InvalidInput(f"The file holds no signal {word!r}.", mend=f"It holds {_listed(signals)}.")
    return found


def _listed(signals: Sequence[Signal]) -> str:
    words = [f"{n} {s.name!r} {'×'.join(map(str, s.shape))} {s.dtype.name}" for n, s in enumerate(signals[:12])]
    return ", ".join(words) + (f" and {len(signals) - 12} more" if len(signals) > 12 else "")


def _scan(signal: Signal, *, images: bool) -> tuple[int, int] | None:
    """The grid of the scan, where the file says it."""
    if not images:
        return signal.side
    steps = signal.shape[:-2]
    if len(steps) >= 2:
        return steps[-2], steps[-1]
    side = math.isqrt(signal.steps)
    if side > 1 and side * side == signal.steps:
        log.warning("%d images without a grid: a scan of %d × %d is assumed; give --shape.", signal.steps, side, side)
        return side, side
    return None


def _speed(text: str) -> float:
    speed = math.inf if text == "max" else float(text)
    if not speed > 0:
        raise argparse.ArgumentTypeError(f"{text} is no speed")
    return speed


ADAPTER = FileAdapter()
