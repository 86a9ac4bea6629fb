"""The maps beside a session's picture: the dose of each pixel, and the dwell that the open proposal would add.

They are asked for only while somebody watches them, at most once in `MAPS_S`, and only where something has changed:
the dose with the frames received, the proposal with its id. The engine paints the dose into a file, between two frames;
the proposal is expanded here, in a thread.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from scanmend.errors import InvalidInput, MalformedMessage, NotConnected, PlanError
from scanmend.ipc.console import SessionInfo
from scanmend.plan import ScanPlan
from scanmend.web.console_client import ConsoleClient
from scanmend.web.pictures import MAPS, MapName, Plane, quantise

log = logging.getLogger(__name__)

MAPS_S = 1.0
"""Between two looks; the dose costs the engine as much as it takes to write a picture."""


class Maps:
    """The maps of one session, as far as they are watched.

    Args:
        console: Asks acquire.
        session: Its name.
        wanted: Gives the maps that somebody watches now.
        changed: Called when there are other planes.
    """

    def __init__(
        self,
        console: ConsoleClient,
        session: str,
        wanted: Callable[[], Collection[MapName]],
        changed: Callable[[], None],
    ) -> None:
        self.planes: dict[MapName, Plane] = {}
        """What there is; a plane that is there is never changed."""
        self._console = console
        self._session = session
        self._wanted = wanted
        self._changed = changed
        self._shown: dict[MapName, tuple[int, ...]] = {}
        """What each plane was made of."""

    async def pull(self) -> None:
        """Keep the maps as they are now, for ever."""
        while True:
            await asyncio.sleep(MAPS_S)
            wanted = self._wanted()
            info = self._info()
            if info is None:
                continue
            for name in MAPS:
                if name in wanted:
                    try:
                        await self._look(name, info)
                    except (NotConnected, MalformedMessage, PlanError, InvalidInput, OSError) as error:
                        log.warning("the map %s of %s cannot be shown: %s", name, self._session, error)

    def _info(self) -> SessionInfo | None:
        status = self._console.snapshot.status
        return next((s for s in status.sessions if s.hello.session == self._session), None) if status else None

    async def _look(self, name: MapName, info: SessionInfo) -> None:
        made_of = _made_of(name, info)
        if made_of == self._shown.get(name):
            return
        shape = info.hello.field.shape
        if made_of is None:
            plane = None
        elif name == "dose":
            path = await self._console.dose(self._session)
            if path is None:
                return  # asked again at the next look
            plane = await asyncio.to_thread(_dose_plane, path, shape)
        else:
            found = await self._console.proposal(self._session)
            if found is None or found[0] != made_of[1]:
                return
            plane = await asyncio.to_thread(_proposal_plane, found[1], shape)
        if plane is None:
            self.planes.pop(name, None)
            self._shown.pop(name, None)
        else:
            self.planes[name] = plane
        if made_of is not None:
            self._shown[name] = made_of
        self._changed()


def _made_of(name: MapName, info: SessionInfo) -> tuple[int, ...] | None:
    """What a map depends on; None where there is nothing to show."""
    session_id = info.hello.session_id
    if name == "dose":
        known = info.hello.field.beam_current_pa is not None and info.account.received and info.state != "ended"
        return (session_id, info.account.received) if known else None
    proposal = info.proposal
    return None if proposal is None else (session_id, int(proposal["proposal_id"]))


def _dose_plane(path: Path, shape: tuple[int, int]) -> Plane:
    try:
        data = path.read_bytes()
    finally:
        path.unlink(missing_ok=True)
    if len(data) != shape[0] * shape[1] * 4:
        raise MalformedMessage(f"A dose of {shape[0]} × {shape[1]} pixels came in {len(data)} bytes.")
    return quantise("dose", np.frombuffer(data, "<f4").reshape(shape))


def _proposal_plane(data: bytes, shape: tuple[int, int]) -> Plane:
    plan = msgspec.msgpack.decode(data, type=ScanPlan)
    if plan.shape != shape:
        raise MalformedMessage(f"A plan for {plan.shape} came for a field of {shape}.")
    return quantise("proposal", dwell_ns(plan))


def dwell_ns(plan: ScanPlan) -> npt.NDArray[np.float32]:
    """The dwell that a plan gives each pixel, float32 `(ny, nx)`; 0 where it does not go."""
    size = plan.shape[0] * plan.shape[1]
    weights = None if plan.dwell_list is None else plan.dwells_ns
    dwell = np.bincount(plan.pixels, weights=weights, minlength=size).astype(np.float32)
    if weights is None:
        dwell *= np.float32(plan.dwell_ns)
    return dwell.reshape(plan.shape)
