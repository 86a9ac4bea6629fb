"""The floor: the least that any such service does, in one process: PULL, `session.run`, PUSH.

No acknowledgement, no checksum, no recording, no second process, no page. What it reaches is what this machine can
do with ZeroMQ and ONNX Runtime from Python; the service is measured against it.
"""

from __future__ import annotations

import statistics
import sys
import time
from typing import Any

import numpy as np
import onnxruntime as ort
import zmq

STOP = b"stop"


def make_session(model_path: str, threads: int) -> Any:
    """An ONNX Runtime session with the options that the engine uses: no spinning."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return ort.InferenceSession(model_path, options, providers=["CPUExecutionProvider"])


def feeds_for(values: np.ndarray[Any, Any], weight: np.ndarray[Any, Any]) -> dict[str, np.ndarray[Any, Any]]:
    """The inputs of every model of the catalogue for one full frame of counts."""
    one = np.ones((1, 1, 1, 1), dtype=np.float32)
    return {"values": values[None, None], "weight": weight, "units_per_electron": one, "read_variance": 0 * one}


def main(arguments: list[str]) -> int:
    """Serve frames until told to stop; the arguments are model file, rows, columns, threads, port in, port out."""
    model_path, ny, nx, threads, port_in, port_out = arguments[0], *(int(word) for word in arguments[1:])
    session = make_session(model_path, threads)
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    frames, results = context.socket(zmq.PULL), context.socket(zmq.PUSH)
    for socket in (frames, results):
        socket.set_hwm(32)
    frames.connect(f"tcp://127.0.0.1:{port_in}")
    results.connect(f"tcp://127.0.0.1:{port_out}")
    weight = np.ones((1, 1, ny, nx), dtype=np.float32)
    run_s: list[float] = []
    while True:
        message = frames.recv(copy=False)
        if len(message) == len(STOP):
            break
        values = np.frombuffer(message.buffer, dtype="<u2").reshape(ny, nx).astype(np.float32)
        begun = time.perf_counter()
        estimate = session.run(["estimate"], feeds_for(values, weight))[0]
        run_s.append(time.perf_counter() - begun)
        results.send(estimate, copy=False)
    results.send(repr(statistics.median(run_s) if run_s else 0.0).encode())
    context.destroy(linger=1000)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
