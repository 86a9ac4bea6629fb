"""How long plans take to expand, and what sending a frame costs the client's thread.

`python tests/benchmarks/plans_and_client.py`: best of five for each plan of a 4096² field, with x, y and dwell (a
raster is to stay under 0.5 s on a quiet machine); then microseconds of the sending thread for each 512² uint16 frame,
to a receiver in another process that only acknowledges.
"""

from __future__ import annotations

import json
import multiprocessing
import time
from multiprocessing.connection import Connection

import numpy as np
import zmq

from scanmend import Client, Field, ScanPlan
from scanmend.plan import Order
from scanmend.wire.messages import Ack, End, Hello, Welcome, decode_client, encode

SHAPE = (4096, 4096)
FRAMES = 3000


def plans() -> dict[str, ScanPlan]:
    """Plans that have not been expanded yet."""
    mask = np.zeros(SHAPE, bool)
    mask[::4, ::4] = True
    made = {
        "raster": ScanPlan.raster(SHAPE, 100),
        "serpentine": ScanPlan.serpentine(SHAPE, 100),
        "random 5 %": ScanPlan.random(SHAPE, 100, coverage=0.05),
        "jittered grid 5 %": ScanPlan.jittered_grid(SHAPE, 100, pitch_px=4.47),
        "jittered grid 5 %, shuffled": ScanPlan.jittered_grid(SHAPE, 100, pitch_px=4.47, order=Order.RANDOM),
        "spiral, pitch 4": ScanPlan.spiral(SHAPE, 100, pitch_px=4),
        "mask 1/16": ScanPlan.mask(mask, 100),
    }
    return {name: ScanPlan(shape=plan.shape, pattern=plan.pattern, dwell_ns=100) for name, plan in made.items()}


def expansion_ms() -> dict[str, float]:
    """Best of five, in milliseconds."""
    best: dict[str, float] = {}
    for _ in range(5):
        for name, plan in plans().items():
            began = time.perf_counter()
            _ = plan.x, plan.y, plan.dwells_ns
            elapsed = 1000 * (time.perf_counter() - began)
            best[name] = min(best.get(name, elapsed), elapsed)
    return {name: round(value, 1) for name, value in best.items()}


def acknowledge(pipe: Connection) -> None:
    """A service that throws every frame away, and acknowledges every eighth."""
    with zmq.Context() as context, context.socket(zmq.ROUTER) as router:
        router.setsockopt(zmq.RCVHWM, 32)
        pipe.send(router.bind_to_random_port("tcp://127.0.0.1"))
        session_id = frames = 0
        while True:
            peer, *parts = router.recv_multipart(copy=False)
            if len(parts) == 2:
                frames += 1
                if frames % 8 == 0:
                    ack = Ack(
                        session_id=session_id, received_upto=frames, durable_upto=frames, credit_until=frames + 16
                    )
                    router.send_multipart([peer.bytes, encode(ack)])
                continue
            message = decode_client(parts[0].bytes)
            if isinstance(message, End):
                return
            if isinstance(message, Hello):
                session_id = message.session_id
                welcome = Welcome(session_id=session_id, boot_id=1, resume_from=0, plans_known=[], credit_until=16,
                                  credit_bytes=1 << 28, max_frame_bytes=1 << 26, max_plan_bytes=1 << 26, model="",
                                  model_sha256="", provider="", policies=[], recording=False)  # fmt: skip
                router.send_multipart([peer.bytes, encode(welcome)])


def sending_us() -> dict[str, float]:
    """Microseconds of the sending thread for each frame, and frames per second."""
    here, there = multiprocessing.Pipe()
    receiver = multiprocessing.Process(target=acknowledge, args=(there,), daemon=True)
    receiver.start()
    image = np.random.default_rng(0).integers(0, 9, (512, 512), np.uint16)
    found: dict[str, float] = {}
    with Client(f"tcp://127.0.0.1:{here.recv()}") as client:
        session = client.session("bench", Field(shape=image.shape, pixel_size_nm=1.0), returns="none")
        for copy in (True, False):
            thread, wall = time.thread_time(), time.perf_counter()
            for _ in range(FRAMES):
                session.send(image, copy=copy)
            word = "copied" if copy else "not copied"
            found[f"{word}: µs a frame"] = round(1e6 * (time.thread_time() - thread) / FRAMES, 1)
            found[f"{word}: frames/s"] = round(FRAMES / (time.perf_counter() - wall))
        session.close()
    receiver.terminate()
    receiver.join()
    return found


if __name__ == "__main__":
    print(json.dumps({"expansion_ms": expansion_ms(), "sending": sending_us()}, indent=1, ensure_ascii=False))
