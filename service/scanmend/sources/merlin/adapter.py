"""The adapter `merlin`: its options, and how it is put together."""

from __future__ import annotations

import argparse

from scanmend.errors import InvalidInput
from scanmend.plan import ScanPlan
from scanmend.sources.kit import Instrument
from scanmend.sources.merlin.control import TRIGGERS, ArmedMerlin, Control
from scanmend.sources.merlin.source import MerlinSource
from scanmend.sources.tuning import tune_process


class MerlinAdapter:
    """Quantum Detectors' Merlin."""

    help = "Quantum Detectors Merlin (Medipix3): images over TCP, armed over its control socket"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Describe its options."""
        add = parser.add_argument
        add("--host", default="127.0.0.1", help="computer that runs Merlin's software")
        add("--data-port", type=int, default=6342, help="of its images")
        add("--control-port", type=int, help="of its commands, mostly 6341: for --drive, and to learn of an abort")
        add("--trigger", choices=TRIGGERS, default="as-set", help="what begins an acquisition, with --drive")
        add("--counter", type=int, choices=(0, 1), default=0, help="which counter of the chip, where both are on")

    def build(self, arguments: argparse.Namespace, plan: ScanPlan) -> Instrument:
        """Make the source, and the controller where the control port is given.

        Raises:
            InvalidInput: `--drive` without that port.
        """
        if arguments.drive and not arguments.control_port:
            raise InvalidInput("--drive needs Merlin's control socket.", mend="Give --control-port, mostly 6341.")
        control = Control(arguments.host, arguments.control_port) if arguments.control_port else None
        tune_process()
        source = MerlinSource(arguments.host, arguments.data_port, control, arguments.counter)
        if control is None:
            return Instrument(source=source)
        return Instrument(source=source, controller=ArmedMerlin(control, plan, arguments.trigger))


ADAPTER = MerlinAdapter()
