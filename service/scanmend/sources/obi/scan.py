"""Open Beam Interface as source and controller: plans go out as blocks of points, and come back as samples."""

from __future__ import annotations

import contextlib
import math
import select
import socket
import time
from collections import deque
from dataclasses import dataclass

import numpy as np

from scanmend.errors import NotConnected, PlanError
from scanmend.field import Capabilities, Channel
from scanmend.plan import ScanPlan
from scanmend.plan.fit import fit
from scanmend.sources.kit import Event, Lost, Samples, SeriesBegan, SeriesEnded
from scanmend.sources.obi.commands import (
    DWELL_NS,
    MAX_DWELL,
    Abort,
    BeamSelect,
    Blank,
    Command,
    ExternalControl,
    Flush,
    Synchronize,
    VectorPixels,
    encode,
)
from scanmend.sources.obi.geometry import Geometry
from scanmend.sources.obi.replies import MARK_BYTES, Answer, Block, Cookies, ReplyReader
from scanmend.sources.problems import Code, Problem

ELECTRONS = 1

BLOCK_POINTS = 2048
BLOCK_NS = 50_000_000
"""A block has at most so many points, and takes at most so long where it has several: after an abort the instrument
still runs what it has been given."""

BLOCKS_AHEAD = 2
"""Blocks that the instrument has been given and has not answered, so that it never waits for the next one."""


@dataclass(slots=True)
class _Run:
    """A plan that runs."""

    series: str
    plan: ScanPlan
    total: int
    """Points of all passes."""
    asked: int = 0
    """Points that the instrument has been given."""


