"""A DECTRIS detector's stream as a source of images, in Stream V2 or V1, whichever comes."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import zmq

from scanmend.errors import InvalidInput, MalformedMessage
from scanmend.field import Channel
from scanmend.sources.dectris import stream1, stream2
from scanmend.sources.dectris.extra import check_installed
from scanmend.sources.dectris.packing import MAX_BYTES, Packed, unpack
from scanmend.sources.dectris.stream2 import Image, Message, Start
from scanmend.sources.kit import Event, Images, Lost, Remark, SeriesBegan, SeriesEnded
from scanmend.sources.problems import Code, Problem

BATCH_IMAGES = 256
BATCH_BYTES = 32 << 20
"""Images are handed on together, up to so many and so large: one product of matrices for all."""

QUEUE = 2048
"""Messages that may wait in the socket. The detector keeps more, and drops whole series when it can keep none."""


class DectrisSource:
    """Pulls a detector's stream.

    Args:
        stream: ZeroMQ address of the detector's stream, for example `tcp://192.168.1.20:31001`.
        threshold: Which of its channels to read; the first of each image where it is empty.

    Raises:
        MissingExtra: cbor2, lz4 or bitshuffle is not installed.
    """

    channels: tuple[Channel, ...] = ()

    def __init__(self, stream: str, threshold: str = "") -> None:
        check_installed()
        self.stream = stream
        self._threshold = threshold
        self._context: zmq.Context[zmq.Socket[bytes]] | None = None
        self._socket: zmq.Socket[bytes] | None = None
        self._events: deque[Event] = deque()
        self._batch: list[npt.NDArray[np.generic]] = []
        self._series, self._first = "", 0
        self._acquired_ns: int | None = None

    def open(self) -> None:
        """Connect; libzmq goes on trying by itself while the detector is not there.

        Raises:
            InvalidInput: The address is none.
        """
        self.close()
        self._context = zmq.Context()
        socket = self._socket = self._context.socket(zmq.PULL)
        socket.setsockopt(zmq.RCVHWM, QUEUE)
        socket.setsockopt(zmq.MAXMSGSIZE, 2 * MAX_BYTES)
        socket.setsockopt(zmq.TCP_KEEPALIVE, 1)  # a cable that was pulled out is noticed, and connected again
        socket.setsockopt(zmq.TCP_KEEPALIVE_IDLE, 5)
        socket.setsockopt(zmq.TCP_KEEPALIVE_INTVL, 2)
        socket.setsockopt(zmq.RECONNECT_IVL, 50)
        socket.setsockopt(zmq.RECONNECT_IVL_MAX, 1000)
        try:
            socket.connect(self.stream)
        except zmq.ZMQError as error:
            raise InvalidInput(
                f"{self.stream} is no address of a stream: {error}.", mend="Write tcp://HOST:PORT."
            ) from error

    def close(self) -> None:
        """Disconnect, and forget what was not handed on."""
        self._events.clear()
        self._batch.clear()
        if self._context is not None:
            self._context.destroy(linger=0)
        self._context = self._socket = None

    def read(self, timeout_s: float) -> Event | None:
        """The next event; everything that waits in the socket is looked at first, so that images come together."""
        socket = self._socket
        if self._events or socket is None:
            return self._events.popleft() if self._events else None
        wait_ms = max(0, round(timeout_s * 1000))
        while not self._events and socket.poll(wait_ms):
            wait_ms = 0
            self._take(socket.recv_multipart())
        self._hand_on()
        return self._events.popleft() if self._events else None

    def _take(self, parts: Sequence[bytes]) -> None:
        try:
            message: Message = stream1.decode(parts) if parts[0][:1] == b"{" else stream2.decode(parts[0])
        except MalformedMessage as error:
            self._remark(Code.MALFORMED, error.message, "Is this the detector's stream, in format cbor or legacy?")
            return
        if isinstance(message, Image):
            self._take_image(message)
        elif isinstance(message, Start):
            if message.remark:
                self._remark(Code.MALFORMED, message.remark, "Dead pixels count as others, unless the detector is set.")
            self._say(SeriesBegan(series=message.series, points=message.images or None, dead=message.dead))
        else:
            self._say(SeriesEnded(series=message.series))

    def _take_image(self, message: Image) -> None:
        index = message.index
        try:
            image = unpack(self._chosen(message))
            if image.ndim != 2:
                raise MalformedMessage(f"An image has the shape {image.shape}.")
        except MalformedMessage as error:
            text = f"Image {index} of series {message.series} cannot be used. {error.message}"
            problem = Problem(Code.UNDECODABLE, text, error.mend)
            self._say(Lost(series=message.series, first=index, points=1, problem=problem))
            return
        acquired_s, began_s = message.acquired_s, message.series_unix_s
        acquired_ns = None if acquired_s is None or began_s is None else int((began_s + acquired_s) * 1e9)
        held = self._batch
        if held and not (
            message.series == self._series
            and (acquired_ns or 0) >= (self._acquired_ns or 0)
            and index == self._first + len(held)
            and image.shape == held[0].shape
            and image.dtype == held[0].dtype
            and len(held) < BATCH_IMAGES
            and len(held) * image.nbytes < BATCH_BYTES
        ):
            self._hand_on()
        if not held:
            self._series, self._first = message.series, index
        held.append(image)
        self._acquired_ns = acquired_ns

    def _chosen(self, message: Image) -> Packed:
        channels = message.channels
        if not self._threshold:
            return next(iter(channels.values()))
        if self._threshold not in channels:
            raise MalformedMessage(
                f"It has no channel {self._threshold!r}.", mend=f"Choose one of {', '.join(channels)}, by --threshold."
            )
        return channels[self._threshold]

    def _hand_on(self) -> None:
        """Make an event of the images that wait."""
        if self._batch:
            stack = self._batch[0][None] if len(self._batch) == 1 else np.stack(self._batch)
            event = Images(series=self._series, first=self._first, stack=stack, acquired_unix_ns=self._acquired_ns)
            self._batch.clear()
            self._events.append(event)

    def _say(self, event: Event) -> None:
        self._hand_on()
        self._events.append(event)

    def _remark(self, code: Code, text: str, mend: str) -> None:
        self._say(Remark(problem=Problem(code, text, mend)))
