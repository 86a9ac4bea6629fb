"""The page's pictures at the real acquire: which channel is sent where nothing restores, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from in_thread import SHAPE, AcquireInThread, Peer, frame_parts, hello, plan_message
from operating import AtConsole
from scanmend.field import Channel
from scanmend.ipc.console import AskPicture, PictureInfo
from scanmend.wire.messages import Welcome, encode

CHANNELS = (Channel(name="HAADF"), Channel(name="BF"), Channel(name="SE"))
SAMPLES = np.random.default_rng(2).integers(0, 4000, (3, SHAPE[0] * SHAPE[1])).astype("<u2")


@pytest.fixture
def console(tmp_path: Path) -> Iterator[AtConsole]:
    """A console of an acquire without an engine, which has passed a frame of three channels through."""
    with (
        AcquireInThread(tmp_path / "data") as acquire,
        AtConsole(acquire.acquire.run_dir) as asker,
        Peer(acquire.address) as client,
    ):
        client.say(encode(hello(channels=CHANNELS, restore_channel="BF")))
        client.hear(Welcome)
        client.say(plan_message())
        client.say(*frame_parts(payload=SAMPLES.tobytes(), channels=3))
        yield asker


def ask(console: AtConsole, channel: str, **more: Any) -> tuple[Any, list[bytes]]:
    return console.ask(AskPicture(ask=1, session="s", channel=channel, **more))


def test_of_a_frame_that_was_passed_through_a_channel_is_sent_as_it_came(console: AtConsole) -> None:
    for channel, name, line in (("", "BF", 1), ("BF", "BF", 1), ("HAADF", "HAADF", 0), ("SE", "SE", 2)):
        info, (raw, estimate, sigma) = ask(console, channel)
        assert isinstance(info, PictureInfo)
        assert (info.channel, info.restored, info.reason) == (name, False, "engine_down")
        assert info.reference_dwell_ns is None, "in the detector's own units"
        np.testing.assert_array_equal(np.frombuffer(raw, "<u2"), SAMPLES[line])
        assert estimate == sigma == b""


def test_what_is_not_there_is_refused_and_what_is_not_newer_is_waited_for(console: AtConsole) -> None:
    assert ask(console, "EDX")[0].code == "no_channel"
    info, _ = ask(console, "SE")
    assert ask(console, "SE", newer_than=info.number)[0].code == "nothing_new"
