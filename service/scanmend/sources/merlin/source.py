"""A Merlin's data socket as a source of images."""

from __future__ import annotations

import select
import socket
import time
from collections import deque

from scanmend.errors import InstrumentError, MalformedMessage, NotConnected
from scanmend.field import Channel
from scanmend.sources.batch import Batch
from scanmend.sources.kit import Event, Images, Lost, Remark, SeriesBegan, SeriesEnded
from scanmend.sources.merlin.control import Control
from scanmend.sources.merlin.mpx import (
    HEAD_BYTES,
    ImageHeader,
    body_bytes,
    read_acquisition,
    read_image_header,
    read_pixels,
)
from scanmend.sources.numbering import Numbering
from scanmend.sources.problems import Code, Problem

CONNECT_S = 2.0
RECEIVE_BYTES = 8 << 20
"""Taken from the socket at a time at most."""

QUIET_S = 0.5
"""An abort is not told on the data socket: after so long without an image, the control socket is asked."""


class MerlinSource:
    """Reads a Merlin's images.

    Args:
        host: Of the computer that runs Merlin's software.
        port: Of its data socket, mostly 6342.
        control: Its control socket, which tells that an acquisition was aborted; silence tells where it is None.
        counter: Which of the chip's counters to read, where both are on.
        quiet_s: As `QUIET_S`.
    """

    channels: tuple[Channel, ...] = ()

    def __init__(
        self, host: str, port: int, control: Control | None = None, counter: int = 0, *, quiet_s: float = QUIET_S
    ) -> None:
        self._place = (host, port)
        self._control = control
        self._counter = counter
        self._quiet_s = quiet_s
        self._numbering = Numbering()
        self._socket: socket.socket | None = None
        self._held = bytearray()
        self._in_garbage = False
        self._events: deque[Event] = deque()
        self._batch = Batch()
        self._running = 0
        self._expected: int | None = None
        self._count = 0
        self._heard_s = 0.0

    def open(self) -> None:
        """Connect.

        Raises:
            NotConnected: Nobody answers.
        """
        self.close()
        try:
            self._socket = socket.create_connection(self._place, timeout=CONNECT_S)
        except OSError as error:
            raise NotConnected(
                f"No Merlin answers at {self._place[0]}:{self._place[1]}: {error}.",
                mend="Is its software running, and is the data port right?",
            ) from error
        for level, option, value in (
            (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),  # a cable that was pulled out is noticed
            (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 5),
            (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 2),
            (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
        ):
            self._socket.setsockopt(level, option, value)

    def close(self) -> None:
        """Disconnect, and forget what was not handed on."""
        if self._socket is not None:
            self._socket.close()
        self._socket = None
        self._held.clear()
        self._events.clear()
        self._batch.take()
        self._numbering.forget()
        self._running = 0

    def read(self, timeout_s: float) -> Event | None:
        """The next event; what has come is looked at as a whole, so that images come together.

        Raises:
            NotConnected: Merlin has gone.
        """
        if not self._events and self._socket is not None:
            self._take_held()
            if not self._events and select.select([self._socket], [], [], timeout_s)[0]:
                self._receive(self._socket)
                self._take_held()
            elif not self._events:
                self._ask_for_end()
        return self._events.popleft() if self._events else None

    def _receive(self, connection: socket.socket) -> None:
        try:
            data = connection.recv(RECEIVE_BYTES)
        except OSError as error:
            raise NotConnected(f"Merlin was cut off: {error}.", mend="Look at the network.") from error
        if not data:
            raise NotConnected("Merlin has closed its data socket.", mend="Look at its software.")
        self._held += data

    def _take_held(self) -> None:
        """Every whole message that has come."""
        at, held = 0, self._held
        while len(held) - at >= HEAD_BYTES and not self._events:
            size = body_bytes(bytes(held[at : at + HEAD_BYTES]))
            if size is None:
                at = self._skip_garbage(at)
                continue
            end = at + HEAD_BYTES + size
            if end > len(held):
                break
            self._in_garbage = False
            with memoryview(held) as view, view[at + HEAD_BYTES : end] as body:
                self._take(body)
            at = end
        del held[:at]
        if not self._events:
            self._say(self._batch.take())

    def _skip_garbage(self, at: int) -> int:
        """Where the next message may begin; says once that there is something between two."""
        if not self._in_garbage:
            self._in_garbage = True
            self._remark(Code.MALFORMED, "Bytes between two messages are none of Merlin's.", "Is it the data port?")
        found = self._held.find(b"MPX,", at + 1)
        return found if found >= 0 else max(at + 1, len(self._held) - 3)

    def _take(self, body: memoryview) -> None:
        self._heard_s = time.monotonic()
        start = bytes(body[:3])
        if start == b"HDR":
            self._expected, self._count = read_acquisition(bytes(body)), 0
            self._running = self._numbering.arm()
            self._say(SeriesBegan(series=str(self._running), points=self._expected))
            return
        try:
            if start != b"MQ1":
                raise MalformedMessage(f"A message begins with {start!r}.")
            header = read_image_header(body)
        except MalformedMessage as error:
            self._remark(Code.MALFORMED, error.message, "Is this Merlin's data socket, and its software one of today?")
            return
        if header.counter != self._counter:
            text = f"Image {header.number} is of the chip's counter {header.counter}, and {self._counter} is read."
            self._remark(Code.SETTINGS, text, "It was left out: switch that counter off, or give --counter.")
            return
        self._take_image(header, body)

    def _take_image(self, header: ImageHeader, body: memoryview) -> None:
        place = self._numbering.place(header.number, header.taken_ns, time.monotonic())
        series = str(place.series)
        if place.series != self._running and place.series == self._numbering.series:
            self._running, self._expected, self._count = place.series, None, 0
            if place.begins:
                self._say(SeriesBegan(series=series))
        try:
            image = read_pixels(header, body)
        except MalformedMessage as error:
            problem = Problem(Code.UNDECODABLE, f"Image {header.number} cannot be used. {error.message}", error.mend)
            self._say(Lost(series=series, first=place.index, points=1, problem=problem))
        else:
            self._say(self._batch.add(series, place.index, image, header.taken_unix_ns))
        if place.series == self._running:
            self._count = max(self._count, place.index + 1)
            if self._count == self._expected:
                self._end()

    def _ask_for_end(self) -> None:
        """Ask whether a series that has gone quiet is over."""
        now_s = time.monotonic()
        if self._control is None or not self._running or now_s - self._heard_s < self._quiet_s:
            return
        self._heard_s = now_s
        try:
            if self._control.idle():
                self._end()
        except (NotConnected, InstrumentError) as error:
            self._remark(Code.CONTROL, error.message, error.mend)

    def _end(self) -> None:
        self._say(SeriesEnded(series=str(self._running)))
        self._running = 0

    def _say(self, event: Event | None) -> None:
        if event is not None and not isinstance(event, Images):
            self._say(self._batch.take())
        if event is not None:
            self._events.append(event)

    def _remark(self, code: Code, text: str, mend: str) -> None:
        self._say(Remark(problem=Problem(code, text, mend)))
