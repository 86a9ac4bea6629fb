"""Where recordings lie, and what may be written there."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanmend.errors import InvalidInput, RecordingError, RecordingNotWritable
from scanmend.record import (
    EntryKind,
    create_journal,
    reopen_for_append,
    scan,
    session_path,
)
from scanmend.wire.messages import check_session_name

BAD_NAMES = [
    "",
    ".",
    "..",
    ".x",
    "a..b",
    "a/b",
    "/etc",
    "a\0b",
    "a\n",
    "-x",
    "_x",
    "ü",
    "a" * 65,
    "a b",
    "%2e%2e",
    "a\\b",
]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_names_that_are_refused(tmp_path: Path, name: str):
    for attempt in (
        lambda: create_journal(tmp_path, name, 1),
        lambda: reopen_for_append(tmp_path, name),
        lambda: session_path(tmp_path, name),
    ):
        with pytest.raises(InvalidInput):
            attempt()
    assert list(tmp_path.iterdir()) == []


@given(st.text(max_size=70) | st.text("./a0", max_size=70))
def test_no_accepted_name_leads_out_of_the_folder(name: str):
    root = Path("/data/sessions")
    try:
        check_session_name(name)
    except InvalidInput:
        return
    assert os.path.normpath(root / name) == str(root / name) and (root / name).parent == root


def test_everything_is_private(tmp_path: Path):
    old = os.umask(0)
    try:
        create_journal(tmp_path / "data", "s", 1).close()
    finally:
        os.umask(old)
    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in (tmp_path / "data").rglob("*")}
    assert modes == {"sessions": 0o700, "s": 0o700, "journal-000000.smj": 0o600}


def test_links_are_not_followed(tmp_path: Path):
    outside = tmp_path / "outside"
    outside.mkdir()
    data = tmp_path / "data"
    (data / "sessions").mkdir(parents=True)
    (data / "sessions" / "s").symlink_to(outside)
    with pytest.raises(RecordingNotWritable):
        create_journal(data, "s", 1)
    with pytest.raises(RecordingError):
        scan(data / "sessions" / "s")
    (data / "sessions" / "t").mkdir()
    (data / "sessions" / "t" / "journal-000000.smj").symlink_to(outside / "target")
    with pytest.raises(RecordingError):
        create_journal(data, "t", 1)
    with scan(data / "sessions" / "t") as journal, pytest.raises(RecordingNotWritable):
        list(journal)
    assert list(outside.iterdir()) == []


def test_a_session_that_is_there_already_and_one_that_is_not(tmp_path: Path):
    create_journal(tmp_path, "s", 1).close()
    with pytest.raises(RecordingError, match="has a recording already"):
        create_journal(tmp_path, "s", 1)
    with pytest.raises(RecordingError, match="no recording in 'other'"):
        reopen_for_append(tmp_path, "other")
    with pytest.raises(RecordingError, match="no recording"):
        scan(tmp_path / "nowhere")


def test_one_writer_at_a_time(tmp_path: Path):
    writer = create_journal(tmp_path, "s", 1)
    with pytest.raises(RecordingNotWritable, match="Another writer"):
        reopen_for_append(tmp_path, "s")
    writer.append(EntryKind.NOTE, 0, [b"undisturbed"])
    writer.close()
    again, report = reopen_for_append(tmp_path, "s")
    assert report.entries == 1
    again.close()


def test_a_folder_that_cannot_be_made(tmp_path: Path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(RecordingError) as caught:
        create_journal(tmp_path / "file", "s", 1)
    assert caught.value.mend
