"""Commands that come twice: a key that the sender draws for a command has it carried out once."""

from __future__ import annotations

import asyncio
from collections import OrderedDict

from scanmend.web.console_client import Order
from scanmend.web.schemas_commands import CommandSent

MOST_ONCE = 1024

Key = tuple[str, str, Order]
"""The sender's key, the session, and what is commanded: a key that is used again for something else is another."""


class Repeats:
    """Answers to commands that may come again under the same key, the newest `MOST_ONCE`."""

    def __init__(self) -> None:
        self._answers: OrderedDict[Key, asyncio.Future[CommandSent]] = OrderedDict()

    def find(self, key: Key) -> asyncio.Future[CommandSent] | None:
        """The answer to the same command under the same key, which may still be on its way."""
        return self._answers.get(key)

    def begin(self, key: Key) -> asyncio.Future[CommandSent]:
        """Remember a command that is being carried out."""
        answer: asyncio.Future[CommandSent] = asyncio.get_running_loop().create_future()
        answer.add_done_callback(lambda done: done.cancelled() or done.exception())  # nobody may be waiting for it
        self._answers[key] = answer
        while len(self._answers) > MOST_ONCE:
            self._answers.popitem(last=False)
        return answer

    def forget(self, key: Key) -> None:
        """It was not carried out, and may be tried again."""
        self._answers.pop(key, None)
