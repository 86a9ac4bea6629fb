"""Files that were made for a download: sent at once, or kept until a browser comes for them with a ticket.

A browser saves a large file only where it follows an address by itself, and then it cannot send the token; in the
address the token would be kept by the browser's history. So whoever has the token gets a ticket for one file: a word
nobody can guess, good for one request within `TICKET_S`.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import BinaryIO

from starlette.responses import StreamingResponse

TICKET_S = 60.0
MOST_HELD = 4
"""Files that wait for their browser; with one more, the one that waits longest goes."""
CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class MadeFile:
    """A file that has no name any more: it goes with its last byte, also when this process is killed."""

    file: BinaryIO
    size_bytes: int
    name: str
    """Under which it is to be saved."""
    media_type: str

    def response(self, done: Callable[[], None] = lambda: None) -> StreamingResponse:
        """Send it; `done` is called when it was sent, or its reader has left."""
        headers = {
            "content-disposition": f'attachment; filename="{self.name}"',
            "content-length": str(self.size_bytes),
        }
        return StreamingResponse(self._pieces(done), media_type=self.media_type, headers=headers)

    async def _pieces(self, done: Callable[[], None]) -> AsyncIterator[bytes]:
        try:
            while piece := await asyncio.to_thread(self.file.read, CHUNK_BYTES):
                yield piece
        finally:
            self.file.close()
            done()


class Tickets:
    """Files that wait for who has their ticket; used on the event loop."""

    def __init__(self, ticket_s: float = TICKET_S) -> None:
        self._ticket_s = ticket_s
        self._held: dict[str, tuple[MadeFile, asyncio.TimerHandle]] = {}

    def issue(self, made: MadeFile) -> str:
        """Keep a file; gives its ticket."""
        while len(self._held) >= MOST_HELD:
            self._drop(next(iter(self._held)))
        ticket = secrets.token_urlsafe(32)
        self._held[ticket] = made, asyncio.get_running_loop().call_later(self._ticket_s, self._drop, ticket)
        return ticket

    def take(self, ticket: str) -> MadeFile | None:
        """The file of a ticket, which is used up; None where it is none, or not any more."""
        made, timer = self._held.pop(ticket, (None, None))
        if timer is not None:
            timer.cancel()
        return made

    def close(self) -> None:
        """Let all files go."""
        for ticket in list(self._held):
            self._drop(ticket)

    def _drop(self, ticket: str) -> None:
        made = self.take(ticket)
        if made is not None:
            made.file.close()
