"""The detector's end of its stream: a PUSH socket that binds, on loopback."""

from __future__ import annotations

import secrets
from typing import Protocol

import numpy as np
import numpy.typing as npt
import zmq

from scanmend.errors import NotConnected
from scanmend_sim.dectris.messages import SeriesInfo, StreamV2


class Dialect(Protocol):
    """How messages are written: `StreamV2` or `StreamV1`."""

    def start(self, info: SeriesInfo) -> list[bytes]:
        """A series begins."""

    def image(
        self,
        info: SeriesInfo,
        index: int,
        values: npt.NDArray[np.generic],
        compression: str = "bslz4",
        stop_s: float | None = None,
    ) -> list[bytes]:
        """One image."""

    def end(self, info: SeriesInfo) -> list[bytes]:
        """A series has ended."""


class Sender:
    """Sends series one after another.

    Args:
        dialect: How messages are written.
        port: 0 for a free one.
        patience_s: PUSH waits for a reader; so long, and who forgot it hears of it.
    """

    def __init__(self, dialect: Dialect | None = None, port: int = 0, *, patience_s: float = 10.0) -> None:
        self.dialect: Dialect = dialect or StreamV2()
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.PUSH)
        self._socket.setsockopt(zmq.SNDTIMEO, round(1000 * patience_s))
        self._socket.setsockopt(zmq.SNDHWM, 4096)
        if port:
            self._socket.bind(f"tcp://127.0.0.1:{port}")
            self.port = port
        else:
            self.port = self._socket.bind_to_random_port("tcp://127.0.0.1")
        self.address = f"tcp://127.0.0.1:{self.port}"
        self._series = 0

    def new_series(self, images: int, shape: tuple[int, int], **more: object) -> SeriesInfo:
        """Number a series; nothing is sent yet."""
        self._series += 1
        unique = secrets.token_hex(8)
        return SeriesInfo(series_id=self._series, unique_id=unique, images=images, shape=shape, **more)  # type: ignore[arg-type]

    def send(self, parts: list[bytes]) -> None:
        """Send a message of the dialect, or any other.

        Raises:
            NotConnected: Nobody reads.
        """
        try:
            self._socket.send_multipart(parts)
        except zmq.Again as error:
            raise NotConnected("Nobody reads the simulated detector's stream.", mend=f"Read {self.address}.") from error

    def start(self, info: SeriesInfo) -> None:
        """Say that a series begins. Raises as `send` does."""
        self.send(self.dialect.start(info))

    def images(self, info: SeriesInfo, first: int, stack: npt.NDArray[np.generic], compression: str = "bslz4") -> None:
        """Send images `(n, height, width)`, numbered from `first`. Raises as `send` does."""
        for index, values in enumerate(stack, first):
            self.send(self.dialect.image(info, index, values, compression))

    def end(self, info: SeriesInfo) -> None:
        """Say that a series has ended. Raises as `send` does."""
        self.send(self.dialect.end(info))

    def close(self) -> None:
        """Go away, and give the port back; what no reader took is lost."""
        self._context.destroy(linger=0)
