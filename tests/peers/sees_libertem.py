"""What LiberTEM sees in a stack of an HDF5 file; runs in its own environment: sees_libertem.py OUT.npz FILE PATH …"""

from __future__ import annotations

import json
import sys

import libertem.api as lt
import numpy as np
from libertem.udf.sum import SumUDF


def main(out: str, path: str, *places: str) -> None:
    sums, shapes = {}, {}
    with lt.Context.make_with("inline") as context:
        for place in places:
            data = context.load("hdf5", path=path, ds_path=place)
            shapes[place] = [list(data.shape.nav), list(data.shape.sig)]
            sums[place.replace("/", "|")] = context.run_udf(data, SumUDF())["intensity"].data
    np.savez(out, **sums)
    print(json.dumps({"shapes": shapes}))


main(*sys.argv[1:])