class VectorScan:
    """One scan generator.

    Args:
        host: Where its server is.
        port: Its port.
        channel: What its samples are.
        answer_s: Longest wait for a mark, beside the time of the points before it.
        block_points: Most points between two marks; all of them are lost together.
    """

    def __init__(
        self, host: str, port: int, channel: Channel, *, answer_s: float = 2.0, block_points: int = BLOCK_POINTS
    ) -> None:
        self.channels: tuple[Channel, ...] = (channel,)
        self._place = (host, port)
        self._answer_s = answer_s
        self._block_points = block_points
        self._socket: socket.socket | None = None
        self._cookies = Cookies(time.time_ns() & 0x1FFF)
        self._reader = ReplyReader()
        self._run: _Run | None = None
        self._said: deque[Event] = deque()
        self._overdue_s = math.inf
        self._runs = 0

    # Source -----------------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Connect, take the beam from the microscope, and blank it.

        Raises:
            NotConnected: Nobody answers.
        """
        self.close()
        try:
            self._socket = socket.create_connection(self._place, timeout=self._answer_s)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            raise NotConnected(
                f"No scan generator answers at {self._place[0]}:{self._place[1]}: {error}.",
                mend="Start Open Beam Interface's server there.",
            ) from error
        self._send(ExternalControl(True), BeamSelect(ELECTRONS), Blank(True))
        self._synchronize()

    def close(self) -> None:
        """Blank the beam, and disconnect."""
        self._run = None
        self._said.clear()
        self._reader = ReplyReader()
        if self._socket is not None:
            with contextlib.suppress(NotConnected):
                self._send(Abort(), Blank(True), Flush())
            self._socket.close()
        self._socket = None

    def read(self, timeout_s: float) -> Event | None:
        """Give the instrument its next points, and take what it answers. Raises as `Source.read` says."""
        run = self._run
        if run is not None:
            self._ask_ahead(run)
        if not self._said:
            for answer in self._reader.feed(self._receive(timeout_s)):
                self._take(answer)
            if run is not None and time.monotonic() > self._overdue_s:
                self._catch_up()
        if run is not None and not self._reader.asked and run.asked == run.total:
            self._send(Blank(True), Flush())
            self._run = None
            self._said.append(SeriesEnded(series=run.series))
        return self._said.popleft() if self._said else None

    def _take(self, answer: Answer) -> None:
        run, block = self._run, answer.block
        if run is None:
            return
        self._wait_anew()
        if answer.values is not None:
            self._said.append(Samples(series=run.series, first=block.first, values=answer.values[None, :]))
            return
        text = f"{block.points} points of {run.series} cannot be placed. {answer.wrong}"
        problem = Problem(Code.UNDECODABLE, text, "Look at the connection of the scan generator, and at its load.")
        self._said.append(Lost(series=run.series, first=block.first, points=block.points, problem=problem))

    def _catch_up(self) -> None:
        """No mark came in time: what was asked for is given up, and the stream taken up behind a new mark.

        Raises:
            NotConnected: The new one does not come either.
        """
        for answer in self._reader.give_up("No mark came in time."):
            self._take(answer)
        self._synchronize()
        self._wait_anew()

    # Points -----------------------------------------------------------------------------------------------------

    def _ask_ahead(self, run: _Run) -> None:
        while run.asked < run.total and len(self._reader.asked) < BLOCKS_AHEAD:
            plan = run.plan
            at = run.asked % plan.points
            dwells = plan.dwells_ns[at : at + self._block_points]
            count = max(1, int(np.searchsorted(np.cumsum(dwells, dtype=np.int64), BLOCK_NS, side="right")))
            part = slice(at, at + min(count, len(dwells)))
            x, y = Geometry.of(plan.shape).codes(plan.x[part], plan.y[part])
            block = Block(run.asked, len(x), self._cookies.new())
            # The beam is let through together with the first pixel, and not before.
            through = [Blank(False, inline=True)] if run.asked == 0 else []
            pixels = VectorPixels(x, y, (dwells[: len(x)] // DWELL_NS).astype(np.uint16))
            self._send(*through, pixels, Synchronize(block.cookie), Flush())
            self._reader.expect(block)
            run.asked += block.points
            if len(self._reader.asked) == 1:
                self._wait_anew()

    def _wait_anew(self) -> None:
        self._overdue_s = time.monotonic() + self._answer_s + BLOCKS_AHEAD * BLOCK_NS * 1e-9

    # Controller -------------------------------------------------------------------------------------------------

    def capabilities(self) -> Capabilities:
        """Any points, each with its dwell in units of 125 ns."""
        return Capabilities(
            points=True,
            dwell_per_point=True,
            dwell_quantum_ns=DWELL_NS,
            min_dwell_ns=DWELL_NS,
            max_dwell_ns=MAX_DWELL * DWELL_NS,
            blanking=False,
        )

    def prepare(self, plan: ScanPlan) -> ScanPlan:
        """The plan with dwell times in units of 125 ns.

        Raises:
            PlanError: The field has more pixels than there are positions, or the beam is to settle after jumps, which
                the instrument cannot wait for.
        """
        Geometry.of(plan.shape)
        if plan.settle_ns:
            raise PlanError("The instrument cannot wait between points.", mend="Give a plan without a settle time.")
        return fit(plan, self.capabilities())

    def begin(self, plan: ScanPlan, passes: int) -> str:
        """Begin a plan; what an earlier one left in the stream is read away first.

        Raises:
            NotConnected: The instrument does not answer in time.
        """
        self._said.clear()
        self._synchronize()
        self._runs += 1
        total = plan.points * passes if passes else 1 << 62
        self._run = _Run(f"{time.time_ns() // 1_000_000:x}-{self._runs}", plan, total)
        self._said.append(SeriesBegan(series=self._run.series, points=total if passes else None))
        return self._run.series

    def abort(self) -> None:
        """Blank the beam and ask for no more points; those that the instrument has are still answered.

        Raises:
            NotConnected: The instrument does not answer.
        """
        self._send(Abort(), Blank(True), Flush())
        run = self._run
        if run is not None:
            run.total = run.asked

    # Bytes ------------------------------------------------------------------------------------------------------

    def _synchronize(self) -> None:
        """Read everything away up to a new mark.

        Raises:
            NotConnected: It does not come in time.
        """
        self._reader = ReplyReader()
        mark = Block(0, 0, self._cookies.new())
        self._send(Synchronize(mark.cookie), Flush())
        held, end_s = b"", time.monotonic() + self._answer_s
        while mark.mark not in held:
            if time.monotonic() > end_s:
                raise NotConnected(
                    "The scan generator gives no mark.", mend="Switch it off and on, or look at its log."
                )
            held = held[1 - MARK_BYTES :] + self._receive(0.05)

    def _send(self, *commands: Command) -> None:
        if self._socket is None:
            raise NotConnected("The scan generator is not connected.", mend="Wait: it is tried again.")
        try:
            self._socket.sendall(encode(*commands))
        except OSError as error:
            raise NotConnected(f"The scan generator was cut off: {error}.", mend="Look at its server.") from error

    def _receive(self, timeout_s: float) -> bytes:
        if self._socket is None:
            raise NotConnected("The scan generator is not connected.", mend="Wait: it is tried again.")
        if not select.select([self._socket], [], [], timeout_s)[0]:
            return b""
        try:
            data = self._socket.recv(1 << 18)
        except OSError as error:
            raise NotConnected(f"The scan generator was cut off: {error}.", mend="Look at its server.") from error
        if not data:
            raise NotConnected("The scan generator has hung up.", mend="Look at its server.")
        return data
