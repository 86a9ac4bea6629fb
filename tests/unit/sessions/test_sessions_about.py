"""Tags, notes and exports lie beside the recording, whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from recordings import record
from scanmend.errors import DamagedRecording, InvalidInput, RecordingError
from scanmend.record import SessionFolder
from scanmend.sessions import About, add_note, change_tags, note_export, read_about


def about(path: Path) -> About:
    with SessionFolder.open(path) as folder:
        return read_about(folder)


def test_tags_come_and_go_and_notes_stay(tmp_path: Path) -> None:
    path = record(tmp_path, "gold")
    assert about(path) == About()
    change_tags(tmp_path, "gold", add=("keep", "süß", "a.b:c-d"))
    change_tags(tmp_path, "gold", add=("good",), remove=("keep", "never-there"))
    add_note(tmp_path, "gold", "  drifted to the left\nafter pass 3 ", unix_ns=5)
    (tmp_path / "x").mkdir()
    (tmp_path / "gold.nxs").touch()
    note_export(tmp_path, "gold", tmp_path / "x" / ".." / "gold.nxs")
    note_export(tmp_path, "gold", tmp_path / "gold.nxs")
    with pytest.raises(InvalidInput, match="There is no file"):
        note_export(tmp_path, "gold", tmp_path / "gone.nxs")
    found = about(path)
    assert found.tags == ("a.b:c-d", "good", "süß")
    assert [(note.unix_ns, note.text) for note in found.notes] == [(5, "drifted to the left\nafter pass 3")]
    assert found.exports == (str((tmp_path / "gold.nxs").resolve()),)
    file = path / "about.json"
    assert file.stat().st_mode & 0o777 == 0o600
    assert json.loads(file.read_bytes())["tags"] == ["a.b:c-d", "good", "süß"]
    assert [p.name for p in path.iterdir() if p.name.startswith(".")] == []


@pytest.mark.parametrize("tag", ["", " ", "a b", "-a", "a/b", "x" * 65, "a\n", "é!"])
def test_what_cannot_be_a_tag_is_refused(tmp_path: Path, tag: str) -> None:
    path = record(tmp_path, "gold")
    with pytest.raises(InvalidInput, match="cannot be a tag"):
        change_tags(tmp_path, "gold", add=("fine", tag))
    assert about(path) == About()


@pytest.mark.parametrize("text", ["", "  \n", "x" * 4001, "bell \a", "\x1b[31mred"])
def test_what_cannot_be_a_note_is_refused(tmp_path: Path, text: str) -> None:
    record(tmp_path, "gold")
    with pytest.raises(InvalidInput, match="cannot be a note"):
        add_note(tmp_path, "gold", text)


@pytest.mark.parametrize("name", ["..", "../sessions/gold", "a/b", "/etc", ".hidden", "a..b", "x" * 65, ""])
def test_names_that_lead_elsewhere_are_refused(tmp_path: Path, name: str) -> None:
    record(tmp_path, "gold")
    with pytest.raises(InvalidInput, match="cannot be the name of a session"):
        change_tags(tmp_path, name, add=("x",))


def test_near_names_are_suggested(tmp_path: Path) -> None:
    for name in ("gold-1", "gold-2", "silver"):
        record(tmp_path, name)
    for wrong, meant in (("gold", "gold-1 or gold-2"), ("sliver", "silver"), ("GOLD-1", "gold-1")):
        with pytest.raises(InvalidInput) as raised:
            change_tags(tmp_path, wrong, add=("x",))
        assert f"Did you mean {meant}" in raised.value.mend
    with pytest.raises(InvalidInput) as raised:
        change_tags(tmp_path, "copper", add=("x",))
    assert "Did you mean" not in raised.value.mend
    with pytest.raises(RecordingError, match="There is no data folder"):
        change_tags(tmp_path / "nowhere", "gold", add=("x",))


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"tags": 5}', b"\xff\xfe", b"[" * 100_000, b" " * (2 << 20)])
def test_a_damaged_file_is_named_and_never_written_over(tmp_path: Path, content: bytes) -> None:
    path = record(tmp_path, "gold")
    (path / "about.json").write_bytes(content)
    with pytest.raises(DamagedRecording, match=r"about\.json"):
        change_tags(tmp_path, "gold", add=("x",))
    assert (path / "about.json").read_bytes() == content


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    path = record(tmp_path, "gold")
    elsewhere = tmp_path / "elsewhere.json"
    elsewhere.write_text('{"tags": ["theirs"]}')
    (path / "about.json").symlink_to(elsewhere)
    with pytest.raises(DamagedRecording):
        change_tags(tmp_path, "gold", add=("x",))
    (tmp_path / "sessions" / "linked").symlink_to(path)
    with pytest.raises(InvalidInput, match="no session linked"):
        add_note(tmp_path, "linked", "hm")
    assert elsewhere.read_text() == '{"tags": ["theirs"]}'
