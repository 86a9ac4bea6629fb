"""The benchmark of instruments' paths: the search of a rate, the sender that it measures with, a program by lines."""

from __future__ import annotations

import json
import sys
from contextlib import closing
from pathlib import Path
from urllib.request import urlopen

import numpy as np
import pytest

from scanmend.bench.ingest.child import Child
from scanmend.bench.ingest.search import MOST_TURNS, Turn, largest_rate
from scanmend.bench.ingest.sender import images
from scanmend.errors import ScanmendError
from scanmend.sources.dectris.source import DectrisSource
from scanmend.sources.kit import Images, SeriesBegan, SeriesEnded
from scanmend.sources.tuning import keep_freed_memory


class Made:
    """A reader that keeps up to a rate, behind a sender that has one of its own."""

    name, about = "made", "made up"

    def __init__(self, keeps_up: float, sender: float = 1e9, long: float | None = None) -> None:
        self.keeps_up, self.sender, self.long = keeps_up, sender, keeps_up if long is None else long
        self.turns: list[tuple[float, float]] = []

    def turn(self, rate: float, seconds: float) -> Turn:
        self.turns.append((rate, seconds))
        sent = min(rate, self.sender)
        most = self.keeps_up if seconds < 60 else self.long
        return Turn(rate=sent, seconds=seconds, images=100, missed=0 if sent <= most else 7)


@pytest.mark.parametrize("guess", [100.0, 900.0, 1100.0, 8000.0])
def test_the_largest_rate_is_found_from_above_and_from_below(guess: float) -> None:
    found = largest_rate(Made(1000.0), guess, 5, 60, lambda line: None)
    assert found.best is not None and found.best.seconds == 60 and found.best.good
    assert 1000 / 1.08 <= found.best.rate <= 1000 and len(found.turns) <= MOST_TURNS + 1


def test_a_sender_that_can_no_more_ends_the_search() -> None:
    reader = Made(1e6, sender=2000.0)
    found = largest_rate(reader, 1000, 5, 60, lambda line: None)
    assert found.best is not None and found.best.rate == 2000 and len(reader.turns) < MOST_TURNS


def test_a_long_turn_that_misses_is_repeated_more_slowly() -> None:
    found = largest_rate(Made(1000.0, long=800.0), 1000, 5, 60, lambda line: None)
    assert found.best is not None and 700 < found.best.rate <= 800


def test_a_reader_that_never_keeps_up_has_no_rate() -> None:
    found = largest_rate(Made(0.0), 1000, 5, 60, lambda line: None)
    assert found.best is None and found.to_json()["rate"] == 0.0


def test_a_reader_that_lags_behind_has_not_kept_up() -> None:
    assert Turn(rate=1, seconds=60, images=60, missed=0, lag_s=3.9).good
    assert not Turn(rate=1, seconds=60, images=60, missed=0, lag_s=4.1).good


def test_the_sender_sends_a_series_that_is_read_to_its_values(tmp_path: Path) -> None:
    with Child([sys.executable, "-m", "scanmend.bench.ingest.sender", "32"], tmp_path / "log") as sender:
        about = json.loads(sender.line(30))
        with urlopen(f"{about['api']}/detector/api/1.8.0/config/bit_depth_image", timeout=5) as answer:
            assert json.load(answer)["value"] == 16
        sender.say("200 0")
        events = []
        with closing(DectrisSource(f"tcp://127.0.0.1:{about['data_port']}")) as source:
            source.open()
            while not events or not isinstance(events[-1], SeriesEnded):
                event = source.read(5.0)
                assert event is not None, "the stream is silent"
                events.append(event)
        assert json.loads(sender.line(30))["missed"] == 0
        with pytest.raises(ScanmendError, match="says nothing"):
            sender.line(0.01)
        sender.say("nonsense")
        with pytest.raises(ScanmendError, match=r"ended: .*ValueError"):
            sender.line(30)
    assert events[0] == SeriesBegan(series="1", points=200)
    stacks = [event.stack for event in events if isinstance(event, Images)]
    np.testing.assert_array_equal(np.concatenate(stacks), np.resize(images(32), (200, 32, 32)))


def test_a_program_ends_with_what_it_has_started(tmp_path: Path) -> None:
    """LiberTEM's workers hold its output open after it has gone."""
    script = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(99)']); print(1)"
    with Child([sys.executable, "-c", script], tmp_path / "log") as child:
        assert child.line(30) == "1"


def test_freed_memory_is_kept_where_the_library_can() -> None:
    assert keep_freed_memory() is (sys.platform == "linux")
