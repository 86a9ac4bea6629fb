"""The web process: its port, its signals, its heartbeat, its slow clients."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import uvicorn
from websockets.asyncio.client import connect

from scanmend.web import process, slow
from web_service import WebService, short_folder, web_service


@pytest.fixture
def alone() -> Iterator[WebService]:
    with short_folder() as folder, web_service(folder) as made:
        yield made


def test_it_lives_without_acquire_and_beats(alone: WebService) -> None:
    assert httpx.get(f"{alone.url}/healthz").status_code == 200
    assert httpx.get(f"{alone.url}/readyz").status_code == 503
    assert alone.board is not None
    assert alone.board.pid("web") == alone.process.pid
    time.sleep(1.5)
    assert alone.board.age_s("web") < 1.4
    assert json.loads((alone.run_dir / "web.json").read_text()) == {"port": alone.port, "pid": alone.process.pid}
    assert "server" not in httpx.get(f"{alone.url}/healthz").headers


def test_it_drains_on_sigterm_and_takes_its_note_away() -> None:
    with short_folder() as folder:
        with web_service(folder) as made:
            run_dir = made.run_dir
            with httpx.Client() as keeps_alive:
                assert keeps_alive.get(f"{made.url}/healthz").status_code == 200
                made.process.send_signal(signal.SIGTERM)
                assert made.process.wait(5) == 0
        assert not (run_dir / "web.json").exists()


def test_a_port_in_use_is_said_with_the_mend(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        (tmp_path / "s.json").write_text(json.dumps({"http_port": port, "data_dir": str(tmp_path / "d")}))
        command = [sys.executable, "-m", "scanmend.web", str(tmp_path / "s.json"), str(tmp_path)]
        done = subprocess.run(command, capture_output=True, timeout=30, text=True)
    assert done.returncode == process.EXIT_CONFIGURATION
    assert f"Port {port}" in done.stderr and "another http_port" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("text", ["", "{", "[]", '{"port": "x"}', '{"host": "0.0.0.0"}', '{"nonsense": 1}'])
def test_settings_that_cannot_be_read(tmp_path: Path, text: str) -> None:
    (tmp_path / "s.json").write_text(text)
    assert process.main([str(tmp_path / "s.json"), str(tmp_path)]) == process.EXIT_CONFIGURATION
    assert process.main([]) == process.EXIT_CONFIGURATION


def test_the_token_is_in_no_answer_and_in_no_log(alone: WebService) -> None:
    header = {"Authorization": f"Bearer {alone.token}"}
    for path in ("/", "/status", "/healthz", "/readyz", "/api/v1/status", "/metrics", "/api/v1/openapi.json", "/x"):
        assert alone.token not in httpx.get(alone.url + path, headers=header).text
    assert alone.token not in alone.log.read_text()
    assert str(alone.run_dir) not in httpx.get(f"{alone.url}/api/v1/status", headers=header).text


class SlowServer:
    """uvicorn with our protocols and short deadlines, in the test's own loop."""

    def __init__(self) -> None:
        async def app(scope: dict[str, object], receive: object, send: object) -> None:
            await receive()  # type: ignore[operator]
            if scope["type"] == "websocket":
                await send({"type": "websocket.accept"})  # type: ignore[operator]
                while (message := await receive())["type"] == "websocket.receive":  # type: ignore[operator]
                    await send({"type": "websocket.send", "text": message["text"]})  # type: ignore[operator]
                return
            await send({"type": "http.response.start", "status": 200, "headers": []})  # type: ignore[operator]
            for _ in range(64):
                await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})  # type: ignore[operator]
            await send({"type": "http.response.body", "body": b""})  # type: ignore[operator]

        self.socket = process.bind("127.0.0.1", 0)
        self.port = self.socket.getsockname()[1]
        config = uvicorn.Config(
            app,
            http=slow.DeadlineHttp,
            ws=slow.DeadlineSocket,
            lifespan="off",
            log_config=None,
            timeout_graceful_shutdown=1,
        )
        self.server = process._Server(config)


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> object:
    monkeypatch.setattr(slow, "RECEIVE_S", 0.6)
    monkeypatch.setattr(slow, "WRITE_S", 0.6)
    monkeypatch.setattr(slow, "MAX_CONNECTIONS", 8)
    made = SlowServer()
    serving = asyncio.create_task(made.server.serve(sockets=[made.socket]))
    while not made.server.started:
        await asyncio.sleep(0.01)
    yield made
    made.server.leave()
    await serving


async def _cut_after(port: int, *pieces: bytes, pause: float = 0.1) -> float:
    """Send pieces with pauses; seconds until the server cuts the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    begun = time.monotonic()
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause)
        async with asyncio.timeout(5):
            while await reader.read(65536):
                pass
    except ConnectionError:
        pass
    finally:
        writer.close()
    return time.monotonic() - begun


HEAD = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n"


@pytest.mark.parametrize(
    "pieces",
    [(), (b"GET",), (b"GET / HTTP/1.1\r\n", *[b"a: b\r\n"] * 30), (HEAD, b"12"), (HEAD, *[b"1"] * 9)],
    ids=["silent", "one word", "a header at a time", "half a body", "a byte at a time"],
)
async def test_a_request_that_does_not_end_is_cut(server: SlowServer, pieces: tuple[bytes, ...]) -> None:
    assert await _cut_after(server.port, *pieces, pause=0.15) < 3.0


async def test_an_answer_that_is_not_read_is_cut(server: SlowServer) -> None:
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    raw.setblocking(False)
    loop = asyncio.get_running_loop()
    with raw:
        await loop.sock_connect(raw, ("127.0.0.1", server.port))
        await loop.sock_sendall(raw, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        await asyncio.sleep(1.5)
        assert len(server.server.server_state.connections) == 0


async def test_a_good_client_may_take_its_time_between_requests(server: SlowServer) -> None:
    async with httpx.AsyncClient() as client:
        for _ in range(3):
            assert len((await client.get(f"http://127.0.0.1:{server.port}/")).content) == 64 * 65536
            await asyncio.sleep(0.8)


async def test_a_live_socket_outlives_the_deadline_of_requests(server: SlowServer) -> None:
    async with connect(f"ws://127.0.0.1:{server.port}/") as socket:
        for text in ("now", "later"):
            await socket.send(text)
            assert await socket.recv() == text
            await asyncio.sleep(1.0)
        assert socket.close_code is None


async def test_slow_clients_push_each_other_out_and_not_the_good_one(server: SlowServer) -> None:
    slow_ones = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(12)]
    try:
        async with httpx.AsyncClient() as client:
            for _ in range(5):
                assert (await client.get(f"http://127.0.0.1:{server.port}/")).status_code == 200
        assert len(server.server.server_state.connections) <= 8
    finally:
        for _, writer in slow_ones:
            writer.close()
