"""A NOTE names a model; what a later version may write there is passed over."""

from __future__ import annotations

import json

import pytest

from scanmend.record import ModelNote, read_note, write_note

NOTE = ModelNote(name="pushpull", sha256="ab" * 32, provider="CPUExecutionProvider")


def test_a_note_is_json_and_reads_back() -> None:
    body = write_note(NOTE)
    assert json.loads(body) == {"note": "model", "name": "pushpull", "sha256": "ab" * 32,
                                "provider": "CPUExecutionProvider"}  # fmt: skip
    assert read_note(memoryview(body)) == NOTE


@pytest.mark.parametrize(
    "body",
    [b"", b"\xff", b"[]", b"{}", b'{"note": "stage"}', b'{"note": "model"}', b'{"note": "model", "name": 1}',
     b"[" * 100_000],
)  # fmt: skip
def test_other_notes_are_passed_over(body: bytes) -> None:
    assert read_note(body) is None
