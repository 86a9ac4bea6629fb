"""Every route: who may use it, what it answers, what it says when something is wrong."""

from __future__ import annotations

import asyncio
import re
import time
from pathlib import Path

import httpx
import pytest

from fake_acquire import FakeAcquire
from scanmend.ipc.console import ProblemInfo, Refused
from web_app import BASE, PORT, READ_TOKEN, TOKEN, running, until_ready

OPEN_PATHS = {"/healthz", "/readyz"}
WITH_TICKETS = {"/api/v1/downloads/{ticket}"}
FOR_READERS = {"/api/v1/advice", "/api/v1/recordings/{name}/export"}
"""What is posted, and changes nothing."""


async def _routes(client: httpx.AsyncClient) -> list[tuple[str, str]]:
    document = (await client.get("/api/v1/openapi.json")).json()
    found = [
        (m.upper(), p.replace("{name}", "demo").replace("{file}", "picture.png"))
        for p, item in document["paths"].items()
        for m in item
        if "{ticket}" not in p  # it stands for a token
    ]
    assert len(found) >= 25
    return [*found, ("GET", "/api/v1/openapi.json")]


def _is_problem(response: httpx.Response, status: int, code: str = "") -> dict[str, object]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem: dict[str, object] = response.json()
    assert problem["status"] == status and problem["mend"] and problem["detail"]
    assert str(problem["type"]).endswith(code)
    return problem


async def test_every_route_needs_the_right_token(client: httpx.AsyncClient, fake: FakeAcquire) -> None:
    for method, path in await _routes(client):
        if path in OPEN_PATHS:
            assert (await client.request(method, path, headers={"Authorization": ""})).status_code == 200
            continue
        for header, code in [
            ("", "token_missing"),
            ("Basic dXNlcjpwYXNz", "token_missing"),
            ("Bearer", "token_missing"),
            ("Bearer " + "x" * 43, "token_wrong"),
            ("Bearer " + TOKEN[:-1], "token_wrong"),
        ]:
            before = len(fake.commands)
            response = await client.request(method, path, headers={"Authorization": header})
            _is_problem(response, 401, code)
            assert response.headers["www-authenticate"].startswith("Bearer")
            assert len(fake.commands) == before
        response = await client.request(method, path)
        # Most routes want a body, or something that is not there: what counts is that the door is open.
        assert response.status_code not in (401, 403, 405, 500), (path, response.text)
        reading = await client.request(method, path, headers={"Authorization": f"Bearer {READ_TOKEN}"})
        if method == "GET" or path.replace("demo", "{name}") in FOR_READERS:
            assert reading.status_code == response.status_code, (path, reading.text)
        else:
            _is_problem(reading, 403, "role")


async def test_a_token_in_the_query_does_not_count(client: httpx.AsyncClient) -> None:
    response = await client.get(f"/api/v1/status?token={TOKEN}", headers={"Authorization": ""})
    _is_problem(response, 401)


@pytest.mark.parametrize(
    "host", ["evil.example", f"evil.example:{PORT}", "127.0.0.1:1", "127.0.0.1", "127.0.0.1.evil.example", "", "[::1]"]
)
async def test_a_foreign_host_is_refused_everywhere(client: httpx.AsyncClient, host: str) -> None:
    for path in ("/", "/healthz", "/api/v1/status", "/static/main.js", "/metrics", "/nowhere"):
        _is_problem(await client.get(path, headers={"Host": host}), 403, "host")


@pytest.mark.parametrize("host", [f"localhost:{PORT}", f"[::1]:{PORT}", f"LOCALHOST:{PORT}"])
async def test_the_machines_own_names_are_let_in(client: httpx.AsyncClient, host: str) -> None:
    assert (await client.get("/api/v1/status", headers={"Host": host})).status_code == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", f"https://127.0.0.1:{PORT}", "http://127.0.0.1:1"])
