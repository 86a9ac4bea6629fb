"""Recorded sessions over HTTP: found, described, drawn, downloaded, and what is refused."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path

import h5py
import hdf5plugin  # noqa: F401 - reads what is packed with Blosc
import httpx
import numpy as np
import pytest
from PIL import Image

from recordings import BEGAN_NS, FIELD, SECOND_NS, begin, record
from scanmend.web.made_files import MOST_HELD, MadeFile, Tickets
from web_app import READ_TOKEN, running

READING = {"Authorization": f"Bearer {READ_TOKEN}"}
PATH = "/api/v1/recordings"


@pytest.fixture
async def api(folder: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A data folder with four recordings, the newest unfinished."""
    data = folder / "data"
    for number, name in enumerate(("a1", "b2", "c3")):
        record(data, name, range(number + 1), began_ns=BEGAN_NS + number * SECOND_NS, client=f"bench {name}")
    record(data, "d4", range(2), ended=False, began_ns=BEGAN_NS + 3 * SECOND_NS)
    async with running(folder) as client:
        yield client


def _problem(response: httpx.Response, status: int, code: str) -> None:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["type"].endswith(f":{code}") and response.json()["mend"]


async def test_the_list_goes_page_by_page_and_is_not_sent_twice(api: httpx.AsyncClient) -> None:
    names, cursor = [], None
    while True:
        query = {"limit": 3} | ({} if cursor is None else {"cursor": cursor})
        answer = await api.get(PATH, params=query, headers=READING)
        page = answer.json()
        assert page["found"] == page["of"] == 4 and page["remarks"] == []
        names += [each["name"] for each in page["recordings"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert names == ["d4", "c3", "b2", "a1"]
    first = await api.get(PATH)
    again = await api.get(PATH, headers={"If-None-Match": first.headers["etag"]})
    assert again.status_code == 304 and again.content == b""
    newest = first.json()["recordings"][0]
    assert newest["state"] == "unfinished" and newest["ended_unix_s"] is None and newest["shape"] == [16, 16]
    assert newest["misses"] == ["It was not ended: it has no receipt."]


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ({"search": "BENCH B2"}, ["b2"]),
        ({"model": "pushpull", "limit": 1}, ["d4"]),
        ({"tag": "gold"}, []),
        ({"since_unix_s": BEGAN_NS / 1e9 + 1, "until_unix_s": BEGAN_NS / 1e9 + 2}, ["c3", "b2"]),
        ({"min_dose_e_per_nm2": 1e9}, []),
        ({"max_dose_e_per_nm2": 1e9}, ["d4", "c3", "b2", "a1"]),
    ],
)
async def test_what_is_searched_for_is_found(api: httpx.AsyncClient, query: dict[str, str], names: list[str]) -> None:
    assert [each["name"] for each in (await api.get(PATH, params=query)).json()["recordings"]] == names


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=201", "cursor=x", "cursor=WzEsMl0", "cursor=e30", "since_unix_s=nan", "since_unix_s=-1"]
)
async def test_a_question_that_cannot_be_is_refused(api: httpx.AsyncClient, query: str) -> None:
    response = await api.get(f"{PATH}?{query}")
    _problem(response, 422, response.json()["type"].split(":")[-1])


@pytest.mark.parametrize("name", ["nowhere", "..", "%2e%2e", "a%2F..%2Fb2", ".hidden", "%00", "ä", "x" * 200, "a..b"])
async def test_a_recording_that_is_not_there(api: httpx.AsyncClient, name: str) -> None:
    for method, path in [
        ("GET", ""),
        ("GET", "/thumbnail.png"),
        ("GET", "/export"),
        ("GET", "/replay"),
        ("POST", "/replay"),
        ("DELETE", "/replay"),
    ]:
        assert (await api.request(method, f"{PATH}/{name}{path}")).status_code == 404
    assert (await api.patch(f"{PATH}/{name}", json={"note": "x"})).status_code == 404


