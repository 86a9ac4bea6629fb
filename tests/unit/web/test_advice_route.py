"""The adviser behind the API: a calculation in a process of its own, one at a time, that nobody has to wait for."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from fastapi import Request

from scanmend.web.adviser import Adviser
from scanmend.web.problems import ApiError
from web_app import running
from web_service import WebService

PATH = "/api/v1/advice"
WISH = {
    "shape": [64, 64],
    "pixel_size_nm": 0.5,
    "beam_current_pa": 20.0,
    "budget_e_per_nm2": 200.0,
    "model": "pushpull",
    "specimen": "nanoparticles",
    "draws": 2,
}


@pytest.fixture
async def web(folder: Path) -> AsyncIterator[httpx.AsyncClient]:
    """The application without an acquire process: advice needs none."""
    async with running(folder) as made:
        yield made


def left_children() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if "plan" in " ".join(child.cmdline())]


async def test_the_answer_is_what_the_command_prints(web: httpx.AsyncClient) -> None:
    response = await web.post(PATH, json=WISH, timeout=60)
    assert response.status_code == 200, response.text
    advice = response.json()
    assert advice["question"]["shape"] == [64, 64] and advice["model"] == "pushpull"
    assert advice["tried_on"] == {
        "shape": [64, 64],
        "pictures": 2,
        "kinds": ["nanoparticles"],
        "drawn": True,
        "about": "drawn specimens of the kind nanoparticles, with pixels of 0.5 nm",
    }
    names = [row["name"] for row in advice["strategies"]]
    assert names == ["dense", "sparse 1/4", "sparse 1/20", "adaptive", "adaptive, sparse first"]
    assert advice["winner"] in names and "200 e/nm²" in advice["verdict"][0]
    assert all(row["figures"]["dose_e_per_nm2"] <= 200 for row in advice["strategies"])
    assert left_children() == []


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"budget_e_per_nm2": 1.0}, "less than one"),
        ({"shape": [31, 64]}, "greater than or equal to 32"),
        ({"shape": [65536, 65536]}, "outside"),
        ({"budget_e_per_nm2": 0}, "greater than 0"),
        ({"specimen": "/etc/passwd"}, "match"),
        ({"specimen": "--json"}, "match"),
        ({"model": "../quality"}, "match"),
        ({"image": "/etc/passwd"}, "Extra inputs"),
        ({"draws": 1000}, "less than or equal to 8"),
    ],
)
async def test_what_cannot_be_is_refused_without_a_calculation(
    web: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, changed: dict[str, Any], says: str
) -> None:
    async def never(*_: object, **__: object) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr(asyncio, "create_subprocess_exec", never)
    response = await web.post(PATH, json={**WISH, **changed})
    assert response.status_code == 422 and says in response.json()["detail"], response.text
    assert response.headers["content-type"] == "application/problem+json" and response.json()["mend"]


@pytest.mark.parametrize(
    ("changed", "says", "mend"),
    [
        ({"specimen": "unicorns"}, "no specimen 'unicorns'", "nanoparticles"),
        ({"model": "magic"}, "magic", "pushpull"),
        ({"time_s": 1e-6, "settle_ns": 1000}, "no scan of this field fits", "more time"),
    ],
)
async def test_what_only_the_calculation_finds_has_its_mend_too(
    web: httpx.AsyncClient, changed: dict[str, Any], says: str, mend: str
) -> None:
    response = await web.post(PATH, json={**WISH, **changed}, timeout=60)
    problem = response.json()
    assert response.status_code == 422 and problem["type"].endswith(":impossible"), response.text
    assert says in problem["detail"] and mend in problem["mend"]


def script(folder: Path, text: str) -> tuple[str, ...]:
    """A stand-in for the command; its process has a word by which a test finds it."""
    path = folder / "plan.py"
    path.write_text(text)
    return (sys.executable, str(path))


def staying() -> Request:
    """A request of somebody who waits."""

    async def receive() -> dict[str, str]:
        await asyncio.Event().wait()
        raise AssertionError

    return Request({"type": "http"}, receive)


def leaving(after_s: float) -> Request:
    """A request of somebody who goes."""

    async def receive() -> dict[str, str]:
        await asyncio.sleep(after_s)
        return {"type": "http.disconnect"}

    return Request({"type": "http"}, receive)


async def refused(adviser: Adviser, request: Request, code: str, status: int) -> ApiError:
    with pytest.raises(ApiError) as raised:
        await adviser.ask([], request)
    assert (raised.value.code, raised.value.status) == (code, status) and raised.value.mend
    return raised.value


async def gone(seconds: float = 5) -> None:
    until = time.monotonic() + seconds
    while left_children():
        assert time.monotonic() < until, "the calculation runs on"
        await asyncio.sleep(0.02)


SLOW = "import time; time.sleep(60)"


async def test_one_at_a_time(tmp_path: Path) -> None:
    adviser = Adviser(script(tmp_path, SLOW))
    first = asyncio.create_task(adviser.ask([], staying()))
    await asyncio.sleep(0.2)
    error = await refused(adviser, staying(), "busy", 429)
    assert error.headers["Retry-After"]
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    await gone()
    adviser = Adviser(script(tmp_path, "print(1)"))
    await refused(adviser, staying(), "internal", 500)  # and it is free again


@pytest.mark.parametrize(
    ("asked", "code"),
    [(lambda: leaving(0.2), "nobody_waits"), (staying, "too_slow")],
    ids=["the client leaves", "too slow"],
)
async def test_a_calculation_that_nobody_waits_for_is_ended(
    tmp_path: Path, asked: Callable[[], Request], code: str
) -> None:
    adviser = Adviser(script(tmp_path, SLOW), timeout_s=0.5)
    began = time.monotonic()
    await refused(adviser, asked(), code, 503)
    assert time.monotonic() - began < 5
    await gone()


@pytest.mark.parametrize(
    "text",
    [
        "raise SystemExit(7)",
        "print('{}')",
        "print('no json')",
        "import sys; sys.stdout.buffer.write(bytes(range(256)))",
    ],
)
async def test_a_calculation_that_fails_is_a_fault_of_ours(tmp_path: Path, text: str) -> None:
    await refused(Adviser(script(tmp_path, text)), staying(), "internal", 500)


async def test_a_model_that_fails_is_told(tmp_path: Path) -> None:
    said = json.dumps({"problem": {"code": "failed", "detail": "It broke.", "mend": "Mend it."}})
    adviser = Adviser(script(tmp_path, f"print({said!r}); raise SystemExit(1)"))
    error = await refused(adviser, staying(), "internal", 500)
    assert error.detail == "It broke." and error.mend == "Mend it."


def _words(process: psutil.Process) -> list[str]:
    """Its command line; none for one that has just ended."""
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def test_the_real_service_ends_a_calculation_when_its_client_leaves(service: WebService) -> None:
    """Over the network; and the service itself ends in time, which its fixture checks, with one under way."""
    web = psutil.Process(service.process.pid)
    wish = {**WISH, "shape": [256, 256], "model": "quality", "draws": 8}
    headers = {"Authorization": f"Bearer {service.token}"}

    def calculations() -> list[psutil.Process]:
        return [child for child in web.children() if "plan" in _words(child)]

    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{service.url}{PATH}", json=wish, headers=headers, timeout=1.5)
    until = time.monotonic() + 5
    while calculations():
        assert time.monotonic() < until, "the calculation runs on"
        time.sleep(0.05)
    # Another one may begin as soon as the first is cleared away, and the page goes on answering meanwhile.
    with httpx.Client(base_url=service.url, headers=headers) as client:
        with pytest.raises(httpx.ReadTimeout):
            while client.post(PATH, json=wish, timeout=1.0).status_code == 429:
                assert time.monotonic() < until + 5, "no other calculation may begin"
                time.sleep(0.05)
        assert client.get("/healthz").status_code == 200