async def test_a_foreign_page_cannot_command(client: httpx.AsyncClient, fake: FakeAcquire, origin: str) -> None:
    _is_problem(await client.post("/api/v1/sessions/demo/abort", headers={"Origin": origin}), 403, "origin")
    assert fake.commands == []


@pytest.mark.parametrize("action", ["stop", "abort"])
async def test_a_command_reaches_acquire_and_is_seen_by_all(
    client: httpx.AsyncClient, fake: FakeAcquire, action: str
) -> None:
    response = await client.post(f"/api/v1/sessions/demo/{action}", json={"by": "Ada"}, headers={"Origin": BASE})
    assert response.status_code == 202 and response.json() == {"session": "demo", "action": action, "by": "Ada"}
    assert [(c.session, c.action, c.by) for c in fake.commands] == [("demo", action, "Ada")]
    for _ in range(40):
        view = (await client.get("/api/v1/sessions/demo")).json()
        if view["commanded"]:
            break
        await asyncio.sleep(0.05)
    assert view["commanded"]["action"] == action and view["commanded"]["by"] == "Ada"
    assert (await client.post(f"/api/v1/sessions/demo/{action}")).status_code == 202
    assert fake.commands[-1].by == "an operator at 127.0.0.1"


@pytest.mark.parametrize(("code", "status"), [("ended", 409), ("detached", 409), ("no_session", 404)])
async def test_a_command_that_acquire_refuses(
    client: httpx.AsyncClient, fake: FakeAcquire, code: str, status: int
) -> None:
    fake.refuse = Refused(ask=0, code=code, reason="It cannot be.", mend="Wait.")  # type: ignore[arg-type]
    problem = _is_problem(await client.post("/api/v1/sessions/demo/stop"), status, code)
    assert problem["detail"] == "It cannot be." and problem["mend"] == "Wait."


@pytest.mark.parametrize("name", ["other", "..", "%2e%2e", "a%2Fb", "%00", "ä", "x" * 200, "-x", "a..b"])
async def test_a_session_that_is_not_there(client: httpx.AsyncClient, fake: FakeAcquire, name: str) -> None:
    for method, path in [("GET", ""), ("POST", "/stop"), ("POST", "/abort")]:
        _is_problem(await client.request(method, f"/api/v1/sessions/{name}{path}"), 404)
    assert fake.commands == []


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b'{"by": 3}', b'{"by": "' + b"x" * 65 + b'"}', b'{"who": "me"}', b"\xff\xfe", b"[" * 5000]
)
async def test_a_body_that_cannot_be_understood(client: httpx.AsyncClient, fake: FakeAcquire, body: bytes) -> None:
    headers = {"content-type": "application/json"}
    _is_problem(await client.post("/api/v1/sessions/demo/stop", content=body, headers=headers), 422)
    assert fake.commands == []


async def test_a_large_body_is_refused_whether_it_says_its_length_or_not(client: httpx.AsyncClient) -> None:
    path = "/api/v1/sessions/demo/stop"
    _is_problem(await client.post(path, content=b" " * ((1 << 20) + 1)), 413, "body")

    async def pieces() -> object:
        for _ in range(20):
            yield b" " * 65536

    _is_problem(await client.post(path, content=pieces()), 413, "body")
    _is_problem(await client.post(path, headers={"content-length": "-1"}), 413, "body")


async def test_unknown_paths_and_methods_are_problems(client: httpx.AsyncClient) -> None:
    for path in ("/nowhere", "/api/v1/nothing", "/static/../app.py", "/static/..%2fapp.py", "/static/", "/status/"):
        _is_problem(await client.get(path), 404)
    response = await client.delete("/api/v1/status")
    _is_problem(response, 405)
    assert response.headers["allow"] == "GET"


async def test_every_answer_has_the_guarding_headers(client: httpx.AsyncClient) -> None:
    for path in ("/", "/static/page.css", "/api/v1/status", "/nowhere", "/metrics", "/status"):
        headers = (await client.get(path)).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff" and headers["referrer-policy"] == "no-referrer"
        assert headers["cache-control"] in ("no-store", "no-cache")


