"""The adapter `obi`: its options, and how it is put together."""

from __future__ import annotations

import argparse

from scanmend.errors import InvalidInput
from scanmend.field import Channel, DetectorKind
from scanmend.plan import ScanPlan
from scanmend.sources.kit import Instrument
from scanmend.sources.obi.commands import MAX_CODE
from scanmend.sources.obi.scan import VectorScan


class ObiAdapter:
    """Open Beam Interface."""

    help = "Open Beam Interface: a scan generator that visits any points, each with its own dwell; closes the loop"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Describe its options."""
        parser.add_argument("--host", default="127.0.0.1", help="where its server runs")
        parser.add_argument("--port", type=int, default=2224, help="the server's port")
        parser.add_argument("--channel", default="SE", help="what the detector is called")
        parser.add_argument("--offset-units", type=float, default=0.0, help="value without any electron")
        parser.add_argument(
            "--reference-dwell-ns", type=int, default=1000, help="dwell that --units-per-electron is for"
        )

    def build(self, arguments: argparse.Namespace, plan: ScanPlan) -> Instrument:
        """Make it.

        Raises:
            InvalidInput: Nothing that tells it to begin, or a channel that cannot be.
        """
        if not (arguments.drive or arguments.adaptive):
            raise InvalidInput("The scan generator runs nothing by itself.", mend="Give --drive, or --adaptive.")
        channel = Channel(
            name=arguments.channel,
            kind=DetectorKind.ANALOGUE,
            units_per_electron=arguments.units_per_electron,
            offset_units=arguments.offset_units,
            saturation_units=float(MAX_CODE),
            reference_dwell_ns=arguments.reference_dwell_ns,
        )
        scan = VectorScan(arguments.host, arguments.port, channel)
        return Instrument(source=scan, controller=scan)


ADAPTER = ObiAdapter()