async def test_tags_and_notes_are_kept_and_a_note_is_not_added_twice(api: httpx.AsyncClient) -> None:
    before = await api.get(f"{PATH}/b2")
    assert before.json()["receipt"]["durable"] == 2 and before.json()["receipt"]["session_id"].isdigit()
    assert "receipt.json" in [file["name"] for file in before.json()["files"]]
    change = {"tags": ["gold", "keep"], "note": "drifted", "by": "Ada"}
    for _ in range(2):
        answer = await api.patch(f"{PATH}/b2", json=change)
        assert answer.status_code == 200
    found = (await api.get(f"{PATH}/b2")).json()
    assert found["tags"] == ["gold", "keep"] and [note["text"] for note in found["notes"]] == ["drifted"]
    assert found["note"] == "drifted" and answer.json() == found
    _problem(
        await api.patch(f"{PATH}/b2", json={"tags": []}, headers={"If-Match": before.headers["etag"]}), 412, "changed"
    )
    answer = await api.patch(f"{PATH}/b2", json={"tags": ["keep"]}, headers={"If-Match": answer.headers["etag"]})
    assert answer.json()["tags"] == ["keep"]
    assert [each["name"] for each in (await api.get(PATH, params={"tag": "keep"})).json()["recordings"]] == ["b2"]
    for body in ({"tags": ["-x"]}, {"note": "  "}, {"note": "\x00"}, {"tags": "gold"}, {"colour": 1}):
        _problem(await api.patch(f"{PATH}/b2", json=body), 422, "invalid")
    _problem(await api.patch(f"{PATH}/b2", json=change, headers=READING), 403, "role")
    commands = (await api.get("/api/v1/commands")).json()["commands"]
    assert {(each["action"], each["session"]) for each in commands} == {("describe", "b2")}


async def test_a_damaged_catalogue_is_made_anew_and_said(api: httpx.AsyncClient, folder: Path) -> None:
    catalogue = folder / "data" / "sessions.sqlite"
    assert (await api.get(PATH)).json()["found"] == 4
    catalogue.write_bytes(b"this is no database" * 500)
    for suffix in ("-wal", "-shm"):
        catalogue.with_name(catalogue.name + suffix).unlink(missing_ok=True)
    await asyncio.sleep(1.1)  # the list is looked at once a second
    page = (await api.get(PATH)).json()
    assert page["found"] == 4 and "made anew" in page["remarks"][0]
    catalogue.unlink()
    assert (await api.get(f"{PATH}/a1")).status_code == 200


async def test_a_folder_that_cannot_be_read_is_said(folder: Path) -> None:
    async with running(folder) as client:
        assert (await client.get(PATH)).json()["recordings"] == []
        (folder / "data" / "sessions").touch()
        await asyncio.sleep(1.1)  # the list is looked at once a second
        _problem(await client.get(PATH), 503, "recordings")


async def test_a_thumbnail_is_drawn_once_and_kept(api: httpx.AsyncClient, folder: Path) -> None:
    first = await api.get(f"{PATH}/a1/thumbnail.png", headers=READING)
    assert first.status_code == 200 and first.headers["content-type"] == "image/png"
    shown = np.asarray(Image.open(io.BytesIO(first.content)))
    assert shown.shape == FIELD.shape and np.ptp(shown) > 100
    kept = list((folder / "data" / "thumbnails").glob("a1.*.png"))
    assert len(kept) == 1
    made = kept[0].stat().st_mtime_ns
    again = await api.get(f"{PATH}/a1/thumbnail.png", headers={"If-None-Match": first.headers["etag"]})
    assert again.status_code == 304 and kept[0].stat().st_mtime_ns == made


async def test_a_recording_without_frames_has_no_thumbnail(folder: Path) -> None:
    begin(folder / "data", "empty").journal.close()
    async with running(folder) as client:
        for _ in range(2):
            _problem(await client.get(f"{PATH}/empty/thumbnail.png"), 404, "no_picture")


