"""The live socket: status as JSON merge patches, pictures as binary messages, the newest only.

    browser ──{"token": …}──▶ server     the first message, within `TOKEN_S`
    server  ──{"type": "welcome", "role": …}──▶
    server  ──{"type": "status", "patch": …}──▶   five times a second; the first patch is the whole
    browser ──{"ready": true}──▶         "I can take another": one picture follows, as soon as there is a newer one
    browser ──{"session": NAME, "channel": NAME, "planes": ["raw", "estimate"]}──▶   watch something else

A browser that is slow gets fewer pictures, and never an old one. When its token dies, the socket is closed.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, WebSocket, WebSocketDisconnect

from scanmend.errors import InvalidInput
from scanmend.web.access import Pass
from scanmend.web.feed import PictureFeed
from scanmend.web.pictures import PICTURES, PLANES, LivePicture, PlaneName
from scanmend.web.state import WebState
from scanmend.wire.messages import check_session_name

router = APIRouter()

TOKEN_S = 5.0
MAX_MESSAGES_PER_S = 200
"""A page sends one message for each picture it paints; whoever sends more than this is closed."""

BAD_TOKEN = 4401
BAD_MESSAGE = 4400
FLOOD = 4429


class Wish(msgspec.Struct, frozen=True):
    """A message of a browser; what it does not name stays as it is."""

    token: Annotated[str, msgspec.Meta(max_length=256)] | None = None
    ready: bool = False
    session: Annotated[str, msgspec.Meta(max_length=64)] | None = None
    """Empty: no pictures."""
    channel: Annotated[str, msgspec.Meta(max_length=64)] | None = None
    """Empty: the one that is restored."""
    planes: Annotated[list[PlaneName], msgspec.Meta(max_length=len(PLANES))] | None = None
    """`dose` and `proposal` are made only for who asks for them."""


_wishes = msgspec.json.Decoder(Wish)


def merge_patch(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """What turns `old` into `new`, as RFC 7396 has it; null and absent are the same here."""
    patch: dict[str, Any] = {}
    for key in old.keys() - new.keys():
        patch[key] = None
    for key, value in new.items():
        before = old.get(key)
        if isinstance(value, dict) and isinstance(before, dict):
            inner = merge_patch(before, value)
            if inner:
                patch[key] = inner
        elif value != before:
            patch[key] = value
    return patch


def for_page(status: dict[str, Any]) -> dict[str, Any]:
    """The status with its sessions by name, so that a patch names the one that changed."""
    return {
        **status,
        "sessions": {s["name"]: s for s in status["sessions"]},
        "order": [s["name"] for s in status["sessions"]],
    }


class _Browser:
    """One open live socket."""

    def __init__(self, socket: WebSocket, web: WebState, admitted: Pass) -> None:
        self._socket = socket
        self._admitted = admitted
        self._web = web
        self._session = self._channel = ""
        self._planes: tuple[PlaneName, ...] = PICTURES
        self._ready = asyncio.Event()
        self._turned = asyncio.Event()
        """Set when another session, or another of its channels, was chosen."""
        self._rewished = asyncio.Event()
        """Set when other planes were asked for."""

    def choose(self, session: str) -> None:
        """Watch a session; empty for none.

        Raises:
            InvalidInput: Not a name.
        """
        self._session = check_session_name(session) if session else ""
        self._turned.set()

    async def run(self) -> None:
        """Serve until it leaves, or says something that it must not."""
        listening = asyncio.create_task(self._listen())
        outlived = asyncio.create_task(self._web.access.outlived(self._admitted))
        tasks = [listening, outlived, asyncio.create_task(self._tell()), asyncio.create_task(self._show())]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in done:
            task.result()
        if outlived in done:
            await _close(self._socket, BAD_TOKEN, "The token was replaced by another one.")
        elif listening in done and (farewell := listening.result()) is not None:
            await _close(self._socket, *farewell)

    async def _listen(self) -> tuple[int, str] | None:
        """Take messages; give the code and reason of a close, None where the browser has left."""
        allowance, refilled = float(MAX_MESSAGES_PER_S), time.monotonic()
        while True:
            message = await self._socket.receive()
            if message["type"] == "websocket.disconnect":
                return None
            now = time.monotonic()
            allowance = min(MAX_MESSAGES_PER_S, allowance + (now - refilled) * MAX_MESSAGES_PER_S) - 1
            refilled = now
            if allowance < 0:
                self._web.counters.refuse("flood")
                return FLOOD, f"More than {MAX_MESSAGES_PER_S} messages a second."
            try:
                self._take(_wishes.decode(message.get("text") or message.get("bytes") or b""))
            except (msgspec.DecodeError, InvalidInput) as error:
                return BAD_MESSAGE, f"Not a message of this socket: {error}"[:120]

    def _take(self, wish: Wish) -> None:
        if wish.planes is not None:
            before, self._planes = self._planes, tuple(name for name in PLANES if name in wish.planes)
            if self._planes != before:
                self._rewished.set()
        if wish.channel is not None and wish.channel != self._channel:
            self._channel = wish.channel
            self._turned.set()
        if wish.session is not None:
            self.choose(wish.session)
        if wish.ready:
            self._ready.set()

    async def _tell(self) -> None:
        told: dict[str, Any] = {}
        await self._socket.send_text(json.dumps({"type": "welcome", "role": self._admitted.role.value}))
        while True:
            status = for_page(self._web.views.status_json)
            patch = merge_patch(told, status)
            await self._socket.send_text(msgspec.json.encode({"type": "status", "patch": patch}).decode())
            told = status
            await self._web.console.next_snapshot()

    async def _show(self) -> None:
        while True:
            self._turned.clear()
            if not self._session:
                await self._turned.wait()
                continue
            async with self._web.feeds.watch(self._session, self._channel) as feed:
                await self._show_session(feed)

    async def _show_session(self, feed: PictureFeed) -> None:
        shown: LivePicture | None = None
        turned = asyncio.create_task(self._turned.wait())
        try:
            while not self._turned.is_set():
                if not await _before(turned, asyncio.create_task(self._ready.wait())):
                    return
                if self._rewished.is_set():  # what was shown had other planes
                    self._rewished.clear()
                    shown = None
                newer = asyncio.create_task(feed.newer(shown, self._planes))
                rewished = asyncio.create_task(self._rewished.wait())
                try:
                    await asyncio.wait({turned, newer, rewished}, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    came = newer.done()
                    for task in (newer, rewished):
                        task.cancel()
                if turned.done():
                    return
                if not came:
                    continue
                shown = newer.result()
                self._ready.clear()
                message = shown.message(self._planes)
                await self._socket.send_bytes(message)
                self._web.counters.pictures_sent += 1
                self._web.counters.picture_bytes_sent += len(message)
        finally:
            turned.cancel()


async def _before(other: asyncio.Task[Any], task: asyncio.Task[Any]) -> bool:
    """Wait for either; whether `task` was done, else it is cancelled."""
    try:
        await asyncio.wait({other, task}, return_when=asyncio.FIRST_COMPLETED)
        return task.done()
    finally:
        if not task.done():
            task.cancel()


@router.websocket("/api/v1/live")
async def live(socket: WebSocket, session: str = "") -> None:
    """Pictures and status for one page."""
    web: WebState = socket.app.state.web
    await socket.accept()
    with contextlib.suppress(WebSocketDisconnect):  # it may leave at any moment
        await _serve(socket, web, session)


async def _serve(socket: WebSocket, web: WebState, session: str) -> None:
    admitted = await _admitted(socket, web)
    if admitted is None:
        web.counters.refuse("token")
        await _close(socket, BAD_TOKEN, 'The first message must be {"token": …} with the service\'s token.')
        return
    browser = _Browser(socket, web, admitted)
    try:
        browser.choose(session)
    except InvalidInput:
        await _close(socket, BAD_MESSAGE, "That cannot be the name of a session.")
        return
    web.counters.browsers += 1
    try:
        await browser.run()
    finally:
        web.counters.browsers -= 1


async def _close(socket: WebSocket, code: int, reason: str) -> None:
    """Say farewell to a browser, which may just have left: the server then refuses to send, and that is no fault."""
    with contextlib.suppress(RuntimeError):
        await socket.close(code, reason)


async def _admitted(socket: WebSocket, web: WebState) -> Pass | None:
    try:
        async with asyncio.timeout(TOKEN_S):
            message = await socket.receive()
        wish = _wishes.decode(message.get("text") or b"")
    except (TimeoutError, msgspec.DecodeError):
        return None
    return None if wish.token is None else web.access.admit(wish.token)
