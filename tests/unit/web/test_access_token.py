"""The access token's file."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from scanmend.errors import ConfigurationError
from scanmend.web import token as tokens


def test_it_is_made_once_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        made = tokens.load_or_make(tmp_path / "new" / "data")
    finally:
        os.umask(before)
    path = tmp_path / "new" / "data" / tokens.FILE_NAME
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(made) >= 43 and made.isascii()
    assert tokens.load_or_make(tmp_path / "new" / "data") == made


def test_two_services_have_two_tokens(tmp_path: Path) -> None:
    assert tokens.load_or_make(tmp_path / "a") != tokens.load_or_make(tmp_path / "b")


def _link(path: Path) -> None:
    (path.parent / "elsewhere").write_text("x" * 43)
    path.symlink_to(path.parent / "elsewhere")


def _dangling(path: Path) -> None:
    path.symlink_to(path.parent / "nowhere")


def _open_to_all(path: Path) -> None:
    path.write_text("x" * 43)
    path.chmod(0o644)


def _empty(path: Path) -> None:
    path.touch(0o600)


def _fifo(path: Path) -> None:
    os.mkfifo(path, 0o600)


def _binary(path: Path) -> None:
    path.touch(0o600)
    path.write_bytes(bytes(range(128, 200)))


@pytest.mark.parametrize("prepare", [_link, _dangling, _open_to_all, _empty, _fifo, _binary])
def test_a_doubtful_file_is_refused_with_the_mend(tmp_path: Path, prepare: object) -> None:
    prepare(tmp_path / tokens.FILE_NAME)  # type: ignore[operator]
    with pytest.raises(ConfigurationError) as caught:
        tokens.load_or_make(tmp_path)
    assert "Remove" in caught.value.mend


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError):
        tokens.load_or_make(tmp_path / "file" / "data")


@pytest.mark.parametrize("given", ["", "x" * 43, "ä" * 20, "\ud800", "right "])
def test_only_the_right_one_is_the_same(given: str) -> None:
    assert not tokens.same(given, "right")
    assert tokens.same("right", "right")
