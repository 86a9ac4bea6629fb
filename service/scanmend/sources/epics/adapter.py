"""The adapter `epics`: its options, and how it is put together."""

from __future__ import annotations

import argparse

from scanmend.errors import InvalidInput
from scanmend.field import SAMPLE_DTYPES, Channel
from scanmend.plan import ScanPlan
from scanmend.sources.epics.camera import AcquiringCamera
from scanmend.sources.epics.source import QUEUE, EpicsSource
from scanmend.sources.kit import Instrument
from scanmend.sources.numbering import Numbering
from scanmend.sources.tuning import tune_process

PAUSE_SHARE = 0.8
"""Of --silence-s: the next series must begin before the relay takes the last one's silence for its end."""


class EpicsAdapter:
    """Arrays of EPICS areaDetector."""

    help = "EPICS areaDetector over PVAccess: NTNDArray images, or frames of a scanned detector"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Describe its options."""
        add = parser.add_argument
        add("--pv", required=True, help="PV of the arrays: 13SIM1:Pva1:Image")
        add(
            "--camera",
            default="",
            help="prefix of the camera's PVs, which tell where series begin and end: 13SIM1:cam1:",
        )
        add("--server", help="HOST:PORT of the server; found by EPICS_PVA_ADDR_LIST and the others where not given")
        add("--as", dest="kind", choices=("image", "frame", "line"), default="image",
            help="what an array is: an image at one point, a scanned frame, or a scanned line")  # fmt: skip
        add("--channel", default="HAADF", help="name of the detector, of scanned frames and lines")
        add("--dtype", choices=SAMPLE_DTYPES, default="uint16", help="type of its values")
        add("--first-id", type=int, default=1, help="uniqueId of the first array after ArrayCounter was set to 0")
        add("--queue", type=int, default=QUEUE, help="arrays that may wait here")

    def build(self, arguments: argparse.Namespace, plan: ScanPlan) -> Instrument:
        """Make the source, and the controller where the camera's prefix is given.

        Raises:
            InvalidInput: `--drive` without that prefix, or a plan that frames or lines do not fill.
            MissingExtra: p4p or a codec is not installed.
        """
        if arguments.drive and not arguments.camera:
            raise InvalidInput("--drive needs the camera's PVs.", mend="Give --camera with their prefix.")
        points = {"image": 1, "frame": plan.points, "line": plan.shape[1]}[arguments.kind]
        if plan.points % points or arguments.queue < 4:
            raise InvalidInput(
                f"Lines of {points} points do not fill a plan of {plan.points}, or {arguments.queue} is a short queue.",
                mend="Give --as frame for a sparse plan, and --queue 4 or more.",
            )
        channel = None
        if arguments.kind != "image":
            channel = Channel(
                name=arguments.channel, dtype=arguments.dtype, units_per_electron=arguments.units_per_electron
            )
        numbering = Numbering(
            arguments.first_id,
            0 if arguments.camera else arguments.passes * plan.points // points,
            None if arguments.camera else PAUSE_SHARE * arguments.silence_s,
        )
        conf = None if arguments.server is None else conf_of(arguments.server)
        tune_process()
        source = EpicsSource(
            arguments.pv,
            numbering,
            conf=conf,
            camera=arguments.camera,
            channel=channel,
            points_per_array=points,
            queue=arguments.queue,
        )
        if not arguments.camera:
            return Instrument(source=source)
        return Instrument(source=source, controller=AcquiringCamera(arguments.camera, conf, plan, points))


def conf_of(server: str) -> dict[str, str]:
    """What PVAccess has to know to ask one server over TCP, and search nowhere else."""
    return {"EPICS_PVA_NAME_SERVERS": server, "EPICS_PVA_ADDR_LIST": "", "EPICS_PVA_AUTO_ADDR_LIST": "NO"}


ADAPTER = EpicsAdapter()
