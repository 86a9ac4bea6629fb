"""Pruning removes the oldest that may go, and never anything else."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from recordings import begin, record
from scanmend.acquire.recordings import unfinished
from scanmend.errors import InvalidInput, RecordingError
from scanmend.record import JournalReader, SessionFolder
from scanmend.sessions import Catalogue, Limits, change_tags, note_export, prune, removals, retention
from scanmend.sessions.retention import DAY_NS, HDF5_MAGIC

EVERYTHING = Limits(most_bytes=0)


def end_ns(data_dir: Path, name: str) -> int:
    with Catalogue(data_dir) as catalogue:
        found = catalogue.find(name).end_unix_ns
    assert found is not None
    return found


def export(path: Path) -> Path:
    path.write_bytes(HDF5_MAGIC + bytes(100))
    return path


def names(data_dir: Path) -> list[str]:
    return sorted(path.name for path in (data_dir / "sessions").iterdir())


def test_the_oldest_go_until_there_is_room(tmp_path: Path) -> None:
    for name in ("first", "second", "third"):  # they end in this order
        record(tmp_path, name, range(20))
        export(tmp_path / f"{name}.nxs")
    with Catalogue(tmp_path) as catalogue:
        sizes = {session.name: session.size_bytes for session in catalogue.refresh()}
    now = end_ns(tmp_path, "third")
    limits = Limits(most_bytes=sizes["second"] + sizes["third"])
    would = prune(tmp_path, limits, now, dry_run=True)
    assert [each.name for each in would.removed] == ["first"] and names(tmp_path) == ["first", "second", "third"]
    done = prune(tmp_path, limits, now)
    assert (done.removed, done.failed, done.spared) == (would.removed, (), ())
    assert (done.bytes_before, done.bytes_after) == (sum(sizes.values()), sizes["second"] + sizes["third"])
    assert names(tmp_path) == ["second", "third"]
    assert prune(tmp_path, limits, now).removed == ()
    assert sorted(path.name for path in tmp_path.glob("*.nxs")) == ["first.nxs", "second.nxs", "third.nxs"]


def test_age_counts_from_the_end(tmp_path: Path) -> None:
    record(tmp_path, "old")
    record(tmp_path, "new")
    limits = Limits(most_days=90)
    end = end_ns(tmp_path, "old")
    assert prune(tmp_path, limits, end + 90 * DAY_NS, even_unexported=True).removed == ()
    done = prune(tmp_path, limits, end + 90 * DAY_NS + 1, even_unexported=True)
    assert [(each.name, each.why) for each in done.removed] == [("old", "age")]
    assert names(tmp_path) == ["new"]


def test_what_must_stay_stays(tmp_path: Path) -> None:
    for name in ("kept", "unexported", "empty-export", "gone-export", "other-export"):
        record(tmp_path, name)
    export(tmp_path / "kept.nxs")
    change_tags(tmp_path, "kept", add=("keep",))
    (tmp_path / "empty-export.nxs").touch()
    note_export(tmp_path, "gone-export", export(tmp_path / "elsewhere.nxs"))
    (tmp_path / "elsewhere.nxs").unlink()
    export(tmp_path / "other-export-2.nxs")  # another session's
    record(tmp_path, "unfinished", ended=False)
    export(tmp_path / "unfinished.nxs")
    damaged = record(tmp_path, "damaged")
    export(tmp_path / "damaged.nxs")
    (damaged / "receipt.json").write_text("?")
    writing = begin(tmp_path, "open")
    export(tmp_path / "open.nxs")
    writing.journal.flush()
    try:
        before = names(tmp_path)
        report = prune(tmp_path, EVERYTHING, end_ns(tmp_path, "kept"))
    finally:
        writing.journal.close()
    assert (report.removed, report.failed) == ((), ())
    assert dict(report.spared) == {
        "kept": "it is tagged keep",
        "unexported": "it was not exported",
        "empty-export": "it was not exported",
        "gone-export": "it was not exported",
        "other-export": "it was not exported",
        "unfinished": "it is unfinished",
        "damaged": "it is damaged, and somebody should look at it",
        "open": "it is being written",
    }
    assert names(tmp_path) == before
    again = prune(tmp_path, EVERYTHING, end_ns(tmp_path, "kept"), even_unexported=True)
    assert sorted(each.name for each in again.removed) == [
        "empty-export", "gone-export", "other-export", "unexported",
    ]  # fmt: skip
    assert names(tmp_path) == ["damaged", "kept", "open", "unfinished"]


def test_a_noted_export_anywhere_counts_and_one_inside_is_moved_out(tmp_path: Path) -> None:
    inside = record(tmp_path / "data", "inside")
    export(inside / "inside.nxs").write_bytes(HDF5_MAGIC + b"mine")
    export(tmp_path / "data" / "sessions" / "inside.nxs")  # is never written over
    record(tmp_path / "data", "noted")
    note_export(tmp_path / "data", "noted", export(tmp_path / "far-away.h5"))
    report = prune(tmp_path / "data", EVERYTHING, end_ns(tmp_path / "data", "noted"))
    assert sorted(each.name for each in report.removed) == ["inside", "noted"]
    assert names(tmp_path / "data") == ["inside-2.nxs", "inside.nxs"]
    assert (tmp_path / "data" / "sessions" / "inside-2.nxs").read_bytes() == HDF5_MAGIC + b"mine"
    assert (tmp_path / "far-away.h5").exists()


def test_nothing_else_is_touched(tmp_path: Path) -> None:
    target = record(tmp_path / "other", "linked")
    record(tmp_path / "data", "real")
    folder = tmp_path / "data" / "sessions"
    (folder / "linked").symlink_to(target)
    (folder / "notes.txt").write_text("mine")
    (folder / "not a session").mkdir()
    (tmp_path / "data" / "access-token").write_text("secret")
    (folder / "real" / "raw").mkdir()
    (folder / "real" / "raw" / "link").symlink_to(target)
    prune(tmp_path / "data", EVERYTHING, end_ns(tmp_path / "data", "real"), even_unexported=True)
    assert names(tmp_path / "data") == ["linked", "not a session", "notes.txt"]
    assert (target / "receipt.json").exists() and (tmp_path / "data" / "access-token").exists()


def test_a_prune_that_is_cut_off_leaves_nothing_that_looks_unfinished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(tmp_path, "a", range(600))  # several segments
    real = Path.unlink
    left = 2

    def unlink(path: Path, missing_ok: bool = False) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise OSError("the power went")
        real(path, missing_ok=missing_ok)

    now = end_ns(tmp_path, "a")
    monkeypatch.setattr(Path, "unlink", unlink)
    prune(tmp_path, EVERYTHING, now, even_unexported=True)
    monkeypatch.undo()
    (trash,) = names(tmp_path)
    assert trash.startswith(".trash-") and (tmp_path / "sessions" / trash / "receipt.json").exists()
    assert list(unfinished(tmp_path)) == [], "the service would take it up"
    with Catalogue(tmp_path) as catalogue:
        assert catalogue.refresh() == []
    prune(tmp_path, EVERYTHING, now, even_unexported=True)
    assert names(tmp_path) == []


def test_a_session_that_somebody_tags_or_locks_meanwhile_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("tagged", "locked", "goes"):
        record(tmp_path, name)
    now = end_ns(tmp_path, "goes")
    real = retention.choose
    locked = SessionFolder.open(tmp_path / "sessions" / "locked")

    def choose(*args: object, **options: object) -> object:
        found = real(*args, **options)  # type: ignore[arg-type]
        change_tags(tmp_path, "tagged", add=("keep",))
        locked.lock()
        return found

    monkeypatch.setattr(retention, "choose", choose)
    report = prune(tmp_path, EVERYTHING, now, even_unexported=True)
    locked.close()
    assert [each.name for each in report.removed] == ["goes"]
    assert dict(report.spared) == {"tagged": "it is tagged keep", "locked": "it is being written"}
    assert names(tmp_path) == ["locked", "tagged"]


@pytest.mark.parametrize("limits", [{"most_bytes": -1}, {"most_days": -0.1}, {"most_days": float("nan")}])
def test_limits_that_cannot_be_are_refused(limits: dict[str, float]) -> None:
    with pytest.raises(InvalidInput):
        Limits(**limits)  # type: ignore[arg-type]


def test_a_session_removed_by_hand_is_no_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record(tmp_path, "a")
    now = end_ns(tmp_path, "a")
    real = retention.choose

    def choose(*args: object, **options: object) -> object:
        found = real(*args, **options)  # type: ignore[arg-type]
        shutil.rmtree(tmp_path / "sessions" / "a")
        return found

    monkeypatch.setattr(retention, "choose", choose)
    report = prune(tmp_path, EVERYTHING, now, even_unexported=True)
    assert report.removed == () and [name for name, _ in report.failed] == ["a"]
    assert os.listdir(tmp_path / "sessions") == []


def test_what_was_removed_is_written_down_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record(tmp_path, "a", range(3))
    record(tmp_path, "b", range(2))
    export(tmp_path / "a.nxs")
    now = end_ns(tmp_path, "b")
    assert removals(tmp_path) == []
    log = tmp_path / "removed.jsonl"
    log.mkdir()
    refused = prune(tmp_path, EVERYTHING, now, even_unexported=True)
    assert names(tmp_path) == ["a", "b"] and "cannot be written down" in refused.failed[0][1]
    log.rmdir()
    prune(tmp_path, EVERYTHING, now, even_unexported=True)
    assert [(each.name, each.frames, each.by, each.exports) for each in removals(tmp_path)] == [
        ("b", 2, "command", ()),
        ("a", 3, "command", (str(tmp_path / "a.nxs"),)),
    ]
    with log.open("ab") as file:
        file.write(b'{"unix_ns": 12')  # the power went
    assert len(removals(tmp_path)) == 2
    record(tmp_path, "c", range(1))
    monkeypatch.setattr(Path, "rename", refuse)
    assert prune(tmp_path, EVERYTHING, now, even_unexported=True).failed and names(tmp_path) == ["c"]
    assert [each.name for each in removals(tmp_path)] == ["b", "a"], "it stayed, and that is written down as well"


def refuse(*_: object) -> None:
    raise PermissionError(13, "Permission denied")


def test_what_is_being_read_stays(tmp_path: Path) -> None:
    path = record(tmp_path, "read", range(3))
    now = end_ns(tmp_path, "read")
    with JournalReader(path) as reader, SessionFolder.open(path) as other:
        reader.hold()
        assert not other.keep_readers_out()
        assert prune(tmp_path, EVERYTHING, now, even_unexported=True).spared == (("read", "it is being read"),)
    with JournalReader(path) as reader, SessionFolder.open(path) as remover:
        assert remover.keep_readers_out()
        with pytest.raises(RecordingError, match="being removed"):
            reader.hold()
    assert [each.name for each in prune(tmp_path, EVERYTHING, now, even_unexported=True).removed] == ["read"]


def test_the_export_of_an_older_session_does_not_count(tmp_path: Path) -> None:
    older = export(tmp_path / "a.nxs")
    os.utime(older, ns=(1, 1))
    record(tmp_path, "a")
    now = end_ns(tmp_path, "a")
    assert prune(tmp_path, EVERYTHING, now).spared == (("a", "it was not exported"),)
    with Catalogue(tmp_path) as catalogue:
        assert catalogue.find("a").exports == ()
