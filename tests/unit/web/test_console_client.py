"""The line to acquire, at a moment that a page meets once in a thousand."""

from __future__ import annotations

import asyncio

import pytest
import zmq
import zmq.asyncio
from tests.web_service import short_folder

from scanmend.errors import NotConnected
from scanmend.ipc.console import Refused, encode
from scanmend.web.console_client import ConsoleClient, Picture


async def _asked(client: ConsoleClient) -> asyncio.Task[Picture | Refused]:
    """A question that is on its way, once the client is connected."""
    while True:
        asking = asyncio.create_task(client.picture("s", 0))
        await asyncio.sleep(0.02)
        if not asking.done():
            return asking
        with pytest.raises(NotConnected):
            await asking


async def test_a_question_that_is_called_off_as_its_answer_comes_is_called_off() -> None:
    """A feed that closes must end, or the page's process waits for it for ever."""
    with short_folder() as folder:
        address = f"ipc://{folder}/console"
        context = zmq.asyncio.Context()
        acquire = context.socket(zmq.ROUTER)
        acquire.bind(address)
        client = ConsoleClient(address)
        await client.start()
        try:
            asking = await _asked(client)
            assert client._pictures is not None
            ((number, answer),) = client._pictures._open.items()
            answer.set_result([encode(Refused(ask=number, code="nothing_new", reason="None."))])
            asking.cancel()  # in the same turn of the event loop
            with pytest.raises(asyncio.CancelledError):
                await asking
        finally:
            await client.close()
            acquire.close(0)
            context.term()
