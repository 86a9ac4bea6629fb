"""`scanmend replay`: the same frames come out of a service again, bit for bit, and are restored alike."""

from __future__ import annotations

import itertools
import json
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recordings import record
from running import RunningService
from scanmend.cli import main
from scanmend.client import Client
from scanmend.field import Capabilities, Channel, Field
from scanmend.plan import ScanPlan
from scanmend.record import EntryKind, JournalReader, session_path
from scanmend.sessions.recording import Recording
from scanmend.wire.header import FrameHeader
from scanmend.wire.messages import Executed, decode_client

Command = Callable[..., "subprocess.CompletedProcess[str]"]
Reader = Callable[[str], dict[str, Any]]
FIELD = Field(shape=(96, 128), pixel_size_nm=0.5, beam_current_pa=20.0, beam_energy_kev=200.0)
SAME = ("plan_id", "pass_index", "first_point", "points", "channels", "dtype", "flags", "dropped_before",
        "acquired_unix_ns", "payload_bytes", "payload_xxh3")  # fmt: skip

_names = itertools.count()


def frames(data_dir: Path, name: str) -> Iterator[tuple[FrameHeader, bytes]]:
    """Wire header and samples of every frame of a recording, in the order of their numbers."""
    with JournalReader(session_path(data_dir, name)) as reader:
        for seq in sorted(reader.frame_seqs):
            found = reader.frame(seq)
            assert found is not None
            yield FrameHeader.unpack(found[0], max_payload_bytes=1 << 40), bytes(found[1])


@pytest.fixture(scope="module")
def adaptive(service: RunningService) -> str:
    """A scan of three passes in pieces, two channels, with rescans that were obeyed or changed."""
    name = f"original-{next(_names)}"
    rng = np.random.default_rng(8)
    channels = [Channel(name="HAADF"), Channel(name="BF")]
    with Client(service.address) as client:
        with client.session(
            name, FIELD, channels=channels, mode="exposure", rescan="variance", model="pushpull",
            restore_channel="BF", dose_budget_e_per_nm2=1e6, capabilities=Capabilities(dwell_quantum_ns=10),
        ) as session:  # fmt: skip
            plan = ScanPlan.jittered_grid(FIELD.shape, 500, pitch_px=3, seed=2)
            began_ns = time.time_ns()
            for number in range(3):
                samples = rng.poisson(30, (2, plan.points)).astype(np.uint16)
                half = plan.points // 2
                for first in (0, half + number):  # the client discards some points in the middle
                    session.send_samples(
                        plan, samples[:, first:] if first else samples[:, :half], number, first_point=first,
                        acquired_unix_ns=began_ns + (2 * number + bool(first)) * 100_000_000,
                        dropped_before=number if first else 0,
                    )  # fmt: skip
                while session.receive() is not None:
                    pass
                proposal = session.next_proposal(20)
                assert proposal is not None
                session.accept(proposal)
                plan = proposal.plan
    assert session.receipt is not None and session.receipt.balanced
    return name


def test_a_replay_is_equal_and_two_replays_restore_alike(
    scanmend: Command, one_object: Reader, service: RunningService, adaptive: str
) -> None:
    words = ("--address", service.address, "--data-dir", service.data_dir, "--model", "pushpull", "--json")
    results = []
    for number, speed in enumerate(("max", "20")):
        done = scanmend("replay", adaptive, "--name", f"again-{number}", "--speed", speed, *words)
        assert done.returncode == 0, done.stderr
        results.append(one_object(done.stdout))
    original = list(frames(service.data_dir, adaptive))
    assert len(original) == 6
    for number, result in enumerate(results):
        replayed = list(frames(service.data_dir, f"again-{number}"))
        assert [samples for _, samples in replayed] == [samples for _, samples in original]
        for (old, _), (new, _) in zip(original, replayed, strict=True):
            assert [getattr(old, name) for name in SAME] == [getattr(new, name) for name in SAME]
        assert (result["equal"], result["differing"], result["compared"]) == (True, 0, "recording")
        assert (result["sent"], result["skipped"], result["passes_answered"]) == (6, 0, 3)
        receipt = result["receipt"]
        assert receipt["balanced"] and receipt["checksum_matches"] and receipt["durable"] == 6
        assert receipt["dropped_by_client"] == 0 + 1 + 2
    assert results[0]["estimates_xxh3"] == results[1]["estimates_xxh3"] != ""
    assert results[0]["model"] == results[1]["model"] == "pushpull"


def test_plans_and_opening_are_those_of_the_recording(
    scanmend: Command, service: RunningService, adaptive: str
) -> None:
    done = scanmend("replay", adaptive, "--name", "plans", "--speed", "max", "--address", service.address,
                    "--data-dir", service.data_dir)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "every sample is equal (read back from the new recording)" in done.stdout
    with (
        Recording(session_path(service.data_dir, adaptive)) as old,
        Recording(session_path(service.data_dir, "plans")) as new,
    ):
        for name in ("field", "channels", "restore_channel", "mode", "rescan", "returns", "capabilities",
                     "dose_budget_e_per_nm2", "model", "delivery"):  # fmt: skip
            assert getattr(old.hello, name) == getattr(new.hello, name), name

        def plans(recording: Recording) -> list[ScanPlan]:
            return [step.plan for step in recording.steps() if not hasattr(step, "entry")]

        assert plans(old) == plans(new) and len(plans(old)) == 3


