"""An areaDetector's arrays as a source: images for virtual detectors, or frames and lines of a scanned detector."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from scanmend.errors import InstrumentError, MalformedMessage, NotConnected
from scanmend.field import Channel
from scanmend.sources.batch import Batch
from scanmend.sources.epics import extra
from scanmend.sources.epics.camera import WATCHED, Camera
from scanmend.sources.epics.ndarray import Header, read_array, read_header
from scanmend.sources.kit import Event, Images, Lost, Remark, Samples, SeriesBegan, SeriesEnded
from scanmend.sources.numbering import Numbering
from scanmend.sources.problems import Code, Problem

CONNECT_S = 2.0
"""Longest wait for a PV before it counts as not there."""

QUEUE = 512
"""Arrays that may wait here; the newest replaces the last of a full queue, without a word."""

SETTLE_S = 0.5
"""`Acquire` may go to 0 before the last arrays are here: so long without one, and there are no more."""


class EpicsSource:
    """Watches the PV of an NTNDArray.

    Args:
        pv: Its name.
        numbering: Which array belongs to which series.
        conf: Where the servers are (`EPICS_PVA_ADDR_LIST` and others); from the environment where it is None.
        camera: Prefix of the camera's PVs, which tell where a series begins and ends; empty where they are not there.
        channel: What the values of scanned frames are; None for images.
        points_per_array: Points of a scanned frame or line; 1 for images.
        queue: Arrays that may wait here.
        settle_s: As `SETTLE_S`.
        connect_s: As `CONNECT_S`.

    Raises:
        MissingExtra: p4p, lz4, bitshuffle or numcodecs is not installed.
    """

    def __init__(
        self,
        pv: str,
        numbering: Numbering,
        *,
        conf: Mapping[str, str] | None = None,
        camera: str = "",
        channel: Channel | None = None,
        points_per_array: int = 1,
        queue: int = QUEUE,
        settle_s: float = SETTLE_S,
        connect_s: float = CONNECT_S,
    ) -> None:
        extra.check_installed()
        self.channels: tuple[Channel, ...] = () if channel is None else (channel,)
        self.connected = False
        """Whether the PVs are watched: what is given out while they are not is never seen."""
        self._pv = pv
        self._numbering = numbering
        self._conf = conf
        self._camera = Camera(camera) if camera else None
        self._points = points_per_array
        self._queue = queue
        self._settle_s = settle_s
        self._connect_s = connect_s
        self._context: Any = None
        self._arrays: Any = None
        self._watched: dict[str, Any] = {}
        self._woken = threading.Event()
        self._events: deque[Event] = deque()
        self._batch = Batch()
        self._gone: NotConnected | None = None
        self._running = 0
        self._count = 0
        self._expected: int | None = None
        self._ending_s: float | None = None
        self._told = True
        """Whether the camera told that the present series began; else its word may still come."""

    # Connecting -------------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Watch the PVs, and wait until each is there.

        Raises:
            NotConnected: One is not.
        """
        self.close()
        conf = None if self._conf is None else dict(self._conf)
        self._context = extra.Context("pva", conf=conf, useenv=self._conf is None, nt=False)
        if self._camera is not None:
            self._watched = {name: self._watch(self._camera.prefix + name, 16) for name in WATCHED}
        self._arrays = self._watch(self._pv, self._queue)
        end_s = time.monotonic() + self._connect_s
        if self._camera is not None:
            for name, watched in self._watched.items():
                self._camera.take(name, self._first(self._camera.prefix + name, watched, end_s))
        # PVAccess gives the present value first: an array of the last acquisition, or of one that runs already.
        header = self._header(self._first(self._pv, self._arrays, end_s))
        if header is not None and not header.empty:
            self._numbering.saw(header.unique_id, header.taken_unix_ns)
        self.connected = True

    def close(self) -> None:
        """Watch no longer, and forget what was not handed on."""
        self.connected = False
        for watched in (*self._watched.values(), *([self._arrays] if self._arrays else [])):
            watched.close()
        if self._context is not None:
            self._context.close()
        self._context = self._arrays = self._gone = self._ending_s = None
        self._watched = {}
        self._running, self._told = 0, True
        self._events.clear()
        self._batch.take()
        self._numbering.forget()
        if self._camera is not None:
            self._camera.forget()

    def _watch(self, pv: str, queue: int) -> Any:
        return self._context.monitor(pv, lambda *_: self._woken.set(), request=f"field()record[queueSize={queue}]")

    def _first(self, pv: str, watched: Any, end_s: float) -> Any:
        """The first value of a PV."""
        while (value := watched.pop()) is None:
            if not self._woken.wait(max(0.0, end_s - time.monotonic())):
                raise NotConnected(
                    f"No server has the PV {pv}.",
                    mend="Is the IOC running, is the name right, and does EPICS_PVA_ADDR_LIST or --server lead to it?",
                )
            self._woken.clear()
        if isinstance(value, Exception):
            raise _cut_off(pv, value)
        return value

    # Reading ----------------------------------------------------------------------------------------------------

    def read(self, timeout_s: float) -> Event | None:
        """The next event; all arrays that wait are looked at first, so that images come together.

        Raises:
            NotConnected: The server has gone.
        """
        if not self._events and self._gone is None:
            self._take_all()
            if not self._events and self._gone is None and self._woken.wait(timeout_s):
                self._woken.clear()
                self._take_all()
            self._end_when_settled()
        if self._events:
            return self._events.popleft()
        if self._gone is not None:
            raise self._gone
        return None

    def _take_all(self) -> None:
        """Everything that waits, until there is an event to hand on."""
        self._take_camera()
        while not self._events and self._arrays is not None and (value := self._arrays.pop()) is not None:
            if isinstance(value, Exception):
                self._gone = _cut_off(self._pv, value)
                break
            self._take_camera()  # it began before this array was taken
            self._take_array(value)
        self._say(self._batch.take())

    def _take_camera(self) -> None:
        """What changed at the camera. What was set before it began is here when the news of its beginning is."""
        acquire = self._watched.get("Acquire_RBV")
        while self._camera is not None and acquire is not None and (value := acquire.pop()) is not None:
            for name in ("NumImages_RBV", "ImageMode_RBV"):
                while (setting := self._watched[name].pop()) is not None:
                    self._change(self._camera, name, setting)
            change = self._change(self._camera, "Acquire_RBV", value)
            if change and self._told:
                self._begin(self._numbering.arm())
            elif change:
                self._told, self._ending_s, self._expected = True, None, self._camera.arrays
            elif change is False and self._running:
                self._told = True
                self._ending_s = time.monotonic() + self._settle_s

    def _change(self, camera: Camera, name: str, value: Any) -> bool | None:
        if isinstance(value, Exception):
            self._gone = _cut_off(camera.prefix + name, value)
            return None
        try:
            return camera.take(name, value)
        except InstrumentError as error:
            self._remark(Code.CONTROL, error.message, error.mend)
            return None

    def _take_array(self, value: Any) -> None:
        header = self._header(value)
        if header is None or header.empty:
            return
        now_s = time.monotonic()
        place = self._numbering.place(header.unique_id, header.taken_unix_ns, now_s)
        if place.series != self._running and place.series == self._numbering.series:
            if place.begins:
                self._begin(place.series)
                self._told = False
            else:
                self._running, self._expected, self._count = place.series, None, 0
        series, first = str(place.series), place.index * self._points
        if place.series == self._running:
            self._count = max(self._count, place.index + 1)
            if self._ending_s is not None:
                self._ending_s = now_s + self._settle_s
        try:
            array = read_array(value)
            if not self.channels:
                self._say(self._batch.add(series, first, _image(array), header.taken_unix_ns))
                return
        except MalformedMessage as error:
            text = f"Array {header.unique_id} cannot be used. {error.message}"
            self._lose(series, first, Problem(Code.UNDECODABLE, text, error.mend))
            return
        self._take_frame(series, first, array, header)

    def _take_frame(self, series: str, first: int, array: npt.NDArray[np.generic], header: Header) -> None:
        if array.size != self._points:
            text = f"Array {header.unique_id} has the shape {array.shape}, and should have {self._points} points."
            mend = "Give --shape as the detector scans, and --as line where an array is one line."
            self._lose(series, first, Problem(Code.WRONG_SIZE, text, mend))
            return
        values = array.reshape(1, -1)
        self._say(Samples(series=series, first=first, values=values, acquired_unix_ns=header.taken_unix_ns))

    def _header(self, value: Any) -> Header | None:
        try:
            return read_header(value)
        except MalformedMessage as error:
            self._remark(Code.MALFORMED, error.message, error.mend)
            return None

    # Beginning and ending ---------------------------------------------------------------------------------------

    def _begin(self, series: int) -> None:
        self._running, self._count, self._ending_s = series, 0, None
        self._expected = None if self._camera is None else self._camera.arrays
        points = None if self._expected is None else self._expected * self._points
        self._say(SeriesBegan(series=str(series), points=points))
        if self._camera is not None and self._camera.acquiring is False:
            self._ending_s = time.monotonic() + self._settle_s

    def _end_when_settled(self) -> None:
        """Say that a series has ended, once its camera has stopped and its arrays are here."""
        if self._ending_s is None or self._events:
            return
        if time.monotonic() >= self._ending_s or (self._expected is not None and self._count >= self._expected):
            self._ending_s = None
            self._say(SeriesEnded(series=str(self._running)))
            self._running, self._told = 0, True

    def _lose(self, series: str, first: int, problem: Problem) -> None:
        self._say(Lost(series=series, first=first, points=self._points, problem=problem))

    def _say(self, event: Event | None) -> None:
        if event is not None and not isinstance(event, Images):
            self._say(self._batch.take())
        if event is not None:
            self._events.append(event)

    def _remark(self, code: Code, text: str, mend: str) -> None:
        self._say(Remark(problem=Problem(code, text, mend)))


def _image(array: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    """The one image that an array holds."""
    image = array
    while image.ndim > 2 and image.shape[0] == 1:
        image = image[0]
    if image.ndim != 2:
        raise MalformedMessage(
            f"It has the shape {array.shape}, and is no image.", mend="Is it a scanned detector's? Give --as."
        )
    return image


def _cut_off(pv: str, error: Exception) -> NotConnected:
    return NotConnected(f"The PV {pv} was cut off: {error}.", mend="Look at the IOC and at the network.")
