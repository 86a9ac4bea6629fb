"""The golden bytes are read to the values of their index, and written again to the same bytes."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import make_golden
import msgspec
import numpy as np
import pytest

from scanmend.wire.header import FrameHeader, RestoredHeader, xxh3
from scanmend.wire.messages import Plan, decode_client, decode_service, encode

HERE = Path(__file__).parent
INDEX = json.loads((HERE / "index.json").read_text())
NAMES = [entry["name"] for entry in INDEX]
FROM_CLIENT = {"HELLO", "PLAN", "EXECUTED", "PROBLEM", "END"}


@pytest.mark.parametrize("entry", INDEX, ids=NAMES)
def test_golden_bytes_are_read_and_written_again(entry):
    data = (HERE / f"{entry['name']}.bin").read_bytes()
    assert len(data) == entry["bytes"] and hashlib.sha256(data).hexdigest() == entry["sha256"]
    match entry["kind"]:
        case "payload":
            assert str(xxh3(data)) == entry["values"]["xxh3"]
        case "FRAME header":
            header = FrameHeader.unpack(data, max_payload_bytes=1 << 20)
            assert make_golden.readable(make_golden.header_values(header)) == entry["values"]
            assert header.pack() == data
            header.check_payload((HERE / "frame_payload.bin").read_bytes())
        case "RESTORED header":
            restored = RestoredHeader.unpack(data)
            assert make_golden.readable(make_golden.header_values(restored)) == entry["values"]
            assert restored.pack() == data
        case kind:
            message = (decode_client if kind in FROM_CLIENT else decode_service)(data)
            assert type(message).__name__.upper() == kind and encode(message) == data
            assert make_golden.readable(msgspec.msgpack.decode(data)) == entry["values"]
            if isinstance(message, Plan):
                message.plan.validate()
                pixels = message.plan.pixels.astype("<i4")
                assert pixels.size == entry["expanded"]["points"] == message.plan.points
                assert pixels[:8].tolist() == entry["expanded"]["first_pixels"]
                assert str(xxh3(pixels.tobytes())) == entry["expanded"]["pixels_xxh3"]
                assert message.plan.total_dwell_ns == entry["expanded"]["total_dwell_ns"]


def test_the_generator_still_makes_these_files():
    files, index = make_golden.golden()
    assert index == INDEX
    assert files == {name: (HERE / f"{name}.bin").read_bytes() for name in NAMES}
    assert sorted(path.stem for path in HERE.glob("*.bin")) == sorted(NAMES)


def test_every_message_and_every_pattern_has_its_golden_bytes():
    kinds = {entry["kind"] for entry in INDEX}
    assert kinds >= {
        *("HELLO", "WELCOME", "REFUSE", "PLAN", "FRAME header", "ACK", "NACK", "RESTORED header"),
        *("PROPOSAL", "ENOUGH", "EXECUTED", "PROBLEM", "COMMAND", "END", "RECEIPT"),
    }
    patterns = {entry["values"]["plan"]["pattern"]["kind"] for entry in INDEX if entry["kind"] == "PLAN"}
    assert patterns == {*("raster", "serpentine", "random", "jittered_grid", "spiral", "segments", "mask", "points")}


def test_full_messages_really_have_every_key():
    entry = next(entry for entry in INDEX if entry["name"] == "hello_full")
    fields = msgspec.structs.fields(make_golden.Hello)
    assert set(entry["values"]) == {"type"} | {field.encode_name for field in fields}
    full = next(entry for entry in INDEX if entry["name"] == "problem_full")
    assert set(full["values"]) == {"type"} | {
        field.encode_name for field in msgspec.structs.fields(make_golden.Problem)
    }
    assert np.prod(entry["values"]["field"]["shape"]) == 48 * 64