async def test_the_page_and_its_files_need_no_token_and_are_not_sent_twice(client: httpx.AsyncClient) -> None:
    page = await client.get("/", headers={"Authorization": ""})
    assert page.status_code == 200 and '<script type="module" src="/static/main.js">' in page.text
    assert "style=" not in page.text and "onclick" not in page.text
    again = await client.get("/", headers={"If-None-Match": page.headers["etag"]})
    assert again.status_code == 304 and again.content == b""
    script = await client.get("/static/main.js")
    assert script.headers["content-type"].startswith("text/javascript")


async def test_the_page_calls_no_stranger(client: httpx.AsyncClient) -> None:
    root = Path(__file__).parents[3] / "service" / "scanmend" / "web" / "static"
    for path in root.rglob("*"):
        if path.suffix in (".js", ".css", ".html"):
            text = path.read_text().replace("http://www.w3.org/2000/svg", "")
            text = text.replace("/*! https://github.com/leeoniya/uPlot", "/*!")  # whose it is, in a comment
            # The bare scheme, as in a test of how an address begins, calls nobody.
            assert not re.search(r"https?://[\w$]", text) and "innerHTML" not in text, path


async def test_the_status_is_whole(client: httpx.AsyncClient, fake: FakeAcquire) -> None:
    status = (await client.get("/api/v1/status")).json()
    assert status["state"] == "ready" and status["reasons"] == [] and status["age_s"] < 1.5
    assert status["address"] == "tcp://127.0.0.1:7501" and status["engine"]["default_model"] == "pushpull"
    session = status["sessions"][0]
    assert session["session_id"] == "7" and session["field"]["shape"] == [64, 64]
    assert session["dose"] == {
        "used_e_per_nm2": 12.5,
        "most_e_per_nm2": 37.5,
        "budget_e_per_nm2": 40.0,
        "client_budget_e_per_nm2": 40.0,
    }
    assert session["account"]["restored"] == session["account"]["received"]
    assert (await client.get("/api/v1/sessions")).json()["sessions"][0]["name"] == "demo"
    assert (await client.get("/api/v1/sessions/demo")).json()["latency_ms"]["p95"] == 18.4
    model = (await client.get("/api/v1/models")).json()["models"][0]
    assert model["default"] and model["live"] and model["provider"] == "CPUExecutionProvider"


async def test_problems_of_acquire_and_of_the_limits_stand_together(
    client: httpx.AsyncClient, fake: FakeAcquire
) -> None:
    # A client's word may sound like the service's, and be older: it neither hides it nor stands above it.
    said = {"reported_by": "microscope", "client": "merlin", "text": "So says the client."}
    fake.problems = [
        ProblemInfo(level="warning", code="slow", since_unix_ns=1, **said),
        ProblemInfo(level="error", code="dose_budget", session="demo", since_unix_ns=1, **said),
        ProblemInfo(level="warning", code="slow", text="Slow.", mend="Wait.", since_unix_ns=time.time_ns()),
    ]
    fake.dose = 50.0
    for _ in range(200):
        problems = (await client.get("/api/v1/status")).json()["problems"]
        if len(problems) == 4:
            break
        await asyncio.sleep(0.05)
    assert [(p["code"], p["reported_by"], p["client"]) for p in problems] == [
        ("dose_budget", "service", ""),
        ("dose_budget", "microscope", "merlin"),
        ("slow", "service", ""),
        ("slow", "microscope", "merlin"),
    ]
    assert problems[0]["level"] == "error" and problems[0]["session"] == "demo" and "125 %" in problems[0]["text"]