def test_new_proposals_are_declined(scanmend: Command, service: RunningService, adaptive: str) -> None:
    done = scanmend("replay", adaptive, "--name", "declining", "--speed", "2", "--address", service.address,
                    "--data-dir", service.data_dir)  # fmt: skip
    assert done.returncode == 0, done.stderr
    with JournalReader(session_path(service.data_dir, "declining")) as reader:
        answers = [decode_client(reader.read(e)[0]) for e in reader.entries(kinds=(EntryKind.EXECUTED,))]
    assert answers, "no proposal was made"
    assert all(isinstance(each, Executed) and each.status == "declined" for each in answers)
    assert {each.reason for each in answers if isinstance(each, Executed)} == {"replay"}


def test_the_pace_is_that_of_the_scan(
    scanmend: Command, one_object: Reader, service: RunningService, adaptive: str
) -> None:
    words = ("--address", service.address, "--data-dir", service.data_dir, "--json")
    done = scanmend("replay", adaptive, "--name", "slow", "--speed", "0.5", *words)  # half a second, twice as slow
    assert done.returncode == 0, done.stderr
    assert one_object(done.stdout)["elapsed_s"] >= 1.0


def test_an_unfinished_recording_through_a_service_of_its_own(
    scanmend: Command, one_object: Reader, tmp_path: Path
) -> None:
    data_dir = tmp_path / "data"
    path = record(data_dir, "cut", (0, 1, 2, 5), ended=False, returns="estimate")
    before = {file.name: file.read_bytes() for file in path.iterdir()}
    done = scanmend(
        "replay", "cut", "--speed", "max", "--model", "pushpull", "--threads", "1", "--tune-s", "0",
        "--data-dir", data_dir, "--json",
        timeout_s=110,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    result = one_object(done.stdout)
    assert (result["equal"], result["compared"], result["sent"]) == (True, "recording", 4)
    assert result["receipt"]["restored_out"] == 4
    assert {file.name: file.read_bytes() for file in path.iterdir()} == before, "the old one is only read"
    assert sorted(p.name for p in data_dir.iterdir()) == ["sessions"]
    new = result["session"]
    assert new.startswith("cut-")
    assert [s for _, s in frames(data_dir, new)] == [s for _, s in frames(data_dir, "cut")]
    listed = json.loads(scanmend("sessions", "--data-dir", data_dir, "--json").stdout)["sessions"]
    assert {each["name"]: each["state"] for each in listed} == {"cut": "unfinished", new: "ended"}
    taken = scanmend("replay", "cut", "--name", new, "--data-dir", data_dir)
    assert taken.returncode == 1 and "already" in taken.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["orginal", "--speed", "max"], "There is no session orginal"),
        (["..", "--speed", "max"], "cannot be the name"),
        (["plain", "--name", "a/b"], "cannot be the name"),
        (["plain", "--model", "nonesuch"], "not in the catalogue"),
        (["plain", "--name", "plain"], "was recorded before"),
    ],
)
def test_what_cannot_be_replayed_is_refused(
    capsys: pytest.CaptureFixture[str], service: RunningService, words: list[str], said: str
) -> None:
    if not session_path(service.data_dir, "plain").exists():
        record(service.data_dir, "plain", range(2))
    assert main(["replay", *words, "--address", service.address, "--data-dir", str(service.data_dir)]) == 1
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("speed", ["0", "-1", "fast", "nan"])
def test_a_speed_that_cannot_be_is_refused(capsys: pytest.CaptureFixture[str], speed: str) -> None:
    with pytest.raises(SystemExit):
        main(["replay", "plain", f"--speed={speed}"])
    assert "neither max nor a number" in capsys.readouterr().err


def test_damaged_frames_are_left_out_and_named(
    scanmend: Command, one_object: Reader, service: RunningService, tmp_path: Path
) -> None:
    path = record(tmp_path / "data", "hurt", range(4), returns="none")
    segment = path / "journal-000000.smj"
    data = bytearray(segment.read_bytes())
    data[data.index(b"SMFR") + 200] ^= 1
    segment.write_bytes(data)
    done = scanmend("replay", "hurt", "--name", "mended", "--speed", "max", "--address", service.address,
                    "--data-dir", tmp_path / "data", "--json")  # fmt: skip
    assert done.returncode == 0, done.stderr
    result = one_object(done.stdout)
    # The service records elsewhere, so the receipt's checksum has to do.
    assert (result["sent"], result["skipped"], result["equal"], result["compared"]) == (3, 1, True, "receipt")


def test_nobody_listens(scanmend: Command, tmp_path: Path) -> None:
    record(tmp_path / "data", "plain", range(2))
    done = scanmend("replay", "plain", "--address", "tcp://127.0.0.1:9", "--data-dir", tmp_path / "data")
    assert done.returncode == 1 and "Nobody answered" in done.stderr
