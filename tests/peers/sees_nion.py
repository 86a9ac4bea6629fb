"""Runs the Nion bridge beside the simulated microscope, in its own environment: sees_nion.py OUT.npz ADDRESS …

Only what the client needs is installed here, and none of the service's other packages.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "service"), str(ROOT / "docs" / "bridges")]

import nion_swift  # noqa: E402

from scanmend.client import Client  # noqa: E402
from scanmend.client.bridge import Bridge, BridgeOptions  # noqa: E402


class Faulty:
    """The simulated device; lines from `first` to `last` are called bad, as real hardware may."""

    def __init__(self, device: Any, first: int, last: int) -> None:
        self._device, self._first, self._last = device, first, last

    def __getattr__(self, name: str) -> Any:
        return getattr(self._device, name)

    def read_partial(self, frame: int, skip: int) -> Any:
        elements, complete, bad, area, frame, skip = self._device.read_partial(frame, skip)
        (row, _), (rows, _) = area
        if not complete:
            bad = bad or (row < self._last and row + rows > self._first)
        return elements, complete, bad, area, frame, skip


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("out")
    parser.add_argument("address")
    parser.add_argument("name")
    parser.add_argument("--pixels", type=int, default=96)
    parser.add_argument("--field-nm", type=float, default=100.0)
    parser.add_argument("--channels", type=int, nargs="+", default=[0])
    parser.add_argument("--dwell-ns", type=int, default=2000)
    parser.add_argument("--passes", type=int, default=1)
    parser.add_argument("--bad", type=int, nargs=2)
    parser.add_argument("--units-per-electron", type=float)
    parser.add_argument("--beam-current-pa", type=float)
    chosen = parser.parse_args()
    microscope = nion_swift.simulated(chosen)
    device, controller = microscope._device, microscope._controller
    if chosen.bad:
        microscope._device = Faulty(device, *chosen.bad)
    with Client(chosen.address) as client:
        options = BridgeOptions(mode="frames", dwell_ns=chosen.dwell_ns, passes=chosen.passes)
        bridge = Bridge(microscope, client, options)
        receipt = bridge.run(chosen.name)
    frames = [np.stack([element["data"] for element in frame]) for frame in device.get_buffer_data(0, 10)]
    np.savez(chosen.out, frames=np.array(frames))
    said = {
        "blanked": controller.GetVal("C_Blank"),
        "scanning": bool(device.is_scanning),
        "why": bridge.why,
        "reason": receipt.reason,
        "balanced": receipt.balanced,
        "dropped": receipt.dropped_by_client,
        "foreign": sorted({name.split(".")[0] for name in sys.modules} & {"fastapi", "pydantic", "onnxruntime"}),
    }
    print(json.dumps(said))


main()