@pytest.mark.parametrize(
    ("state", "code"), [("starting", "engine_starting"), ("down", "engine_down"), ("stuck", "engine_stuck")]
)
async def test_not_ready_while_the_engine_is_not(
    client: httpx.AsyncClient, fake: FakeAcquire, state: str, code: str
) -> None:
    fake.engine_state = state
    await until_ready(client, 503)
    assert [r["code"] for r in (await client.get("/readyz")).json()["reasons"]] == [code]
    assert (await client.get("/healthz")).json()["alive"] is True
    status = (await client.get("/api/v1/status")).json()
    assert status["state"] == "degraded" and [p["code"] for p in status["problems"]] == [code]
    page = (await client.get("/status", headers={"Authorization": ""})).text
    assert "Not ready" in page and "<script" not in page and "demo" not in page and "7501" not in page


async def test_acquire_away_and_back(folder: Path) -> None:
    async with running(folder) as client:
        assert (await client.get("/healthz")).status_code == 200
        _is_problem(await client.get("/api/v1/sessions"), 503, "acquire_unreachable")
        _is_problem(await client.post("/api/v1/sessions/demo/stop"), 503, "acquire_unreachable")
        status = (await client.get("/api/v1/status")).json()
        assert status["state"] == "unreachable" and status["age_s"] is None and status["sessions"] == []
        with FakeAcquire(folder, size=16):
            await until_ready(client)
        await until_ready(client, 503)
        status = (await client.get("/api/v1/status")).json()
        assert status["state"] == "unreachable" and [s["name"] for s in status["sessions"]] == ["demo"]
        assert status["problems"][0]["code"] == "acquire_unreachable"
        with FakeAcquire(folder, ("second",), size=16):
            await until_ready(client)
            names = [s["name"] for s in (await client.get("/api/v1/sessions")).json()["sessions"]]
            assert names == ["second"]


async def test_one_status_is_asked_for_all(client: httpx.AsyncClient, fake: FakeAcquire) -> None:
    before = fake.asked.count("AskStatus")
    begun = time.monotonic()
    await asyncio.gather(*(client.get("/api/v1/status") for _ in range(100)))
    await asyncio.sleep(1.0)
    asked = fake.asked.count("AskStatus") - before
    assert asked <= 5.5 * (time.monotonic() - begun) + 1


async def test_the_openapi_document_is_true(client: httpx.AsyncClient) -> None:
    document = (await client.get("/api/v1/openapi.json")).json()
    assert document["info"]["title"] == "Scanmend"
    schemes = document["components"]["securitySchemes"]
    assert {name: scheme["scheme"] for name, scheme in schemes.items()} == {
        "operateToken": "bearer",
        "readToken": "bearer",
    }
    tags = {tag["name"] for tag in document["tags"]}
    ids = [operation["operationId"] for item in document["paths"].values() for operation in item.values()]
    assert len(set(ids)) == len(ids) and all(re.fullmatch("[a-z][A-Za-z]*", each) for each in ids)
    for path, item in document["paths"].items():
        for method, operation in item.items():
            assert operation.get("summary") and operation.get("description"), path
            assert set(operation["tags"]) <= tags and operation["tags"], path
            acts = method != "get" and path not in FOR_READERS
            known = [{"operateToken": []}] if acts else [{"operateToken": []}, {"readToken": []}]
            assert operation.get("security", known) == known, path
            for code, answer in operation["responses"].items():
                problem = code >= "400" and path not in OPEN_PATHS
                assert ("application/problem+json" in answer.get("content", {})) == problem, (path, code)
            assert bool(operation.get("security")) == (path not in OPEN_PATHS | WITH_TICKETS), path
            if path not in OPEN_PATHS | WITH_TICKETS:
                assert {"401", "403"} <= set(operation["responses"]), path
            if path == "/api/v1/advice":
                assert {"200", "413", "422", "429", "500", "503"} <= set(operation["responses"])
            elif method in ("post", "patch"):
                assert {"413", "422"} <= set(operation["responses"]), path
                if operation["tags"] == ["commands"]:
                    assert {"202", "404", "409", "503"} <= set(operation["responses"]), path
    text = str(document)
    assert "HTTPValidationError" not in text
