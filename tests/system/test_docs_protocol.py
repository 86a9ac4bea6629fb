"""docs/protocol.md says what the code does: its tables, its bytes, and its client, which is run."""

from __future__ import annotations

import json
import re
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from reference_service import ReferenceService, serving
from running import RunningService
from scanmend.field import Capabilities, Channel, Field
from scanmend.plan import ScanPlan, patterns
from scanmend.plan.expand import splitmix64
from scanmend.target import Target
from scanmend.wire import messages
from scanmend.wire.header import FRAME_HEADER_BYTES, RESTORED_HEADER_BYTES, PassReason
from scanmend.wire.messages import RETRIABLE, EnoughCode, NackCode, RefuseCode

ROOT = Path(__file__).resolve().parents[2]
DOC = (ROOT / "docs" / "protocol.md").read_text()
GOLDEN = ROOT / "tests" / "golden"
INDEX = {entry["name"]: entry for entry in json.loads((GOLDEN / "index.json").read_text())}
MINIMAL = re.search(r"## 12\. .*?```python\n(.*?)```", DOC, re.S)[1]  # type: ignore[index]
FORMATS = {("u8", 1): "B", ("u16", 2): "H", ("u32", 4): "I", ("u64", 8): "Q", ("f32", 4): "f", ("f64", 8): "d"}


