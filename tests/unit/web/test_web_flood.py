"""Many bad clients at once, and a good one that is served all the same."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Iterator

import httpx
import pytest
from websockets.sync.client import connect

from fake_acquire import FakeAcquire
from web_service import WebService, short_folder, web_service

HALF_A_REQUEST = b"POST /api/v1/sessions/demo/stop HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: "


@pytest.fixture
def flooded() -> Iterator[WebService]:
    """300 half requests, 100 silent connections, a body without end, 15 live sockets that nobody reads."""
    with (
        short_folder() as folder,
        web_service(folder) as made,
        FakeAcquire(made.run_dir, size=256),
        contextlib.ExitStack() as stack,
    ):
        for i in range(400):
            slow = stack.enter_context(socket.create_connection(("127.0.0.1", made.port)))
            if i < 300:
                slow.sendall(HALF_A_REQUEST)
        body = stack.enter_context(socket.create_connection(("127.0.0.1", made.port)))
        head = f"POST /api/v1/sessions/demo/stop HTTP/1.1\r\nHost: 127.0.0.1:{made.port}\r\n"
        body.sendall(f"{head}Content-Length: 400000000\r\n\r\n".encode() + b"x" * 65536)
        for _ in range(15):
            page = stack.enter_context(connect(f"ws://127.0.0.1:{made.port}/api/v1/live?session=demo", max_size=None))
            page.send(json.dumps({"token": made.token}))
            page.send(json.dumps({"ready": True}))
        yield made


def test_the_good_client_is_answered_within_a_second(flooded: WebService) -> None:
    headers = {"Authorization": f"Bearer {flooded.token}"}
    for path in ("/healthz", "/readyz", "/api/v1/status", "/metrics", "/") * 3:
        begun = time.monotonic()
        with httpx.Client(headers=headers) as client:
            # On a busy machine the stand-in for acquire may be late: not ready is an answer too.
            allowed = (200, 503) if path == "/readyz" else (200,)
            assert client.get(flooded.url + path).status_code in allowed
        assert time.monotonic() - begun < 1.0, path
    begun = time.monotonic()
    assert httpx.post(f"{flooded.url}/api/v1/sessions/demo/stop", headers=headers).status_code == 202
    assert time.monotonic() - begun < 1.0
