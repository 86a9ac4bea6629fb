"""Several detectors at a real service: the page chooses which it sees, and a scan that stands still is seen too."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest
import tifffile
from websockets.sync.client import connect

from running import RunningService, wait_for
from scanmend.client import Client
from scanmend.field import Channel, DetectorKind, Field
from scanmend.plan import ScanPlan

FIELD = Field(shape=(48, 64), pixel_size_nm=0.5, beam_current_pa=20.0)
BF = Channel(
    name="BF",
    kind=DetectorKind.ANALOGUE,
    units_per_electron=5.0,
    offset_units=30.0,
    saturation_units=300.0,
    reference_dwell_ns=500,
)
CHANNELS = [Channel(name="HAADF"), BF]
PLAN = ScanPlan.raster(FIELD.shape, 1000)


@pytest.fixture
def api(service: RunningService) -> Iterator[httpx.Client]:
    token = (service.data_dir / "access-token").read_text().strip()
    base = service.page.partition("/#")[0]
    with httpx.Client(base_url=base, headers={"Authorization": f"Bearer {token}"}, timeout=60) as client:
        wait_for(lambda: client.get("/readyz").status_code == 200, 60, "the service is not ready")
        yield client


def seen(service: RunningService, session: str, channel: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The newest picture of a channel, as a browser gets it: its header and its planes in units."""
    address, _, token = service.page.partition("/#token=")
    with connect(f"{address.replace('http', 'ws')}/api/v1/live", max_size=None) as socket:
        socket.send(json.dumps({"token": token}))
        socket.send(json.dumps({"session": session, "channel": channel, "ready": True}))
        while not isinstance(message := socket.recv(timeout=20), bytes):
            pass
    size = int.from_bytes(message[:4], "little")
    header = json.loads(message[4 : 4 + size])
    planes = {}
    for plane in header["planes"]:
        kind = np.dtype(plane["dtype"]).newbyteorder("<")
        numbers = np.frombuffer(message, kind, plane["bytes"] // kind.itemsize, 4 + size + plane["offset"])
        values = plane["add"] + plane["scale"] * numbers.astype(float)
        planes[plane["name"]] = np.where(numbers == plane["missing"], np.nan, values).reshape(header["shape"])
    return header, planes


def test_each_browser_sees_the_channel_that_it_asks_for(service: RunningService, api: httpx.Client) -> None:
    samples = np.random.default_rng(5).poisson(60, (2, FIELD.pixels)).astype(np.uint16)
    with (
        Client(service.address) as client,
        client.session("two-detectors", FIELD, channels=CHANNELS, model="pushpull") as session,
    ):
        session.send_samples(PLAN, samples, 0)
        assert session.receive(30) is not None
        shown = "/api/v1/sessions/two-detectors"
        wait_for(lambda: api.get(shown).status_code == 200, 20, "the session does not show")
        header, planes = seen(service, "two-detectors", "BF")
        electrons = (samples[1].reshape(FIELD.shape) - 30.0) / 5.0 * 2  # twice the dwell that the gain refers to
        np.testing.assert_allclose(planes["raw"], electrons, atol=np.ptp(electrons) / 65534)
        assert (header["channel"], header["restored"], header["reason"]) == ("BF", False, "other_channel")
        assert header["reference_dwell_ns"] == 1000 and set(planes) == {"raw"} and header["model"] == ""
        header, planes = seen(service, "two-detectors", "")
        assert (header["channel"], header["restored"], header["model"]) == ("HAADF", True, "pushpull")
        assert header["reference_dwell_ns"] == 1000 and set(planes) == {"raw", "estimate", "sigma"}
        np.testing.assert_array_equal(planes["raw"].round(2), samples[0].reshape(FIELD.shape))

        taken = api.post(f"{shown}/snapshot", json={"channel": "BF"}).json()
        assert not taken["restored"] and "sigma_tiff" not in taken["files"]
        kept = tifffile.imread(io.BytesIO(api.get(taken["files"]["tiff"]).content))
        np.testing.assert_allclose(kept, electrons, rtol=1e-6)
        about = api.get(taken["files"]["json"]).json()
        assert about["picture"]["channel"] == "BF" and "raw_path" not in about["picture"]
        refused = api.post(f"{shown}/snapshot", json={"channel": "EDX"})
        assert refused.status_code == 404 and refused.json()["type"].endswith("no_channel")
    assert not list(service.run_dir.glob("raw-*")), "a picture was left behind"


def test_a_scan_that_stands_still_is_seen_by_who_comes_later(service: RunningService, api: httpx.Client) -> None:
    samples = np.random.default_rng(6).poisson(9, (2, FIELD.pixels)).astype(np.uint16)
    options: dict[str, Any] = {"channels": CHANNELS, "model": "pushpull", "mode": "exposure"}
    with Client(service.address) as client, client.session("stands-still", FIELD, **options) as session:
        for number in range(3):  # in chunks, so fast that one a second is none of them
            session.send_samples(PLAN, samples, number, chunk_points=FIELD.pixels // 8)
        while (answer := session.receive(30)) is not None and not (answer.end_of_pass and answer.pass_index == 2):
            pass
        header, planes = seen(service, "stands-still", "")
        np.testing.assert_allclose(planes["raw"], samples[0].reshape(FIELD.shape), atol=1e-2)
        assert header["frames_included"] == 24 and header["restored"]
        header, planes = seen(service, "stands-still", "BF")
        electrons = (samples[1].reshape(FIELD.shape) - 30.0) / 5.0 * 2
        np.testing.assert_allclose(planes["raw"], electrons, atol=np.ptp(electrons) / 65534)
        assert header["frames_included"] == 24 and header["coverage"] == 1.0
