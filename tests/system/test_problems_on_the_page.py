"""What goes wrong at an instrument is seen at the service: in the API's list, in the receipt, in the recording."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from operating import AtApi
from running import RunningService, wait_for
from scanmend.field import Field
from scanmend.plan import ScanPlan
from scanmend.record import EntryKind, JournalReader, ProblemNote, read_note
from scanmend.sources import Relay, RelayOptions, SeriesOptions

SHAPE = (6, 8)
FIELD = Field(shape=SHAPE, pixel_size_nm=1.0, beam_current_pa=5.0)
PLAN = ScanPlan.raster(SHAPE, 1000)


@pytest.fixture
def counter(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The photon counter of docs/adapters.md, on its real wire."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "contracts"))
    peer = importlib.import_module("source_peers").CounterPeer()
    yield peer
    peer.close()


def test_a_detector_that_vanishes_and_comes_back(service: RunningService, counter: Any) -> None:
    api = AtApi(service)

    def said(code: str) -> list[dict[str, Any]]:
        problems = api.ask("GET", "/status")[1]["problems"]
        return [p for p in problems if p["code"] == code and p["reported_by"] == "microscope"]

    counter.vanish()
    relay = Relay(
        counter.instrument(),
        service.address,
        RelayOptions(name="vanishing", silence_s=5.0, retry_s=0.1),
        SeriesOptions(field=FIELD, plan=PLAN, flush_s=0.01),
    )
    thread = threading.Thread(target=relay.run)
    thread.start()
    try:
        wait_for(lambda: bool(said("no_instrument")), 20, "nobody says that there is no instrument")
        (problem,) = said("no_instrument")
        assert problem["session"] == "" and problem["level"] == "error" and problem["mend"] == "Switch it on."
        assert "vanishing" in problem["client"]

        counter.come_back()
        name = counter.begin(48)
        counter.send(name, [*range(10), *range(13, 20)])  # three points never come
        counter.send_wrong_size(name, 20)
        wait_for(lambda: relay.points >= 21, 10, "the points did not come")
        session = relay.session_name
        wait_for(lambda: bool(said("gap") and said("wrong_size")), 20, "the problems of the series are not shown")
        (gap,) = said("gap")
        assert (gap["session"], gap["level"]) == (session, "warning") and "3 points" in gap["text"]
        assert said("wrong_size")[0]["level"] == "error"

        counter.vanish()
        wait_for(lambda: bool(relay.ended), 20, "the session did not end")
        receipt = relay.ended[0].receipt
        assert receipt is not None and receipt.balanced and receipt.reason == "aborted"
        assert receipt.problems.pop("ended_early", 1) == 1
        assert receipt.problems == {"gap": 1, "wrong_size": 1, "no_instrument": 1}
        assert receipt.dropped_by_client == 4
        wait_for(lambda: session in {p["session"] for p in said("no_instrument")}, 20, "it is not said whose it was")
        view = api.wait_until(session, lambda view: view["state"] == "ended")
        assert view["account"]["problems"]["gap"] == 1

        counter.come_back()  # and the service, and the relay, go on
        name = counter.begin(48)
        counter.send(name, range(48))
        counter.end(name)
        wait_for(lambda: len(relay.ended) == 2, 20, "the next series did not come")
        assert relay.ended[1].receipt is not None and relay.ended[1].receipt.problems == {}
        wait_for(lambda: "" not in {p["session"] for p in said("no_instrument")}, 20, "it stands though it is back")
    finally:
        relay.stop_asked = True
        thread.join(20)
    assert not thread.is_alive()
    with JournalReader(service.data_dir / "sessions" / session) as reader:
        notes = [read_note(reader.read(entry)[0]) for entry in reader.entries(kinds=(EntryKind.NOTE,))]
    assert {"gap", "wrong_size", "no_instrument"} <= {note.code for note in notes if isinstance(note, ProblemNote)}
