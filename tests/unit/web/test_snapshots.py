"""Snapshots of the live view: what is in the files, and that nobody takes a restored picture for data."""

from __future__ import annotations

import io
import json
from pathlib import Path

import httpx
import numpy as np
import pytest
import tifffile
from PIL import Image

from fake_acquire import MODEL, FakeAcquire
from web_app import READ_TOKEN, running, until_ready

READING = {"Authorization": f"Bearer {READ_TOKEN}"}


async def _take(client: httpx.AsyncClient) -> dict[str, object]:
    answer = await client.post("/api/v1/sessions/demo/snapshot", json={"by": "Ada"}, timeout=60)
    assert answer.status_code == 201, answer.text
    assert answer.headers["location"] == f"/api/v1/snapshots/{answer.json()['name']}"
    return answer.json()


async def _file(client: httpx.AsyncClient, snapshot: dict[str, object], word: str) -> bytes:
    answer = await client.get(snapshot["files"][word], headers=READING)  # type: ignore[index]
    assert answer.status_code == 200
    return answer.content


async def test_a_snapshot_is_data_and_estimate_with_all_that_is_known(
    client: httpx.AsyncClient, fake: FakeAcquire
) -> None:
    fake.caution = "much darker than in training"
    snapshot = await _take(client)
    assert snapshot["restored"] is True and snapshot["by"] == "Ada" and snapshot["sha256"] == MODEL.sha256
    assert set(snapshot["files"]) == {"png", "raw_png", "tiff", "raw_tiff", "sigma_tiff", "json"}
    about = json.loads(await _file(client, snapshot, "json"))
    assert about["session"]["name"] == "demo" and about["session"]["dose"]["used_e_per_nm2"] == 12.5
    assert about["model"]["name"] == "pushpull" and about["picture"]["number"] >= 1
    sparse, _, estimate, sigma = fake._movie[about["picture"]["number"] % len(fake._movie)]
    for word, wanted in (("raw_tiff", sparse), ("tiff", estimate), ("sigma_tiff", sigma)):
        with tifffile.TiffFile(io.BytesIO(await _file(client, snapshot, word))) as tiff:
            values = tiff.asarray()
            assert np.array_equal(values, np.frombuffer(wanted, "<f4").reshape(64, 64), equal_nan=True), word
            assert 'PhysicalSizeX="1.95"' in (tiff.ome_metadata or "")
            assert ("estimate, not data" in (tiff.ome_metadata or "")) == (word != "raw_tiff")
    drawn = Image.open(io.BytesIO(await _file(client, snapshot, "png")))
    assert "restored by pushpull 1 — estimate, not data" in drawn.info["Description"]
    assert "much darker than in training" in drawn.info["Description"]
    assert drawn.height > drawn.width, "the strip with scale bar and words is under the picture"
    assert "as measured" in Image.open(io.BytesIO(await _file(client, snapshot, "raw_png"))).info["Description"]


async def test_counts_stay_whole_numbers_and_a_passed_picture_is_not_marked(
    client: httpx.AsyncClient, fake: FakeAcquire
) -> None:
    fake.restored, fake.raster = False, True
    snapshot = await _take(client)
    assert snapshot["restored"] is False and set(snapshot["files"]) == {"png", "raw_png", "tiff", "raw_tiff", "json"}
    values = tifffile.imread(io.BytesIO(await _file(client, snapshot, "raw_tiff")))
    assert values.dtype == np.uint16
    drawn = Image.open(io.BytesIO(await _file(client, snapshot, "png")))
    assert "restored" not in drawn.info["Description"]


async def test_snapshots_are_listed_newest_first(client: httpx.AsyncClient, folder: Path) -> None:
    names = [str((await _take(client))["name"]) for _ in range(3)]
    (folder / "data" / "snapshots" / names[1] / "snapshot.json").write_text("{}")  # a damaged one is passed over
    page = (await client.get("/api/v1/snapshots", params={"limit": 2}, headers=READING)).json()
    assert [each["name"] for each in page["snapshots"]] == [names[2]]
    rest = await client.get("/api/v1/snapshots", params={"limit": 2, "cursor": page["next"]})
    assert [each["name"] for each in rest.json()["snapshots"]] == [names[0]] and rest.json()["next"] is None
    again = await client.get(
        "/api/v1/snapshots",
        params={"limit": 2, "cursor": page["next"]},
        headers={"If-None-Match": rest.headers["etag"]},
    )
    assert again.status_code == 304
    assert (await client.get("/api/v1/snapshots", params={"session": "other"})).json()["snapshots"] == []
    one = await client.get(f"/api/v1/snapshots/{names[0]}")
    assert one.json() == rest.json()["snapshots"][0]
    assert not list((folder / "data" / "snapshots").glob(".*"))


@pytest.mark.parametrize(
    "path", ["..", "%2e%2e/access-token", "x", "20260331T105243.512Z_demo", "20260331T105243.512Z_demo/picture.png"]
)
async def test_what_is_no_snapshot_is_not_there(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(f"/api/v1/snapshots/{path}")
    assert answer.status_code == 404 and answer.headers["content-type"] == "application/problem+json"


async def test_there_is_nothing_to_keep(client: httpx.AsyncClient, fake: FakeAcquire) -> None:
    answer = await client.post("/api/v1/sessions/demo/snapshot", headers=READING)
    assert answer.status_code == 403
    assert (await client.post("/api/v1/sessions/other/snapshot")).status_code == 404
    assert not fake.commands


async def test_no_snapshot_without_room(folder: Path, fake: FakeAcquire) -> None:
    async with running(folder, free_bytes=1 << 60) as client:
        await until_ready(client)
        answer = await client.post("/api/v1/sessions/demo/snapshot")
    assert answer.status_code == 507 and answer.json()["type"].endswith(":no_room")