def rows_after(heading: str) -> list[list[str]]:
    """Cells of the first table after a heading."""
    text = DOC[DOC.index(f"\n{heading}\n") :]
    table = re.search(r"(?:^\|.*\n)+", text, re.M)
    assert table is not None
    lines = table[0].strip().splitlines()[2:]
    return [[cell.strip().replace(r"\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


@pytest.mark.parametrize(
    "heading, size, golden",
    [
        ("## 3. FRAME", FRAME_HEADER_BYTES, "frame_header"),
        ("## 4. RESTORED", RESTORED_HEADER_BYTES, "restored_header"),
        ("## 4. RESTORED", RESTORED_HEADER_BYTES, "passed_header"),
    ],
)
def test_a_header_is_read_by_its_table_alone(heading: str, size: int, golden: str) -> None:
    data = (GOLDEN / f"{golden}.bin").read_bytes()
    expected = dict(INDEX[golden]["values"])
    expected |= dict(zip(("rows", "columns"), expected.pop("shape", ()), strict=False))
    place = 0
    for offset, length, kind, name, _ in rows_after(heading):
        assert int(offset) == place, name
        place += int(length)
        part = data[int(offset) : place]
        if name.startswith("reserved"):
            assert not any(part)
        elif kind == "bytes":
            assert expected.get(name, {"hex": part.hex()}) == {"hex": part.hex()}, name
        elif kind == "text":
            assert part.rstrip(b"\0").decode() == expected[name]
        else:
            (value,) = struct.unpack("<" + FORMATS[kind, int(length)], part)
            if name == "dtype":
                value = ["", "uint8", "uint16", "uint32", "int16", "int32", "float32"][value]
            assert name in ("version", "check") or str(value) == str(expected[name]), name
    assert place == size == len(data)


MESSAGES = (*messages.ClientMessage.__args__, *messages.ServiceMessage.__args__)
TABLES = {
    **{f"### {kind.__name__.upper()}": kind for kind in MESSAGES},
    "#### Field": Field,
    "#### Channel": Channel,
    "#### Capabilities": Capabilities,
    "#### Target": Target,
    "## 6. Scan plans": ScanPlan,
    "#### raster and serpentine": patterns.Raster,
    "#### random": patterns.RandomPixels,
    "#### jittered_grid": patterns.JitteredGrid,
    "#### spiral": patterns.Spiral,
    "#### segments": patterns.Segments,
    "#### mask": patterns.Mask,
    "#### points": patterns.Points,
}


def as_written(default: Any) -> str:
    """A default as the tables write it."""
    if default is None:
        return "nil"
    if isinstance(default, bool | str):
        return f'`"{default}"`' if isinstance(default, str) else str(default).lower()
    return "`[]`" if default == [] else str(default)


@pytest.mark.parametrize("heading", TABLES, ids=[kind.__name__ for kind in TABLES.values()])
def test_every_key_stands_in_its_table_with_its_default(heading: str) -> None:
    found = {name: row[2] for row in rows_after(heading) for name in row[0].split(", ")}
    if TABLES[heading].__module__ == patterns.__name__:
        assert found.pop("kind") == "required"
    known = {field.name: field for field in msgspec.inspect.type_info(TABLES[heading]).fields}
    assert list(found) == list(known)
    for name, written in found.items():
        if known[name].required or name == "version":
            assert written in ("required", "–", "1"), name
        elif name in ("capabilities", "target"):
            assert written == "all defaults" and known[name].default == type(known[name].default)()
        else:
            factory = known[name].default_factory
            default = known[name].default if factory is msgspec.NODEFAULT else factory()
            assert written.replace(" ", "") == as_written(default), name


def test_every_reason_for_no_plan_is_explained() -> None:
    (row,) = [row for row in rows_after("### ENOUGH") if row[0] == "code"]
    assert re.findall(r"`(\w+)`:", row[3]) == [code.value for code in EnoughCode]


@pytest.mark.parametrize("code", [*RefuseCode, *NackCode], ids=lambda code: f"{type(code).__name__}-{code}")
def test_every_code_has_its_line(code: RefuseCode | NackCode) -> None:
    first, second = DOC.index("\nREFUSE, after HELLO:"), DOC.index("\nNACK:")
    part = DOC[first:second] if isinstance(code, RefuseCode) else DOC[second : DOC.index("\n## 9.")]
    assert f"\n| {code} |" in part
    if code in RETRIABLE:
        assert f"`{code}`" in part[part.index("*Rejected* frames") :]


def test_the_reasons_and_the_hash_are_those_of_the_code() -> None:
    names = " | ".join(["restored", *(reason.name.lower() for reason in list(PassReason)[1:])])
    assert f"| | {names} |" in DOC
    numbers = re.search(r"`hash\(1234567, 0 … 3\)` = ([\d, ]+)\.", DOC)
    assert numbers is not None
    assert [int(n) for n in numbers[1].split(", ")] == splitmix64(1234567, np.arange(4, dtype=np.uint64)).tolist()


@pytest.mark.parametrize("name", ["hello", "frame_header", "frame_payload"])
def test_the_bytes_of_the_worked_example_are_the_golden_ones(name: str) -> None:
    block = re.search(rf"```hex {name}\n(.*?)```", DOC, re.S)
    assert block is not None
    words = [word for line in block[1].splitlines() for word in re.match(r"((?:[0-9a-f]{2} ?)*)", line)[1].split()]  # type: ignore[index]
    assert bytes.fromhex("".join(words)) == (GOLDEN / f"{name}.bin").read_bytes()
    pixels = INDEX["plan_jittered_grid"]["expanded"]["first_pixels"]
    assert f"are the pixels {', '.join(map(str, pixels))}." in DOC


def run_minimal(address: str, folder: Path, name: str) -> str:
    script = folder / "minimal.py"
    script.write_text(MINIMAL.replace("tcp://127.0.0.1:7501", address).replace('"minimal"', f'"{name}"'))
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_minimal_client_is_sixty_lines() -> None:
    assert len([line for line in MINIMAL.splitlines() if line.strip()]) <= 60
    assert set(re.findall(r"^import (\w+)", MINIMAL, re.M)) == {"secrets", "struct", "time", "msgspec", "xxhash", "zmq"}


def test_the_minimal_client_runs_against_the_service(service: RunningService, tmp_path: Path) -> None:
    assert run_minimal(service.address, tmp_path, "minimal-1") == "20 answers; balanced: True intact: True\n"


def test_the_minimal_client_loses_nothing_when_frames_get_lost(tmp_path: Path) -> None:
    with serving(ReferenceService(), drop=0.3) as there:
        assert run_minimal(there.address, tmp_path, "lossy").endswith("balanced: True intact: True\n")


def test_links_inside_the_page_lead_somewhere() -> None:
    heads = re.findall(r"^#+ (.*)$", DOC, re.M)
    anchors = {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}
    assert {link for link in re.findall(r"\]\(#([^)]+)\)", DOC)} <= anchors
