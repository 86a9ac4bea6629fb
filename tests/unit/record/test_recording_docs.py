"""The reader in docs/recording.md reads what the journal writes; the format's tables say what the code does."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from scanmend.record import EntryKind, JournalSettings, create_journal, session_path
from scanmend.record.format import (
    EMPTY_XXH3,
    EntryFlag,
    EntryHeader,
    SegmentHeader,
    body_check,
    pack_entry_header,
    pack_segment_header,
)

DOC = Path(__file__).resolve().parents[3] / "docs" / "recording.md"


GOLDEN_SEGMENT = (
    "534d4a5345473031010000000010000088776655443322110300000000000000"
    "a5a50000000000002a00000000000000000001000000000000002a36fe9c9717"
    "ad3777d7f5b0fa19"
)
GOLDEN_ENTRY = (
    "534d4a4501030000070000000000000009000000000000005000000000000000"
    "e80300000000000000002a36fe9c971789ceef3a9e700cb82b0dd70f0b01cf91"
)
GOLDEN_EMPTY_BODY = 0x9F77619E37E86919


def reader_source() -> str:
    (source,) = re.findall(r"```python\n(.*?)```", DOC.read_text(encoding="utf-8"), re.DOTALL)
    return source


def test_the_reader_is_short_and_needs_numpy_and_xxhash_alone():
    source = reader_source()
    assert len(source.splitlines()) <= 60
    imports = {name for name in re.findall(r"^(?:import|from) (\w+)", source, re.MULTILINE)}
    assert imports == {"sys", "pathlib", "numpy", "xxhash"}


def test_the_reader_reads_whole_and_damaged_journals(tmp_path: Path):
    script = tmp_path / "reader.py"
    script.write_text(reader_source())
    writer = create_journal(tmp_path, "s", 1, settings=JournalSettings(segment_bytes=16 * 1024))
    expected = []
    for seq in range(25):
        kind = EntryKind.FRAME if seq % 5 else EntryKind.NOTE
        head, tail = bytes([seq]) * 80, b"SMJE" * (seq * 13)
        writer.append(kind, seq + 100, [head, tail])
        expected.append(f"{seq} {kind.value} {seq + 100} {len(head)} {len(tail)}")
    writer.close()
    folder = session_path(tmp_path, "s")
    assert len(list(folder.iterdir())) > 1

    def run() -> list[str]:
        command = [sys.executable, "-W", "error", str(script), str(folder)]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout.splitlines()

    assert run() == expected
    first = folder / "journal-000000.smj"
    content = bytearray(first.read_bytes())
    content[4096 + 70] ^= 1
    content[10] ^= 1
    first.write_bytes(content)
    assert run() == expected[1:]


def test_golden_bytes_of_the_headers():
    """The format is frozen: a change of these bytes is a new version."""
    segment = pack_segment_header(SegmentHeader(0x1122334455667788, 3, 0xA5A5, 42, 65536, 1_700_000_000_000_000_000))
    entry = pack_entry_header(
        EntryHeader(EntryKind.FRAME, 0, 7, 9, 80, 1000, 1_700_000_000_000_000_000, body_check(b"head", 5)), 0xA5A5
    )
    assert segment[:72] == segment[2048:2120] and len(segment) == 4096
    assert segment[:72].hex() == GOLDEN_SEGMENT
    assert entry.hex() == GOLDEN_ENTRY
    assert body_check(b"", EMPTY_XXH3) == GOLDEN_EMPTY_BODY


def test_the_tables_of_the_document():
    text = DOC.read_text(encoding="utf-8")
    kinds = {int(number): name for number, name in re.findall(r"^\| (\d+) \| ([A-Z]+) \|", text, re.MULTILINE)}
    assert kinds == {kind.value: kind.name for kind in EntryKind}
    assert f"{EntryFlag.LAST_SEGMENT.value} = the journal was closed here" in text
    assert f"{EntryFlag.RECOVERED.value} = set by recovery" in text
