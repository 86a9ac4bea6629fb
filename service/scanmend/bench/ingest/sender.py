"""A detector's stream at a given rate, in a process of its own: Stream V1, which LiberTEM-live reads too.

    python -m scanmend.bench.ingest.sender SIDE

It prints its ports, and then obeys lines `IMAGES RATE` on its standard input: a series of so many images, so many a
second, 0 for as fast as they are taken. An image that cannot be sent when it is due would be lost in a detector: it is
counted as missed, and sent later all the same, so that the reader's series is whole.
"""

from __future__ import annotations

import json
import sys
import time

import numpy as np
import zmq

from scanmend.plan import ScanPlan
from scanmend_sim.dectris.cbor import pack
from scanmend_sim.dectris.diffraction import Diffraction
from scanmend_sim.dectris.simplon import SimplonServer

KINDS = 64
"""Different images; they come round and round."""

ELECTRONS = 1000.0
HIGH_WATER = 10_000
"""Images that wait in the sender, some 30 MB. A detector has more; a reader that lives off it is too far behind."""

PACE_S = 0.0005


def images(side: int) -> np.ndarray:
    """The different images, uint16 `(KINDS, side, side)`: a disc and a ring, 1000 electrons each."""
    signal = np.random.default_rng(3).uniform(0.1, 0.9, (8, 8))
    model = Diffraction(signal, (side, side), ELECTRONS, disc_px=side / 8, ring_px=(side / 6, side / 2.2), bend_px=1.0)
    return model.images(ScanPlan.raster((8, 8), 1000), points=KINDS)


class StreamSender:
    """The stream, and the interface over HTTP that a reader asks for the image's size."""

    def __init__(self, side: int) -> None:
        stack = images(side)
        about = {"htype": "dimage_d-1.0", "shape": [side, side], "type": "uint16", "encoding": "bs16-lz4<"}
        self._blobs = [pack(image, "bslz4") for image in stack]
        self._abouts = [json.dumps(about | {"size": len(blob)}).encode() for blob in self._blobs]
        self._about = {"bit_depth_image": 16, "x_pixels_in_detector": side, "y_pixels_in_detector": side}
        self._series = 0
        self.simplon = SimplonServer()
        self.simplon.config |= {"header_detail": "basic", **self._about}
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.PUSH)
        self._socket.setsockopt(zmq.SNDHWM, HIGH_WATER)
        self.port = self._socket.bind_to_random_port("tcp://127.0.0.1")

    def series(self, count: int, rate: float) -> dict[str, float]:
        """Send a series; gives how many were missed, and how long it took."""
        self._series += 1
        head = {"htype": "dheader-1.0", "series": self._series, "header_detail": "basic"}
        config = {"nimages": count, "ntrigger": 1, "trigger_mode": "ints", **self._about}
        for part in (head, config):
            self._socket.send(json.dumps(part).encode(), zmq.SNDMORE if part is head else 0)
        missed, begun = 0, time.perf_counter()
        for index in range(count):
            if rate:
                while (ahead_s := index / rate - (time.perf_counter() - begun)) > 0:
                    time.sleep(max(PACE_S, ahead_s))
            parts = self._parts(index)
            try:
                self._socket.send_multipart(parts, zmq.NOBLOCK)
            except zmq.Again:
                missed += 1
                self._socket.send_multipart(parts)
        self._socket.send(json.dumps({"htype": "dseries_end-1.0", "series": self._series}).encode())
        return {"missed": missed, "elapsed_s": time.perf_counter() - begun}

    def _parts(self, index: int) -> list[bytes]:
        kind = index % KINDS
        return [
            b'{"htype":"dimage-1.0","series":%d,"frame":%d,"hash":"0"}' % (self._series, index),
            self._abouts[kind],
            self._blobs[kind],
            b'{"htype":"dconfig-1.0","start_time":%d,"stop_time":%d,"real_time":1000}' % (index, index + 1),
        ]

    def close(self) -> None:
        """Go away."""
        self.simplon.close()
        self._context.destroy(linger=0)


def main(words: list[str]) -> int:
    """Send series until the standard input ends."""
    sender = StreamSender(int(words[0]))
    try:
        print(json.dumps({"data_port": sender.port, "api": sender.simplon.url}), flush=True)
        for line in sys.stdin:
            count, rate = line.split()
            print(json.dumps(sender.series(int(count), float(rate))), flush=True)
    finally:
        sender.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
