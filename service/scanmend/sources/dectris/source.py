"""A DECTRIS detector's stream as a source of images, in Stream V2 or V1, whichever comes.

Images that follow each other are unpacked together, in threads of their own, while the next ones are received::

    socket ──messages──▶ run of images ──▶ threads unpack ──▶ events, in the order in which they came
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotDone

import zmq

from scanmend.errors import InvalidInput, MalformedMessage
from scanmend.field import Channel
from scanmend.sources.batch import Run
from scanmend.sources.codecs import MAX_BYTES
from scanmend.sources.dectris import stream1, stream2
from scanmend.sources.dectris.extra import check_installed
from scanmend.sources.dectris.packing import Packed, unpack, unpack_stack
from scanmend.sources.dectris.stream2 import Image, Message, Start
from scanmend.sources.kit import Event, Images, Lost, Remark, SeriesBegan, SeriesEnded
from scanmend.sources.problems import Code, Problem

AT_ONCE_BYTES = 1 << 18
"""What is smaller is unpacked at once: a thread would take longer to wake."""

THREADS = max(2, min(4, (os.cpu_count() or 2) - 1))

IN_FLIGHT = 16
"""Runs of images that may be on their way through the threads: many, so that no thread waits for another to wake."""

QUEUE = 1024
"""Images that may wait in the socket, each with its packed size in memory. The detector keeps more, and drops whole
series when it can keep none. libzmq counts messages and not bytes; and the number must not be changed once there is a
connection: one that is full at the old number then stands still for ever."""


class DectrisSource:
    """Pulls a detector's stream.

    Args:
        stream: ZeroMQ address of the detector's stream, for example `tcp://192.168.1.20:31001`.
        threshold: Which of its channels to read; the first of each image where it is empty.
        queue: Images that may wait in the socket.

    Raises:
        MissingExtra: cbor2, lz4 or bitshuffle is not installed.
    """

    channels: tuple[Channel, ...] = ()

    def __init__(self, stream: str, threshold: str = "", queue: int = QUEUE) -> None:
        check_installed()
        self.stream = stream
        self._most_waiting = queue
        self._threshold = threshold
        self._context: zmq.Context[zmq.Socket[bytes]] | None = None
        self._socket: zmq.Socket[bytes] | None = None
        self._queue: deque[Event | Future[list[Event]]] = deque()
        """What is to be handed on, in this order."""
        self._run: Run[Packed] | None = None
        self._threads: ThreadPoolExecutor | None = None

    def open(self) -> None:
        """Connect; libzmq goes on trying by itself while the detector is not there.

        Raises:
            InvalidInput: The address is none.
        """
        self.close()
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="unpack")
        self._context = zmq.Context()
        socket = self._socket = self._context.socket(zmq.PULL)
        socket.setsockopt(zmq.RCVHWM, self._most_waiting)
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
        self._queue.clear()
        self._run = None
        if self._threads is not None:
            self._threads.shutdown(cancel_futures=True)
        if self._context is not None:
            self._context.destroy(linger=0)
        self._threads = self._context = self._socket = None

    def read(self, timeout_s: float) -> Event | None:
        """The next event; everything that waits in the socket is looked at first, so that images come together."""
        queue = self._queue
        if self._socket is None or (queue and not isinstance(queue[0], Future)):
            return self._next(0.0)
        self._receive_all(self._socket)
        if not queue and self._run is None and self._socket.poll(max(0, round(timeout_s * 1000))):
            self._receive_all(self._socket)
        if not queue:
            self._hand_on()
        return self._next(timeout_s)

    def _receive_all(self, socket: zmq.Socket[bytes]) -> None:
        """Take what waits in the socket, until something is to be handed on, or much is being unpacked."""
        while len(self._queue) < IN_FLIGHT and not self._ready and all(self._receive(socket) for _ in range(8)):
            pass

    @property
    def _ready(self) -> bool:
        """Whether there is something to hand on now."""
        first = self._queue[0] if self._queue else None
        return first is not None and (not isinstance(first, Future) or first.done())

    def _receive(self, socket: zmq.Socket[bytes]) -> bool:
        """Take one message; False where none waits."""
        try:
            parts = socket.recv_multipart(zmq.NOBLOCK)
        except zmq.Again:
            return False
        self._take(parts)
        return True

    def _next(self, timeout_s: float) -> Event | None:
        """Take the first of the queue, and wait for it where it is being unpacked."""
        while self._queue:
            first = self._queue[0]
            if not isinstance(first, Future):
                self._queue.popleft()
                return first
            try:
                events = first.result(timeout_s)
            except NotDone:
                return None
            self._queue.popleft()
            self._queue.extendleft(reversed(events))
        return None

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
            packed = self._chosen(message)
            if len(packed.shape) != 2:
                raise MalformedMessage(f"An image has the shape {packed.shape}.")
        except MalformedMessage as error:
            self._say(_lost(message.series, index, error))
            return
        acquired_s, began_s = message.acquired_s, message.series_unix_s
        acquired_ns = None if acquired_s is None or began_s is None else int((began_s + acquired_s) * 1e9)
        if self._run is None or not self._run.take(message.series, index, packed, acquired_ns):
            self._hand_on()
            self._run = Run(message.series, index, [packed], acquired_ns)

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
        """Have the images unpacked that wait."""
        run, self._run = self._run, None
        if run is None:
            return
        if self._threads is None or len(run.images) * run.images[0].nbytes < AT_ONCE_BYTES:
            self._queue.extend(_unpacked(run))
        else:
            self._queue.append(self._threads.submit(_unpacked, run))

    def _say(self, event: Event) -> None:
        self._hand_on()
        self._queue.append(event)

    def _remark(self, code: Code, text: str, mend: str) -> None:
        self._say(Remark(problem=Problem(code, text, mend)))


def _unpacked(run: Run[Packed]) -> list[Event]:
    """The images of a run; where one of them cannot be unpacked, each by itself."""
    try:
        stack = unpack_stack(run.images)
        return [Images(series=run.series, first=run.first, stack=stack, acquired_unix_ns=run.acquired_ns)]
    except MalformedMessage:
        events: list[Event] = []
    for index, packed in enumerate(run.images, run.first):
        try:
            stack = unpack(packed)[None]
            events.append(Images(series=run.series, first=index, stack=stack, acquired_unix_ns=run.acquired_ns))
        except MalformedMessage as error:
            events.append(_lost(run.series, index, error))
    return events


def _lost(series: str, index: int, error: MalformedMessage) -> Lost:
    text = f"Image {index} of series {series} cannot be used. {error.message}"
    return Lost(series=series, first=index, points=1, problem=Problem(Code.UNDECODABLE, text, error.mend))
