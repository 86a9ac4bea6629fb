"""Two roles, and tokens that change while the service runs."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from scanmend.cli import main
from scanmend.errors import ConfigurationError
from scanmend.web.access import Access
from scanmend.web.token import FILE_NAMES, Role, rotate
from web_service import WebService


@pytest.fixture
async def access(tmp_path: Path) -> object:
    made = Access(tmp_path)
    made.start()
    yield made
    await made.close()


async def _until(condition: object, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


def _token(folder: Path, role: Role) -> str:
    return (folder / FILE_NAMES[role]).read_text().strip()


async def test_each_role_has_a_token_of_its_own(access: Access, tmp_path: Path) -> None:
    tokens = {role: _token(tmp_path, role) for role in Role}
    assert len(set(tokens.values())) == 2
    for role, token in tokens.items():
        admitted = access.admit(token)
        assert admitted is not None and admitted.role is role and access.holds(admitted)
    assert access.admit("") is None and access.admit(tokens[Role.READ][:-1]) is None


async def test_one_token_in_both_files_operates(tmp_path: Path) -> None:
    for name in FILE_NAMES.values():
        (tmp_path / name).touch(0o600)
        (tmp_path / name).write_text("x" * 43)
    admitted = Access(tmp_path).admit("x" * 43)
    assert admitted is not None and admitted.role is Role.OPERATE


async def test_a_file_that_is_replaced_or_removed_kills_its_token(access: Access, tmp_path: Path) -> None:
    old = _token(tmp_path, Role.READ)
    operate = access.admit(_token(tmp_path, Role.OPERATE))
    admitted = access.admit(old)
    assert admitted is not None and operate is not None
    waiting = asyncio.create_task(access.outlived(admitted))
    new = rotate(tmp_path, Role.READ)
    await asyncio.wait_for(waiting, 10)
    assert access.admit(old) is None and access.admit(new) is not None and access.holds(operate)
    (tmp_path / FILE_NAMES[Role.READ]).unlink()
    await _until(lambda: access.admit(new) is None)
    await _until(lambda: (tmp_path / FILE_NAMES[Role.READ]).exists())
    assert access.admit(_token(tmp_path, Role.READ)) is not None


async def test_a_file_that_others_may_read_lets_nobody_in_until_it_is_mended(access: Access, tmp_path: Path) -> None:
    path = tmp_path / FILE_NAMES[Role.OPERATE]
    token = _token(tmp_path, Role.OPERATE)
    path.chmod(0o644)
    await _until(access.problems)
    problem = access.problems()[0]
    assert problem.code == "token_operate" and "Others" in problem.text and "Remove" in problem.mend
    assert access.admit(token) is None and access.admit("") is None
    path.chmod(0o600)
    await _until(lambda: access.admit(token) is not None)
    assert access.problems() == []


async def test_a_token_that_is_only_touched_lives_on(access: Access, tmp_path: Path) -> None:
    admitted = access.admit(_token(tmp_path, Role.OPERATE))
    assert admitted is not None
    os.utime(tmp_path / FILE_NAMES[Role.OPERATE])
    await access._look()
    assert access.holds(admitted)


def test_rotation_in_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no data folder"):
        rotate(tmp_path / "nowhere", Role.READ)


def test_the_command_shows_and_replaces(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["token", "show", "--data-dir", str(tmp_path)]) == 3
    assert "no token" in capsys.readouterr().err
    Access(tmp_path)
    assert main(["token", "show", "--data-dir", str(tmp_path)]) == 0
    shown = capsys.readouterr().out.strip()
    assert shown == _token(tmp_path, Role.OPERATE)
    assert main(["token", "rotate", "--role", "read", "--json", "--data-dir", str(tmp_path)]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["role"] == "read" and answer["token"] == _token(tmp_path, Role.READ)
    assert _token(tmp_path, Role.OPERATE) == shown
    assert (tmp_path / "read-token").stat().st_mode & 0o777 == 0o600


@contextlib.contextmanager
def _socket(service: WebService, token: str) -> Iterator[ClientConnection]:
    with connect(f"ws://127.0.0.1:{service.port}/api/v1/live", max_size=None) as made:
        made.send(json.dumps({"token": token}))
        yield made


def _closed_with(socket: ClientConnection, seconds: float = 10) -> int:
    deadline = time.monotonic() + seconds
    with pytest.raises(ConnectionClosed) as closed:
        while time.monotonic() < deadline:
            socket.recv(timeout=seconds)
    assert closed.value.rcvd is not None
    return closed.value.rcvd.code


def test_live_sockets_are_told_their_role_and_die_with_their_token(service: WebService) -> None:
    reading = (service.data_dir / "read-token").read_text().strip()
    with _socket(service, service.token) as operator, _socket(service, reading) as reader:
        assert json.loads(operator.recv(timeout=5)) == {"type": "welcome", "role": "operate"}
        assert json.loads(reader.recv(timeout=5)) == {"type": "welcome", "role": "read"}
        headers = {"Authorization": f"Bearer {reading}"}
        url = f"{service.url}/api/v1/tokens/rotate"
        assert httpx.post(url, json={"role": "read"}, headers=headers).status_code == 403
        headers = {"Authorization": f"Bearer {service.token}"}
        answer = httpx.post(url, json={"role": "read"}, headers=headers)
        assert answer.status_code == 200 and answer.headers["cache-control"] == "no-store"
        new = answer.json()["token"]
        status = f"{service.url}/api/v1/status"
        assert httpx.get(status, headers={"Authorization": f"Bearer {reading}"}).status_code == 401
        assert httpx.get(status, headers={"Authorization": f"Bearer {new}"}).status_code == 200
        assert _closed_with(reader) == 4401
        assert json.loads(operator.recv(timeout=5))["type"] == "status"
        assert new not in service.log.read_text()


def test_the_command_reaches_a_running_service(service: WebService) -> None:
    with _socket(service, service.token) as operator:
        command = [sys.executable, "-m", "scanmend.cli", "token", "rotate", "--data-dir", str(service.data_dir)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
        assert _closed_with(operator) == 4401
    assert done.stdout.strip() == service.token
    headers = {"Authorization": f"Bearer {service.token}"}
    assert httpx.get(f"{service.url}/api/v1/status", headers=headers).status_code == 200
