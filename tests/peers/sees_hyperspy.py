"""What HyperSpy sees in a file; runs in HyperSpy's own environment: sees_hyperspy.py OUT.npz FILE."""

from __future__ import annotations

import json
import sys

import hdf5plugin
import hyperspy.api as hs
import numpy as np


def main(out: str, path: str) -> None:
    assert hdf5plugin.FILTERS
    # HyperSpy looks at a TIFF's resolution only when it is told to.
    options = {"nxdata_only": True} if path.endswith(".nxs") else {"force_read_resolution": True}
    found = hs.load(path, **options)
    signals = found if isinstance(found, list) else [found]
    seen = []
    for number, signal in enumerate(signals):
        axes = [
            {"name": str(axis.name), "size": axis.size, "scale": axis.scale, "units": str(axis.units)}
            for axis in signal.axes_manager._axes
        ]
        navigation = signal.axes_manager.navigation_dimension
        title = signal.metadata.General.title
        seen.append({"array": f"array{number}", "title": title, "axes": axes, "navigation": navigation})
    np.savez(out, **{f"array{number}": signal.data for number, signal in enumerate(signals)})
    print(json.dumps({"signals": seen}))


main(*sys.argv[1:])
