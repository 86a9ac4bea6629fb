"""The live socket of the real process."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket as sockets
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed, InvalidMessage, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from fake_acquire import FakeAcquire
from web_service import WebService

ALL_READY = {"ready": True, "session": "demo"}


@pytest.fixture
def socket(service: WebService) -> Iterator[ClientConnection]:
    with _open(service) as made:
        made.send(json.dumps({"token": service.token}))
        yield made


def _open(service: WebService, path: str = "", **more: object) -> ClientConnection:
    return connect(f"ws://127.0.0.1:{service.port}/api/v1/live{path}", max_size=None, **more)  # type: ignore[arg-type]


def _pictures(socket: ClientConnection, count: int, seconds: float = 10) -> list[dict[str, object]]:
    headers: list[dict[str, object]] = []
    deadline = time.monotonic() + seconds
    while len(headers) < count and time.monotonic() < deadline:
        message = socket.recv(timeout=seconds)
        if isinstance(message, bytes):
            size = int.from_bytes(message[:4], "little")
            headers.append(json.loads(message[4 : 4 + size]))
            socket.send(json.dumps({"ready": True}))
    return headers


def _quiet_pictures(socket: ClientConnection, seconds: float) -> int:
    deadline, count = time.monotonic() + seconds, 0
    while (left := deadline - time.monotonic()) > 0:
        try:
            count += isinstance(socket.recv(timeout=left), bytes)
        except TimeoutError:
            break
    return count


def test_pictures_come_newest_first_and_only_when_asked_for(service: WebService, socket: ClientConnection) -> None:
    assert _quiet_pictures(socket, 0.5) == 0
    socket.send(json.dumps(ALL_READY))
    numbers = [h["number"] for h in _pictures(socket, 8)]
    assert len(numbers) == 8 and numbers == sorted(set(numbers))
    _quiet_pictures(socket, 1.0)  # the one that was asked for last
    acquire: FakeAcquire = service.acquire  # type: ignore[attr-defined]
    before = acquire.asked.count("AskPicture")
    time.sleep(1.0)
    assert acquire.asked.count("AskPicture") == before, "nobody looks, and pictures are still copied"
    socket.send(json.dumps({"ready": True}))
    newest = _pictures(socket, 2)[-1]["number"]
    assert isinstance(newest, int) and newest >= acquire.number - 8


def test_the_session_may_be_named_in_the_address(service: WebService) -> None:
    with _open(service, "?session=demo") as socket:
        socket.send(json.dumps({"token": service.token, "planes": ["raw"]}))
        socket.send(json.dumps({"ready": True, "planes": ["estimate"]}))
        header = _pictures(socket, 1)[0]
        assert [p["name"] for p in header["planes"]] == ["estimate"]  # type: ignore[union-attr]


def test_the_first_status_is_whole_and_the_next_are_changes(socket: ClientConnection) -> None:
    sizes, status = [], {}
    assert json.loads(socket.recv(timeout=5)) == {"type": "welcome", "role": "operate"}
    for _ in range(6):
        text = socket.recv(timeout=5)
        message = json.loads(text)
        assert message["type"] == "status"
        sizes.append(len(text))
        status |= message["patch"]
    assert status["order"] == ["demo"] and max(sizes[1:]) < sizes[0] / 2


@pytest.mark.parametrize(
    "first", ['{"token": "wrong"}', "{}", "not json", '{"token": 3}', '{"ready": true, "session": "demo"}', b"\x00\xff"]
)
def test_without_the_token_nothing_comes(service: WebService, first: str | bytes) -> None:
    with _open(service, "?session=demo") as socket:
        socket.send(first)
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(timeout=5)
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 4401


@pytest.mark.parametrize("message", ["junk", '{"session": "../x"}', '{"planes": ["all"]}', "[" * 3000, '{"ready": 1}'])
def test_a_message_that_is_none_closes_the_socket(socket: ClientConnection, message: str) -> None:
    socket.send(message)
    with pytest.raises(ConnectionClosed) as closed:
        while True:
            socket.recv(timeout=5)
    assert closed.value.rcvd is not None and closed.value.rcvd.code == 4400


def test_a_message_above_4_kib_closes_the_socket(socket: ClientConnection) -> None:
    socket.send(" " * 5000)
    with pytest.raises(ConnectionClosed) as closed:
        while True:
            socket.recv(timeout=5)
    assert closed.value.rcvd is not None and closed.value.rcvd.code == 1009


def test_a_flood_of_messages_closes_the_socket(socket: ClientConnection) -> None:
    with pytest.raises(ConnectionClosed):
        for _ in range(5000):
            socket.send('{"ready": false}')
        while True:
            socket.recv(timeout=5)


@pytest.mark.parametrize("headers", [{"Origin": "http://evil.example"}, {"Origin": "null"}])
def test_a_foreign_page_is_not_let_in(service: WebService, headers: dict[str, str]) -> None:
    with pytest.raises(InvalidStatus) as refused, _open(service, additional_headers=headers):
        pass
    assert refused.value.response.status_code == 403


def test_a_foreign_host_is_not_let_in(service: WebService) -> None:
    raw = sockets.create_connection(("127.0.0.1", service.port))
    with (
        raw,
        pytest.raises(InvalidStatus) as refused,
        connect(f"ws://evil.example:{service.port}/api/v1/live", sock=raw),
    ):
        pass
    assert refused.value.response.status_code == 403


def test_messages_are_not_deflated(service: WebService) -> None:
    with _open(service) as socket:
        assert socket.response is not None
        assert "Sec-WebSocket-Extensions" not in socket.response.headers


def test_one_address_has_at_most_sixteen_sockets(service: WebService) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(16):
            stack.enter_context(_open(service))
        with pytest.raises((InvalidStatus, EOFError, ConnectionError, InvalidMessage)), _open(service):
            pass
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            with _open(service):
                return
        except (InvalidStatus, EOFError, ConnectionError, InvalidMessage):
            time.sleep(0.05)
    raise AssertionError("closed sockets still count")


def test_a_browser_that_does_not_read_holds_nobody_up(service: WebService, socket: ClientConnection) -> None:
    with _open(service, "?session=demo") as stalled:
        stalled.send(json.dumps({"token": service.token}))
        stalled.send(json.dumps({"ready": True}))
        socket.send(json.dumps(ALL_READY))
        begun = time.monotonic()
        assert len(_pictures(socket, 15)) == 15
        assert time.monotonic() - begun < 8


class _Enough(Exception):
    """The snippet has shown what it can."""


def test_the_snippet_of_the_documentation_runs(service: WebService, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (Path(__file__).parents[3] / "docs" / "api.md").read_text()
    source = text.split("```python\n")[1].split("```")[0]
    seen: list[tuple[object, ...]] = []

    def show(*what: object) -> None:
        seen.append(what)
        if len(seen) == 3:
            raise _Enough

    monkeypatch.chdir(service.data_dir.parent)
    (service.data_dir.parent / "scanmend-data").symlink_to(service.data_dir)
    names: dict[str, object] = {"print": show}
    exec(compile(source, "docs/api.md", "exec"), names)
    with pytest.raises(_Enough):
        asyncio.run(names["look"](f"ws://127.0.0.1:{service.port}/api/v1/live"))  # type: ignore[operator]
    numbers = [number for number, _, _ in seen]
    assert numbers == sorted(set(numbers)) and seen[0][1] == "pushpull"
    assert all(0 < mean < 12 for _, _, mean in seen)  # type: ignore[operator]
