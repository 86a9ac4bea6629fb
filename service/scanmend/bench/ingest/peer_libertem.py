"""LiberTEM-live's virtual detector on a DECTRIS stream.

It runs with the Python of its own environment, and imports nothing of ours.

    python peer_libertem.py API_PORT DATA_PORT SIDE DISK_PX RING_INNER_PX RING_OUTER_PX

It prints `ready`, and then a line of JSON for each series: how many images, and the sum of each mask's samples.
"""

import json
import sys

import numpy as np
from libertem.udf.masks import ApplyMasksUDF
from libertem_live.api import LiveContext

ROW = 256
"""Images of a line of the scan; series are whole lines."""


def main(words: list[str]) -> None:
    """Read series until the detector is gone for good."""
    api_port, data_port, side = (int(word) for word in words[:3])
    disk_px, inner_px, outer_px = (float(word) for word in words[3:])
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    radius = np.hypot(x, y)
    masks = np.stack([radius < disk_px, (radius >= inner_px) & (radius < outer_px)]).astype(np.float32)
    udf = ApplyMasksUDF(mask_factories=lambda: masks, mask_count=len(masks), mask_dtype=np.float32, use_sparse=False)
    with LiveContext() as context:
        place = {"api_host": "127.0.0.1", "api_port": api_port, "data_host": "127.0.0.1", "data_port": data_port}
        with context.make_connection("dectris").open(**place) as connection:
            print("ready", flush=True)
            while True:
                pending = connection.wait_for_acquisition(1.0)
                if pending is None:
                    continue
                acquisition = context.make_acquisition(
                    conn=connection, pending_aq=pending, nav_shape=(pending.nimages // ROW, ROW)
                )
                found = context.run_udf(dataset=acquisition, udf=udf)["intensity"].data
                sums = found.reshape(-1, len(masks)).sum(axis=0, dtype=np.float64).tolist()
                print(json.dumps({"images": int(found.shape[0] * found.shape[1]), "sums": sums}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
