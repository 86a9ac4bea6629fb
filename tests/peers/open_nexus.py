"""Open an exported session with the programs that it is meant for, and say what they see.

::

    python -m venv peers && peers/bin/pip install hyperspy libertem hdf5plugin
    peers/bin/python tests/peers/open_nexus.py FILE.nxs [FILE.nxs …]

HyperSpy is under the GPL and LiberTEM under the MIT licence; neither is part of the project's own environment, and
nothing of either is imported by it. This file is run by hand; `docs/files.md` says what it gave.
"""

from __future__ import annotations

import sys
from importlib.metadata import version

import h5py
import hdf5plugin
import hyperspy.api as hs
import libertem.api as lt
import numpy as np
from libertem.udf.sum import SumUDF


def main(paths: list[str]) -> int:
    print(
        ", ".join(f"{name} {version(name)}" for name in ("hyperspy", "rosettasciio", "libertem", "h5py", "hdf5plugin"))
    )
    assert hdf5plugin.FILTERS
    wrong = 0
    for path in paths:
        signals = hs.load(path, nxdata_only=True)
        signals = signals if isinstance(signals, list) else [signals]
        with h5py.File(path) as file:
            entry = file["entry"]
            print(f"{path}: shows {entry.attrs['default']}")
            for signal in signals:
                nxdata = entry[signal.metadata.General.title]
                stored = nxdata[nxdata.attrs["signal"]][()]
                same = np.array_equal(signal.data, stored, equal_nan=True)
                axes = [f"{axis.name} {axis.size} × {axis.scale:g} {axis.units}" for axis in signal.axes_manager._axes]
                print(f"  HyperSpy {signal}, axes {', '.join(axes)}, values {'alike' if same else 'DIFFERENT'}")
                wrong += not same
            stacks = [name for name in entry if name.startswith("frames_")]
            sums = {name: entry[name]["data"][()].sum(axis=0, dtype=np.float64) for name in stacks}
        with lt.Context.make_with("inline") as context:
            for name, wanted in sums.items():
                data = context.load("hdf5", path=path, ds_path=f"/entry/{name}/data")
                found = context.run_udf(data, SumUDF())["intensity"].data
                same = np.allclose(found, wanted)
                print(f"  LiberTEM {data}, sum over passes {'alike' if same else 'DIFFERENT'}")
                wrong += not same
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