async def test_a_download_is_whole_and_leaves_nothing_behind(api: httpx.AsyncClient, folder: Path) -> None:
    answer = await api.get(f"{PATH}/c3/export", params={"model": "none"}, headers=READING, timeout=60)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-disposition"] == 'attachment; filename="c3.nxs"'
    assert int(answer.headers["content-length"]) == len(answer.content)
    with h5py.File(io.BytesIO(answer.content)) as file:
        assert file["entry/frames_SE/data"].shape == (3, *FIELD.shape)
    assert not list((folder / "data").glob(".download-*"))
    detail = (await api.get(f"{PATH}/c3")).json()
    assert detail["exported"] == [], "a download is no export that a recording may be removed for"


async def test_a_ticket_fetches_a_file_once_and_without_a_token(api: httpx.AsyncClient, folder: Path) -> None:
    made = await api.post(f"{PATH}/c3/export", json={"to": "csv"}, headers=READING, timeout=60)
    assert made.status_code == 201, made.text
    view = made.json()
    assert view["file"] == "c3.csv" and view["address"] == made.headers["location"] and view["good_for_s"] > 1
    bare = {"Authorization": ""}
    answer = await api.get(view["address"], headers=bare)
    assert answer.status_code == 200 and len(answer.content) == view["bytes"]
    assert answer.headers["content-disposition"] == 'attachment; filename="c3.csv"'
    assert answer.headers["cache-control"] == "no-store" and answer.text.splitlines()[0].startswith("seq")
    for ticket in (view["address"], "/api/v1/downloads/guessed"):
        _problem(await api.get(ticket, headers=bare), 404, "no_download")
    assert not list((folder / "data").glob(".download-*"))
    wrong = await api.post(f"{PATH}/c3/export", json={"to": "csv", "picture": "restored"})
    _problem(wrong, 422, "impossible")


async def test_files_that_nobody_fetches_go(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"data")

    def made() -> MadeFile:
        return MadeFile((tmp_path / "x").open("rb"), 4, "x", "text/plain")

    tickets, files = Tickets(ticket_s=0.05), [made() for _ in range(MOST_HELD + 1)]
    issued = [tickets.issue(file) for file in files]
    assert tickets.take(issued[0]) is None and files[0].file.closed, "the one that has waited longest makes room"
    assert tickets.take(issued[1]) is files[1] and not files[1].file.closed
    while not files[-1].file.closed:
        await asyncio.sleep(0.01)
    assert all(file.file.closed for file in files[2:]) and tickets.take(issued[-1]) is None
    last = made()
    tickets.issue(last)
    tickets.close()
    files[1].file.close()
    assert last.file.closed


async def test_one_download_at_a_time_and_none_for_nobody(api: httpx.AsyncClient) -> None:
    first = asyncio.create_task(api.get(f"{PATH}/c3/export", params={"to": "csv"}, timeout=60))
    await asyncio.sleep(0.1)
    second = await api.get(f"{PATH}/b2/export", params={"to": "csv"})
    _problem(second, 429, "busy")
    assert int(second.headers["retry-after"]) > 0
    done = await first
    assert done.status_code == 200 and done.headers["content-type"].startswith("text/csv")
    assert len(done.text.splitlines()) == 4, "a line a frame, and their names"


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"to": "png", "picture": "restored", "model": "nobody"}, "impossible"),
        ({"to": "csv", "picture": "restored"}, "impossible"),
        ({"to": "exe"}, "invalid"),
        ({"model": "--out=/tmp/x"}, "invalid"),
    ],
)
async def test_a_download_that_cannot_be_is_refused(api: httpx.AsyncClient, query: dict[str, str], code: str) -> None:
    _problem(await api.get(f"{PATH}/c3/export", params=query, timeout=60), 422, code)


async def test_a_replay_needs_acquire_and_the_right_role(api: httpx.AsyncClient) -> None:
    _problem(await api.post(f"{PATH}/a1/replay"), 503, "acquire_unreachable")
    _problem(await api.post(f"{PATH}/a1/replay", headers=READING), 403, "role")
    for body in ({"speed": 0}, {"speed": "fast"}, {"model": "../x"}, {"speed": 1e9}):
        _problem(await api.post(f"{PATH}/a1/replay", content=json.dumps(body)), 422, "invalid")
    _problem(await api.get(f"{PATH}/a1/replay"), 404, "no_replay")
    _problem(await api.delete(f"{PATH}/a1/replay"), 404, "no_replay")
