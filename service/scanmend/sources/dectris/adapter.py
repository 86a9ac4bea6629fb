"""The adapter `dectris`: its options, and how it is put together."""

from __future__ import annotations

import argparse

from scanmend.errors import InvalidInput
from scanmend.plan import ScanPlan
from scanmend.sources.dectris.simplon import TRIGGERS, ArmedDetector, Simplon
from scanmend.sources.dectris.source import QUEUE, DectrisSource
from scanmend.sources.kit import Instrument
from scanmend.sources.tuning import tune_process


class DectrisAdapter:
    """DECTRIS detectors."""

    help = "DECTRIS detectors (ARINA, QUADRO, SINGLA, ELA): Stream V2 or V1, armed over SIMPLON"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Describe its options."""
        parser.add_argument("--stream", default="tcp://127.0.0.1:31001", help="address of the detector's stream")
        parser.add_argument("--threshold", default="", help="channel of the images; the first where it is not given")
        parser.add_argument("--queue", type=int, default=QUEUE, help="images that may wait here, in memory")
        parser.add_argument("--simplon", help="address of the detector's interface, for --drive: http://HOST")
        parser.add_argument("--trigger", choices=TRIGGERS, default="exts", help="what begins a series, with --drive")

    def build(self, arguments: argparse.Namespace, plan: ScanPlan) -> Instrument:
        """Make the source, and the controller where SIMPLON's address is given.

        Raises:
            InvalidInput: `--drive` without that address.
            MissingExtra: cbor2, lz4 or bitshuffle is not installed.
        """
        if arguments.drive and not arguments.simplon:
            raise InvalidInput("--drive needs the detector's interface.", mend="Give --simplon http://HOST.")
        if arguments.queue < 1:
            raise InvalidInput(f"A queue of {arguments.queue} images.", mend="Give --queue 1 or more.")
        tune_process()
        source = DectrisSource(arguments.stream, arguments.threshold, arguments.queue)
        if not arguments.simplon:
            return Instrument(source=source)
        controller = ArmedDetector(Simplon(arguments.simplon), plan, arguments.trigger)
        return Instrument(source=source, controller=controller)


ADAPTER = DectrisAdapter()
