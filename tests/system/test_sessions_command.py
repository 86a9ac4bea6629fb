"""`scanmend sessions` as a user types it, beside a service that writes."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recordings import BEGAN_NS, begin, record
from running import RunningService
from scanmend.acquire.recordings import unfinished
from scanmend.cli import main
from scanmend.client import Client
from scanmend.field import Channel, Field
from scanmend.sessions.retention import HDF5_MAGIC

Command = Callable[..., "subprocess.CompletedProcess[str]"]
Reader = Callable[[str], dict[str, Any]]
FIELD = Field(shape=(64, 64), pixel_size_nm=1.0, beam_current_pa=10.0)


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """Three sessions that ended, and one that was cut off."""
    folder = tmp_path / "data"
    record(folder, "gold-1", range(3))
    record(folder, "gold-2", (0, 1, 4), began_ns=BEGAN_NS + 10**9)
    record(folder, "silver", range(8), began_ns=BEGAN_NS + 2 * 10**9)
    record(folder, "cut", range(2), ended=False, began_ns=BEGAN_NS + 3 * 10**9)
    return folder


def test_the_list_is_a_table_with_what_is_missing(scanmend: Command, data_dir: Path) -> None:
    done = scanmend("sessions", "--data-dir", data_dir)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].split()[:3] == ["session", "began", "state"]
    assert [line.split()[0] for line in lines[1:] if line[0] != " "] == ["cut", "silver", "gold-2", "gold-1"]
    assert lines[2] == "    It was not ended: it has no receipt."
    assert "    2 frames never came: 2–3." in lines
    assert done.stderr.startswith("4 sessions, ") and done.stderr.rstrip().endswith("1 unfinished")
    assert max(map(len, lines)) < 140


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["list"], ["cut", "silver", "gold-2", "gold-1"]),
        (["--text", "GOLD"], ["gold-2", "gold-1"]),
        (["--text", "gold", "list"], ["gold-2", "gold-1"]),
        (["list", "--state", "unfinished"], ["cut"]),
        (["--since", "2025-01-01", "--until", "2025-12-31"], ["cut", "silver", "gold-2", "gold-1"]),
        (["--since", "2026-01-01"], []),
        (["--field-nm", "32"], ["cut", "silver", "gold-2", "gold-1"]),
        (["--field-nm", "100:"], []),
        (["list", "--model", "pushpull", "--dose-max", "40"], ["cut"]),
        (["--tag", "x"], []),
    ],
)
def test_the_list_can_be_narrowed(
    capsys: pytest.CaptureFixture[str], one_object: Reader, data_dir: Path, words: list[str], names: list[str]
) -> None:
    assert main(["sessions", "--data-dir", str(data_dir), *words, "--json"]) == 0
    found = one_object(capsys.readouterr().out)
    assert [session["name"] for session in found["sessions"]] == names and found["of"] == 4


def test_tags_and_notes_survive_the_catalogue(scanmend: Command, one_object: Reader, data_dir: Path) -> None:
    where = ("--data-dir", data_dir)
    assert scanmend("sessions", "tag", *where, "silver", "+keep", "+to-do", "-never").stdout == "silver: keep, to-do\n"
    assert scanmend("sessions", *where, "tag", "silver", "-to-do", "+good").stdout == "silver: good, keep\n"
    assert scanmend("sessions", "note", "silver", "drifted", *where).stdout == "Noted on silver.\n"
    (data_dir / "sessions.sqlite").write_bytes(b"no database" * 1000)
    listed = scanmend("sessions", *where, "--tag", "keep", "--text", "drifted", "--json")
    assert "made anew" in listed.stderr
    (session,) = one_object(listed.stdout)["sessions"]
    assert (session["tags"], session["notes"][0]["text"]) == (["good", "keep"], "drifted")
    rebuilt = one_object(scanmend("sessions", "rebuild", *where, "--json").stdout)
    assert rebuilt["read_again"] == 4
    assert one_object(scanmend("sessions", "--rebuild", *where, "--json").stdout)["read_again"] == 4
    assert one_object(scanmend("sessions", *where, "--json").stdout)["read_again"] == 0
    wrong = scanmend("sessions", "tag", *where, "silver", "good")
    assert wrong.returncode == 1 and "+ or a -" in wrong.stderr


def test_show_tells_everything(scanmend: Command, one_object: Reader, data_dir: Path) -> None:
    done = scanmend("sessions", "show", "gold-2", "--data-dir", data_dir, "--check")
    assert done.returncode == 0, done.stderr
    for part in ("gold-2, ended", "2 frames never came: 2–3.", "16 × 16 pixels of 2 nm", "10 pA, 200 keV",
                 "pushpull, auto was asked for", "The receipt", "balanced", "Every byte was read"):  # fmt: skip
        assert part in done.stdout
    found = one_object(scanmend("sessions", "show", "gold-2", "--data-dir", data_dir, "--json").stdout)
    assert found["receipt"]["missing"] == [[2, 4]] and found["session"]["gaps"] == 2 and found["check"] is None


def test_a_damaged_sample_is_found_by_a_check(scanmend: Command, one_object: Reader, data_dir: Path) -> None:
    segment = data_dir / "sessions" / "silver" / "journal-000000.smj"
    data = bytearray(segment.read_bytes())
    data[data.index(b"SMFR") + 200] ^= 1
    segment.write_bytes(data)
    done = scanmend("sessions", "show", "silver", "--check", "--json", "--data-dir", data_dir)
    assert done.returncode == 1 and one_object(done.stdout)["check"]["entries_lost"] == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["show", "glod-1"], "Did you mean gold-1"),
        (["show", "../cut"], "cannot be the name"),
        (["note", "gold-1", " "], "cannot be a note"),
        (["close", "silver"], "has its receipt"),
        (["prune"], "No limit was given"),
        (["prune", "--bytes", "much"], "is not a size"),
        (["--since", "soon"], "is not a date"),
        (["--field-nm", "wide"], "is not a span"),
    ],
)
def test_what_cannot_be_is_refused_with_a_mend(
    capsys: pytest.CaptureFixture[str], data_dir: Path, words: list[str], said: str
) -> None:
    assert main(["sessions", "--data-dir", str(data_dir), *words]) == 1
    assert said in capsys.readouterr().err


def test_a_data_folder_that_is_not_there(scanmend: Command, tmp_path: Path) -> None:
    done = scanmend("sessions", "--data-dir", tmp_path / "nowhere")
    assert done.returncode == 1 and "There is no data folder" in done.stderr and "--data-dir" in done.stderr


def test_closing_and_pruning(scanmend: Command, one_object: Reader, data_dir: Path) -> None:
    where = ("--data-dir", data_dir)
    assert scanmend("sessions", "close", "cut", *where).stdout == "cut is closed with 2 of 2 frames, 0 missing.\n"
    (data_dir / "sessions" / "gold-1" / "gold-1.nxs").write_bytes(HDF5_MAGIC)
    (data_dir.parent / "elsewhere.nxs").write_bytes(HDF5_MAGIC)
    noted = scanmend("sessions", "exported", "cut", data_dir.parent / "elsewhere.nxs", *where)
    assert noted.returncode == 0 and "is noted as an export of cut" in noted.stdout
    scanmend("sessions", "tag", *where, "cut", "+keep")
    dry = scanmend("sessions", "prune", "--days", "0", "--dry-run", *where)
    assert "gold-1: would be removed (age" in dry.stdout and "silver: stays, it was not exported" in dry.stdout
    assert "cut: stays, it is tagged keep" in dry.stdout
    done = one_object(scanmend("sessions", "prune", "--bytes", "0", "--json", *where).stdout)
    assert [each["name"] for each in done["removed"]] == ["gold-1"]
    removed = scanmend("sessions", "removed", *where)
    assert "gold-1, 3 frames, " in removed.stdout and "may take 0 bytes" in removed.stdout
    assert str(data_dir / "sessions" / "gold-1" / "gold-1.nxs") in removed.stdout
    (gone,) = one_object(scanmend("sessions", "removed", "--json", *where).stdout)["removed"]
    assert (gone["name"], gone["by"]) == ("gold-1", "command")
    left = sorted(path.name for path in (data_dir / "sessions").iterdir())
    assert left == ["cut", "gold-1.nxs", "gold-2", "silver"]


def test_sessions_are_listed_while_the_service_writes_them(
    scanmend: Command, one_object: Reader, service: RunningService
) -> None:
    where = ("--data-dir", service.data_dir)
    picture = np.random.default_rng(1).poisson(20, FIELD.shape).astype(np.uint16)
    with Client(service.address) as client:
        with client.session("listed-live", FIELD, channels=[Channel(name="SE")], model="pushpull") as session:
            for _ in range(10):
                session.send(picture)
            while session.receive() is not None:
                pass
            for _ in range(2):  # the second goes on where the first has stopped
                (found,) = one_object(scanmend("sessions", "--text", "listed-live", "--json", *where).stdout)[
                    "sessions"
                ]
                assert (found["state"], found["frames_on_disk"], found["misses"]) == ("open", 10, [])
                assert found["models"] == ["pushpull"]
            assert scanmend("sessions", "tag", *where, "listed-live", "+busy").returncode == 0
            refused = scanmend("sessions", "close", "listed-live", *where)
            assert refused.returncode == 1 and "A service" in refused.stderr
            spared = scanmend("sessions", "prune", "--bytes", "0", "--even-unexported", "--dry-run", *where).stdout
            assert "listed-live: stays, it is being written" in spared
            session.send(picture)
    (found,) = one_object(scanmend("sessions", "--text", "listed-live", "--json", *where).stdout)["sessions"]
    assert (found["state"], found["frames_durable"], found["tags"]) == ("ended", 11, ["busy"])


def test_a_session_whose_service_was_killed_is_closed(scanmend: Command, one_object: Reader, tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    service = RunningService(data_dir)
    service.__enter__()
    picture = np.random.default_rng(1).poisson(20, FIELD.shape).astype(np.uint16)
    with Client(service.address) as client:
        session = client.session("orphan", FIELD, channels=[Channel(name="SE")], returns="none")
        for _ in range(20):
            session.send(picture)
        deadline = time.monotonic() + 20
        while session.stats.durable_upto < 20:
            session.pump()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        # In this order, or acquire would be started again, or would end the session when the supervisor dies.
        service.process.send_signal(signal.SIGSTOP)
        service.kill("acquire")
        service.process.send_signal(signal.SIGKILL)
        service.process.wait()
        session.close()
    assert service.process.stdout is not None
    service.process.stdout.close()
    (found,) = one_object(scanmend("sessions", "--json", "--data-dir", data_dir).stdout)["sessions"]
    assert found["state"] == "unfinished"
    assert found["misses"] == ["It was not ended: it has no receipt."] and found["frames_on_disk"] == 20
    closed = scanmend("sessions", "close", "orphan", "--json", "--data-dir", data_dir)
    assert closed.returncode == 0, closed.stderr
    found = one_object(closed.stdout)["session"]
    assert (found["state"], found["reason"], found["frames_durable"], found["balanced"]) == (
        "ended", "recovered", 20, True,
    )  # fmt: skip
    assert list(unfinished(data_dir)) == [], "a service that starts leaves it alone"


def test_two_commands_at_once(scanmend: Command, data_dir: Path) -> None:
    recorded = begin(data_dir, "live")
    try:
        with ThreadPoolExecutor(3) as pool:
            jobs = [pool.submit(scanmend, "sessions", "--rebuild", "--data-dir", data_dir) for _ in range(3)]
            results = [job.result() for job in jobs]
    finally:
        recorded.journal.close()
    assert [done.returncode for done in results] == [0, 0, 0], [done.stderr for done in results]
    assert len({done.stdout for done in results}) == 1
