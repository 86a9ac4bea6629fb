"""How sessions went, what the keeper says, and what the models' page shows."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import httpx
import msgspec
import pytest

from fake_acquire import MODEL, FakeAcquire
from scanmend.ipc import console
from scanmend.ipc.console import ProblemInfo
from scanmend.ipc.keeper_status import KeeperError, KeeperStatus, Unfinished, write_keeper_status
from scanmend.web.console_client import Snapshot
from scanmend.web.history import LENGTH_S, History
from scanmend.web.model_files import figures, sections

CATALOGUE = Path(__file__).parents[3] / "models" / "scanmend_models" / "catalogue"


def _snapshot(fake: FakeAcquire, received: int, session_id: int = 7, state: str = "open") -> Snapshot:
    status = console.decode_from_acquire(fake._answer(console.AskStatus(ask=1))[0])
    assert isinstance(status, console.Status)
    info = status.sessions[0]
    dropped = {"x": 10, "returns_none": received}  # nobody wanted these
    account = msgspec.structs.replace(info.account, received=received, restored_out=received // 2, dropped=dropped)
    hello = msgspec.structs.replace(info.hello, session_id=session_id)
    info = msgspec.structs.replace(info, account=account, hello=hello, state=state)
    return Snapshot(msgspec.structs.replace(status, sessions=[info]), True, 0.0)


def test_a_sample_a_second_with_rates_and_no_more_than_fit(folder: Path) -> None:
    fake, now = FakeAcquire(folder), [1000.0]
    history = History(lambda: now[0], lambda: now[0])
    for step in range(5 * LENGTH_S + 20):
        history.take(_snapshot(fake, received=4 * step) if step % 50 == 0 or step < 20 else _snapshot(fake, 4 * step))
        now[0] += 0.25
    samples = history.of("demo", 1e9)
    assert len(samples) == LENGTH_S
    assert {(s.frames_in, s.frames_out, s.dropped) for s in samples[1:]} == {(16.0, 8.0, 0.0)}
    assert samples[-1].p95_ms == 18.4 and samples[-1].queued == 1
    assert len(history.of("demo", 10)) == 10 and history.of("other", 10) == []
    ended = _snapshot(fake, received=4 * step, state="ended")
    for _ in range(40):
        now[0] += 1
        history.take(ended)
    assert len(history.of("demo", 1e9)) <= LENGTH_S and history.of("demo", 30) == []
    history.take(_snapshot(fake, received=5, session_id=8))
    assert history.of("demo", 1e9) == [], "another session of this name begins anew"
    history.take(Snapshot(None, False, 0.0))


async def test_the_history_of_a_session_is_asked_for(client: httpx.AsyncClient) -> None:
    samples: list[dict[str, float]] = []
    for _ in range(100):
        samples = (await client.get("/api/v1/sessions/demo/history?seconds=60")).json()["samples"]
        if len(samples) >= 2:
            break
        await asyncio.sleep(0.1)
    assert {"unix_s", "p50_ms", "p95_ms", "frames_in", "frames_out", "queued", "dropped"} <= samples[0].keys()
    assert 0.9 < samples[1]["unix_s"] - samples[0]["unix_s"] < 3 and samples[1]["frames_in"] == pytest.approx(
        20, rel=0.5
    )
    assert (await client.get("/api/v1/sessions/other/history")).status_code == 404
    assert (await client.get("/api/v1/sessions/demo/history?seconds=0")).status_code == 422


async def test_the_keeper_and_its_problems_are_in_the_status(client: httpx.AsyncClient, folder: Path) -> None:
    async def until(condition: object) -> dict[str, object]:
        for _ in range(100):
            status = (await client.get("/api/v1/status")).json()
            if condition(status):  # type: ignore[operator]
                return status
            await asyncio.sleep(0.1)
        raise AssertionError(status)

    assert (await client.get("/api/v1/status")).json()["keeper"] is None
    said = KeeperStatus(
        pid=1,
        at_unix_ns=time.time_ns(),
        state="exporting",
        session="r1",
        queued=2,
        queue=("r2", "r3"),
        exported=4,
        unfinished=(Unfinished(name="r0", held=False),),
        errors=(KeeperError(at_unix_ns=5, doing="export", session="r9", text="No room."),),
        problems=(ProblemInfo(level="error", code="export_failed", text="r9 was not exported.", mend="Make room."),),
        recordings_bytes=50,
        quota_bytes=200,
    )
    write_keeper_status(folder, said)
    status = await until(lambda status: status["keeper"])
    keeper = status["keeper"]
    assert keeper["state"] == "exporting" and keeper["quota_used"] == 0.25 and keeper["unfinished"] == ["r0"]
    assert keeper["errors"][0]["text"] == "No room."
    assert [p["code"] for p in status["problems"]] == ["export_failed"]
    metrics = (await client.get("/metrics")).text
    assert "scanmend_keeper_sessions_exported_total 4.0" in metrics and "scanmend_recordings_bytes 50.0" in metrics
    write_keeper_status(folder, msgspec.structs.replace(said, at_unix_ns=time.time_ns() - 100 * 10**9))
    status = await until(lambda status: status["keeper"]["state"] == "silent")
    assert [p["code"] for p in status["problems"]] == ["keeper_silent"]
    (folder / "keeper.json").write_text("no json")
    await until(lambda status: status["keeper"] is None)


async def test_a_model_is_shown_with_its_card(client: httpx.AsyncClient, fake: FakeAcquire) -> None:
    listed = await client.get("/api/v1/models")
    again = await client.get("/api/v1/models", headers={"If-None-Match": listed.headers["etag"]})
    assert again.status_code == 304
    model = (await client.get("/api/v1/models/pushpull")).json()
    assert model["live"] and model["sha256"] == MODEL.sha256
    assert model["figures"] is None, "the stand-in's model is not the catalogue's: its figures are not shown"
    assert (await client.get("/api/v1/models/nobody")).status_code == 404


@pytest.mark.parametrize("path", sorted(CATALOGUE.glob("*.json")), ids=lambda path: path.stem)
def test_every_model_of_the_catalogue_has_figures_and_a_card(path: Path) -> None:
    manifest = json.loads(path.read_text())
    found = figures(manifest["name"], manifest["sha256"])
    assert found is not None and found.opset == manifest["opset"]
    assert (found.calibration is not None) == ("calibration" in manifest)
    assert figures(manifest["name"], "00" * 32) is None
    paragraphs = sections(manifest["card"])
    whole = " ".join(f"{each.title}: {each.text}" if each.title else each.text for each in paragraphs)
    assert whole.split() == manifest["card"].split()
    if manifest["kind"] == "learned":
        assert "Where it fails" in {each.title for each in paragraphs}


@pytest.mark.parametrize("name", ["../quality", "Quality", "", "x" * 40])
def test_no_other_file_is_read(name: str) -> None:
    assert figures(name, "00" * 32) is None
