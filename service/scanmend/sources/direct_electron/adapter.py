"""The adapter `direct-electron`: its options, and how it is put together."""

from __future__ import annotations

import argparse

from scanmend.errors import InvalidInput
from scanmend.plan import ScanPlan
from scanmend.sources.direct_electron.camera import Camera
from scanmend.sources.direct_electron.extra import check_installed, new_client
from scanmend.sources.direct_electron.scan import PointScan
from scanmend.sources.kit import Instrument

DETECTORS = 5


class DirectElectronAdapter:
    """Direct Electron cameras with a scan generator."""

    help = "Direct Electron cameras with their scan generator: runs point lists over deapi, and closes the loop"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Describe its options."""
        parser.add_argument("--host", default="127.0.0.1", help="where DE-Server runs")
        parser.add_argument("--port", type=int, default=13240, help="its port")
        parser.add_argument("--virtual-detector", type=int, default=0, help="which of the server's five, 0 to 4")
        parser.add_argument(
            "--frames-per-second",
            type=float,
            help="of the camera; one frame for each point of the first pass if not given",
        )
        parser.add_argument(
            "--repeat-points", action="store_true", help="a point that is to have more frames stands in the list more "
            "than once, and the server must add them up; without it all points of a pass have one dwell"
        )  # fmt: skip

    def build(self, arguments: argparse.Namespace, plan: ScanPlan) -> Instrument:
        """Make it.

        Raises:
            InvalidInput: No such virtual detector, no such frame rate, or nothing that tells it to begin.
            MissingExtra: deapi is not installed.
        """
        if not (arguments.drive or arguments.adaptive):
            raise InvalidInput(
                "A virtual image is known to be a pass only where this program began it.",
                mend="Give --drive with --passes 1, or --adaptive.",
            )
        if not 0 <= arguments.virtual_detector < DETECTORS:
            raise InvalidInput(
                f"There is no virtual detector {arguments.virtual_detector}.", mend=f"Give 0 to {DETECTORS - 1}."
            )
        rate = arguments.frames_per_second or 1e9 / plan.dwell_ns
        if not 0.01 <= rate <= 1e6:
            raise InvalidInput(f"A rate of {rate:g} frames a second.", mend="Give --frames-per-second, or --dwell-us.")
        check_installed()
        scan = PointScan(
            Camera(arguments.host, arguments.port, new_client),
            round(1e9 / rate),
            arguments.virtual_detector,
            units_per_electron=arguments.units_per_electron,
            repeat=arguments.repeat_points,
        )
        return Instrument(source=scan, controller=scan)


ADAPTER = DirectElectronAdapter()
