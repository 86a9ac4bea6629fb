"""What ome-zarr sees in the images of a Zarr; runs in its own environment: sees_omezarr.py OUT.npz FOLDER IMAGE …"""

from __future__ import annotations

import json
import logging
import sys

import numpy as np
import zarr
from ome_zarr.io import parse_url
from ome_zarr.reader import Reader
from ome_zarr_models import open_ome_zarr


def main(out: str, path: str, *images: str) -> None:
    logging.disable(logging.CRITICAL)
    seen, arrays = {}, {}
    for image in images:
        (node,) = Reader(parse_url(f"{path}/{image}"))()
        arrays[image] = np.asarray(node.data[0])
        seen[image] = {
            "axes": node.metadata["axes"],
            "scales": node.metadata["coordinateTransformations"],
            "channels": node.metadata.get("channel_names"),
            "kind": type(open_ome_zarr(zarr.open_group(f"{path}/{image}", mode="r"))).__name__,
        }
    kind = type(open_ome_zarr(zarr.open_group(path, mode="r"))).__name__
    np.savez(out, **arrays)
    print(json.dumps({"images": seen, "kind": kind}))


main(*sys.argv[1:])
