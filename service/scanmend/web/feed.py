"""One stream of pictures per watched session, shared by every browser that watches it.

A picture is asked for only while somebody waits for one, at most `MAX_PER_S` times a second, so a page in the
background costs acquire nothing, and ten browsers cost it as much as one.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Collection

from scanmend.errors import MalformedMessage, NotConnected
from scanmend.ipc.console import Refused
from scanmend.web.console_client import ConsoleClient
from scanmend.web.maps import Maps
from scanmend.web.pictures import MAPS, PLANES, LivePicture, PlaneName, prepare

log = logging.getLogger(__name__)

MAX_PER_S = 30.0
_RETRY_S = 0.25
"""Pause before the next question where acquire is away or does not know the session."""


class PictureFeed:
    """The newest picture of one session, of one of its channels.

    Args:
        console: Asks acquire.
        session: Its name.
        channel: Which channel; empty for the one that is restored.
    """

    def __init__(self, console: ConsoleClient, session: str, channel: str = "") -> None:
        self._console = console
        self._session, self._channel = session, channel
        self._life: tuple[int, ...] = ()
        self._newest: LivePicture | None = None
        self._arrival = asyncio.Event()
        self._waiting = 0
        self._wanted = asyncio.Event()
        self._watched: Counter[PlaneName] = Counter()
        """How many wait for each plane."""
        self._maps = Maps(console, session, lambda: [name for name in MAPS if self._watched[name]], self._take_maps)
        self._tasks = [
            asyncio.create_task(self._pull(), name=f"pictures-{session}"),
            asyncio.create_task(self._maps.pull(), name=f"maps-{session}"),
        ]

    async def newer(self, than: LivePicture | None, planes: Collection[PlaneName] = PLANES) -> LivePicture:
        """A picture other than `than` in one of the planes: the newest at once where there is one, else the next."""
        self._waiting += 1
        self._watched.update(planes)
        self._wanted.set()
        try:
            while self._newest is None or (than is not None and self._newest.shows_the_same(than, planes)):
                await self._arrival.wait()
            return self._newest
        finally:
            self._watched.subtract(planes)
            self._waiting -= 1
            if self._waiting == 0:
                self._wanted.clear()

    async def close(self) -> None:
        """Stop asking."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _pull(self) -> None:
        while True:
            await self._wanted.wait()
            started = time.monotonic()
            try:
                answer = await self._console.picture(self._session, self._newer_than(), self._channel)
            except NotConnected:
                await asyncio.sleep(_RETRY_S)
                continue
            if isinstance(answer, Refused):
                # `nothing_new` comes after two seconds of waiting; the others at once.
                await asyncio.sleep(0.0 if answer.code == "nothing_new" else _RETRY_S)
                continue
            try:
                picture = await asyncio.to_thread(prepare, answer)
            except MalformedMessage as error:
                log.warning("a picture of %s cannot be shown: %s", self._session, error)
                await asyncio.sleep(_RETRY_S)
                continue
            self._show(picture.with_maps(self._maps.planes))
            await asyncio.sleep(max(0.0, 1.0 / MAX_PER_S - (time.monotonic() - started)))

    def _take_maps(self) -> None:
        if self._newest is not None:
            self._show(self._newest.with_maps(self._maps.planes))

    def _show(self, picture: LivePicture) -> None:
        self._newest = picture
        self._arrival.set()
        self._arrival = asyncio.Event()

    def _newer_than(self) -> int:
        """The number to ask after: 0 where the count has begun again, after a restart or in a new session."""
        status = self._console.snapshot.status
        if status is not None:
            ids = [s.hello.session_id for s in status.sessions if s.hello.session == self._session]
            life = (status.boot_id, *ids)
            if life != self._life:
                self._life = life
                return 0
        return self._newest.number if self._newest is not None else 0


class Feeds:
    """All feeds, each alive while it is watched."""

    def __init__(self, console: ConsoleClient) -> None:
        self._console = console
        self._feeds: dict[tuple[str, str], tuple[PictureFeed, int]] = {}

    @contextlib.asynccontextmanager
    async def watch(self, session: str, channel: str = "") -> AsyncIterator[PictureFeed]:
        """The feed of a session's channel, made for the first watcher and closed after the last."""
        key = session, channel
        feed, watchers = self._feeds.get(key) or (PictureFeed(self._console, session, channel), 0)
        self._feeds[key] = (feed, watchers + 1)
        try:
            yield feed
        finally:
            feed, watchers = self._feeds[key]
            if watchers > 1:
                self._feeds[key] = (feed, watchers - 1)
            else:
                del self._feeds[key]
                await feed.close()
