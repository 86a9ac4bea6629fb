"""A microscope's class in another Python: `docs/bridges/far_end.py` serves it there, this is the near end.

The makers' own Python may be older than what Scanmend needs, and their libraries may have another licence: the class
for them then runs in a process of its own. One question and one answer at a time over TCP on loopback::

    u32 big-endian: length of the JSON that follows
    JSON question   {"token": text, "call": verb, "args": {…}}
    JSON answer     {"result": …} or {"error": text}, with "dtype", "shape" and "nbytes" where samples follow
    samples         C order, little-endian

A far end that loses its near end stops the scan and blanks the beam.
"""

from __future__ import annotations

import contextlib
import json
import socket
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np

from scanmend.client.bridge.instrument import Taken
from scanmend.errors import InstrumentError, InvalidInput, NotConnected
from scanmend.field import SAMPLE_DTYPES

MAX_JSON_BYTES = 1 << 16
MAX_SAMPLE_BYTES = 1 << 31

CALL_S = 60.0
"""Longest wait for an answer beyond the time that was asked for."""

_MEND = "Look at the window in which the far end runs: is it there, and does it wait?"


class FarMicroscope:
    """The near end; connects at once.

    Args:
        host: Where the far end listens; loopback, or the near mouth of an SSH tunnel.
        port: Its port.
        token: The word that the far end printed.
        timeout_s: Longest wait for an answer; more than the longest block that nothing can end.

    Raises:
        NotConnected: Nobody listens there.
    """

    def __init__(self, host: str, port: int, token: str, *, timeout_s: float = CALL_S) -> None:
        self._token, self._place = token, f"{host}:{port}"
        try:
            self._socket = socket.create_connection((host, port), timeout=2.0)
        except OSError as error:
            raise NotConnected(f"No far end answers at {self._place}: {error}.", mend=_MEND) from error
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.settimeout(timeout_s)

    def describe(self) -> Mapping[str, Any]:
        """As `Microscope.describe`."""
        said, _ = self._ask("describe")
        if not isinstance(said, dict):
            raise NotConnected(f"What answers at {self._place} is no far end of a bridge.", mend=_MEND)
        longest_s = said.get("longest_block_s")
        if isinstance(longest_s, int | float):
            self._socket.settimeout(longest_s + CALL_S)
        return said

    def begin(self, top: int, left: int, height: int, width: int, dwell_ns: int) -> None:
        """As `Microscope.begin`."""
        self._ask("begin", top=top, left=left, height=height, width=width, dwell_ns=dwell_ns)

    def read(self, timeout_s: float) -> Taken | None:
        """As `Microscope.read`."""
        said, samples = self._ask("read", timeout_s=timeout_s)
        if said is None:
            return None
        if not (isinstance(said, list) and len(said) == 2 and all(isinstance(number, int) for number in said)):
            raise NotConnected(f"The far end at {self._place} gave no numbers of points: {said!r}.", mend=_MEND)
        return said[0], said[1], samples

    def stop(self) -> None:
        """As `Microscope.stop`; a far end that is gone has done it by itself."""
        with contextlib.suppress(NotConnected):
            self._ask("stop")

    def close(self) -> None:
        """Leave the far end, which stops the microscope and waits for the next one."""
        self._socket.close()

    def _ask(self, call: str, **args: object) -> tuple[Any, np.ndarray[Any, np.dtype[np.generic]] | None]:
        question = json.dumps({"token": self._token, "call": call, "args": args}).encode()
        try:
            self._socket.sendall(struct.pack(">I", len(question)) + question)
            (length,) = struct.unpack(">I", self._exactly(4))
            if length > MAX_JSON_BYTES:
                raise ConnectionError(f"an answer of {length} bytes")
            answer = json.loads(self._exactly(length))
            if not isinstance(answer, dict):
                raise ConnectionError("an answer that is no map")
            samples = self._samples(answer) if "dtype" in answer else None
        except (OSError, ValueError) as error:
            self._socket.close()
            raise NotConnected(f"The far end at {self._place} was lost: {error}.", mend=_MEND) from error
        if "error" in answer:
            raise InstrumentError(f"The microscope's software says: {answer['error']}", mend=_MEND)
        return answer.get("result"), samples

    def _samples(self, answer: dict[str, Any]) -> np.ndarray[Any, np.dtype[np.generic]]:
        dtype, shape, nbytes = answer["dtype"], answer.get("shape"), answer.get("nbytes")
        if dtype not in SAMPLE_DTYPES or not isinstance(shape, list) or len(shape) != 2:
            raise ConnectionError(f"samples of type {dtype!r} and shape {shape!r}")
        kind = np.dtype(dtype).newbyteorder("<")
        if not all(isinstance(side, int) and side > 0 for side in shape):
            raise ConnectionError(f"samples of shape {shape}")
        if nbytes != shape[0] * shape[1] * kind.itemsize or nbytes > MAX_SAMPLE_BYTES:
            raise ConnectionError(f"{nbytes} bytes for samples of shape {shape}")
        return np.frombuffer(self._exactly(nbytes), kind).reshape(shape)

    def _exactly(self, count: int) -> bytearray:
        data = bytearray(count)
        view, got = memoryview(data), 0
        while got < count:
            more = self._socket.recv_into(view[got:])
            if not more:
                raise ConnectionError("it closed the connection")
            got += more
        return data


def far_microscope(place: str, token: str) -> FarMicroscope:
    """Connect to `host:port`.

    Raises:
        InvalidInput: That is no place.
        NotConnected: Nobody listens there.
    """
    host, _, port = place.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise InvalidInput(f"{place!r} is not a place.", mend="Give host and port, like 127.0.0.1:7511.")
    return FarMicroscope(host, int(port), token)
