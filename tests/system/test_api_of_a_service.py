"""A whole service over HTTP: a snapshot while it scans, then its recording found, seen, downloaded and replayed."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import numpy as np
import pytest
import tifffile
from PIL import Image

from running import RunningService, wait_for
from scanmend.client import Client
from scanmend.field import Channel, Field
from scanmend.plan import ScanPlan

FIELD = Field(shape=(48, 64), pixel_size_nm=0.5, beam_current_pa=20.0, beam_energy_kev=200.0)
NAME = "seen-by-http"


@pytest.fixture
def api(service: RunningService) -> Iterator[httpx.Client]:
    token = (service.data_dir / "access-token").read_text().strip()
    base = service.page.partition("/#")[0]
    with httpx.Client(base_url=base, headers={"Authorization": f"Bearer {token}"}, timeout=60) as client:
        yield client


def _scan(service: RunningService, api: httpx.Client) -> tuple[np.ndarray, dict[str, Any]]:
    """Scan until there is a snapshot and a history; gives the samples, and the snapshot."""
    wait_for(lambda: api.get("/readyz").status_code == 200, 60, "the service is not ready")
    plan = ScanPlan.raster(FIELD.shape, 1000)
    rng, samples = np.random.default_rng(3), []
    with (
        ThreadPoolExecutor(1) as aside,
        Client(service.address) as client,
        client.session(NAME, FIELD, channels=[Channel(name="SE", units_per_electron=1.0)], model="pushpull") as session,
    ):
        begun_ns = time.time_ns()
        shown = f"/api/v1/sessions/{NAME}"
        wait_for(lambda: api.get(shown).status_code == 200, 20, "the session does not show")
        asked = aside.submit(api.post, f"/api/v1/sessions/{NAME}/snapshot", json={"by": "Ada"})
        while not (asked.done() and _history(api, NAME)):
            assert len(samples) < 500
            samples.append(rng.poisson(40, (1, FIELD.pixels)).astype(np.uint16))
            acquired_unix_ns = begun_ns + len(samples) * 10_000_000
            session.send_samples(plan, samples[-1], len(samples) - 1, acquired_unix_ns=acquired_unix_ns)
            assert session.receive(20) is not None
        taken = asked.result()
        assert taken.status_code == 201, taken.text
    assert session.receipt is not None and session.receipt.durable == len(samples)
    return np.stack(samples).reshape(-1, *FIELD.shape), taken.json()


def _history(api: httpx.Client, name: str) -> list[dict[str, float]]:
    samples: list[dict[str, float]] = api.get(f"/api/v1/sessions/{name}/history").json()["samples"]
    return samples


def _snapshot_is_whole(api: httpx.Client, snapshot: dict[str, Any], samples: np.ndarray) -> None:
    assert snapshot["restored"] and snapshot["model"] == "pushpull" and len(snapshot["sha256"]) == 64
    raw = tifffile.imread(io.BytesIO(api.get(snapshot["files"]["raw_tiff"]).content))
    about = api.get(snapshot["files"]["json"]).json()
    assert np.array_equal(raw, samples[about["picture"]["seq"]])
    assert about["model"]["sha256"] == snapshot["sha256"] and about["session"]["channels"][0]["name"] == "SE"
    drawn = Image.open(io.BytesIO(api.get(snapshot["files"]["png"]).content))
    assert "restored by pushpull" in drawn.info["Description"]


def test_a_session_is_seen_recorded_and_replayed(service: RunningService, api: httpx.Client) -> None:
    samples, snapshot = _scan(service, api)
    _snapshot_is_whole(api, snapshot, samples)

    found = api.get("/api/v1/recordings", params={"search": NAME}).json()["recordings"]
    assert [(each["name"], each["state"], each["frames_on_disk"]) for each in found] == [(NAME, "ended", len(samples))]
    assert api.get(f"/api/v1/recordings/{NAME}").json()["receipt"]["balanced"] is True
    thumbnail = np.asarray(Image.open(io.BytesIO(api.get(found[0]["thumbnail"]).content)))
    assert thumbnail.shape == FIELD.shape
    assert np.corrcoef(thumbnail.ravel(), samples[-1].ravel())[0, 1] > 0.9

    picture = api.get(f"/api/v1/recordings/{NAME}/export", params={"to": "tiff"})
    assert np.array_equal(tifffile.imread(io.BytesIO(picture.content)).reshape(samples.shape), samples)

    begun = api.post(f"/api/v1/recordings/{NAME}/replay", json={"speed": "max", "by": "Ada"})
    assert begun.status_code == 202, begun.text
    assert api.post(f"/api/v1/recordings/{NAME}/replay").json()["session"] == begun.json()["session"]
    wait_for(lambda: _replay(api)["state"] != "running", 60, "the replay does not end")
    done = _replay(api)
    assert done["state"] == "done", done
    assert done["result"]["equal"] and done["result"]["sent"] == len(samples) and done["by"] == "Ada"
    assert api.get(f"/api/v1/recordings/{done['session']}").json()["frames_on_disk"] == len(samples)


def test_a_replay_is_stopped(service: RunningService, api: httpx.Client) -> None:
    if api.get(f"/api/v1/recordings/{NAME}").status_code == 404:
        _scan(service, api)
    begun = api.post(f"/api/v1/recordings/{NAME}/replay", json={"speed": 0.0001}).json()
    shown = f"/api/v1/sessions/{begun['session']}"
    wait_for(lambda: api.get(shown).status_code == 200, 30, "the replay's session does not show")
    stopped = api.delete(f"/api/v1/recordings/{NAME}/replay")
    assert stopped.status_code == 200 and stopped.json()["state"] == "stopped", stopped.text
    wait_for(lambda: api.get(shown).json()["state"] in ("ending", "ended"), 20, "its session goes on")
    assert api.delete(f"/api/v1/recordings/{NAME}/replay").json() == stopped.json()
    actions = [each["action"] for each in api.get("/api/v1/commands").json()["commands"]]
    assert {"replay", "replay_stop"} <= set(actions)


def _replay(api: httpx.Client) -> dict[str, Any]:
    view: dict[str, Any] = api.get(f"/api/v1/recordings/{NAME}/replay").json()
    return view
