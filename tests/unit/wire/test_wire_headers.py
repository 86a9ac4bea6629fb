"""The two headers: whatever is done to their bytes, nothing wrong is taken, and only a ProtocolError comes out."""

from __future__ import annotations

import random
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scanmend.errors import (
    ChecksumMismatch,
    InvalidInput,
    MalformedMessage,
    OversizeMessage,
    ProtocolError,
    UnsupportedVersion,
)
from scanmend.field import SAMPLE_DTYPES
from scanmend.wire.header import (
    FRAME_HEADER_BYTES,
    ITEM_BYTES,
    RESTORED_HEADER_BYTES,
    FrameFlag,
    FrameHeader,
    PassReason,
    RestoredFlag,
    RestoredHeader,
    xxh3,
)

LIMIT = 1 << 26
u32, u64 = st.integers(0, (1 << 32) - 1), st.integers(0, (1 << 64) - 1)


@st.composite
def frame_headers(draw):
    dtype, channels, points = (
        draw(st.sampled_from(SAMPLE_DTYPES)),
        draw(st.integers(1, 16)),
        draw(st.integers(1, 1 << 20)),
    )
    return FrameHeader(
        session_id=draw(u64),
        seq=draw(u64),
        plan_id=draw(u32),
        pass_index=draw(u32),
        first_point=draw(u32),
        points=points,
        channels=channels,
        dtype=dtype,
        flags=draw(st.sampled_from([FrameFlag(0), FrameFlag.END_OF_PASS])),
        dropped_before=draw(u32),
        acquired_unix_ns=draw(u64),
        payload_bytes=channels * points * ITEM_BYTES[dtype],
        payload_xxh3=draw(u64),
    )


@st.composite
def restored_headers(draw):
    return RestoredHeader(
        session_id=draw(u64),
        seq=draw(u64),
        pass_index=draw(u32),
        shape=(draw(u32), draw(u32)),
        dtype=draw(st.sampled_from(SAMPLE_DTYPES)),
        flags=RestoredFlag(draw(st.integers(0, 7))),
        reason=draw(st.sampled_from(list(PassReason))),
        frames_included=draw(u64),
        acquired_unix_ns=draw(u64),
        queue_ns=draw(u64),
        restore_ns=draw(u64),
        service_ns=draw(u64),
        dose_e_per_nm2=draw(st.floats(allow_nan=False)),
        sigma_mean=draw(st.floats(width=32, allow_nan=False)),
        coverage=draw(st.floats(width=32, allow_nan=False)),
        electrons_per_unit=draw(st.floats(width=32, allow_nan=False)),
        model_sha256=draw(st.binary(min_size=32, max_size=32)),
        model=draw(st.text(st.characters(codec="ascii", exclude_characters="\0"), max_size=32)),
        provider=draw(st.text(st.characters(codec="ascii", exclude_characters="\0"), max_size=24)),
        estimate_xxh3=draw(u64),
        sigma_xxh3=draw(u64),
    )


def test_the_sizes_are_those_of_the_specification():
    assert (FRAME_HEADER_BYTES, RESTORED_HEADER_BYTES) == (80, 216)


@given(header=frame_headers())
@settings(max_examples=300, deadline=None)
def test_a_frame_header_goes_there_and_back(header):
    data = header.pack()
    assert len(data) == 80 and FrameHeader.unpack(data, max_payload_bytes=LIMIT * 16) == header
    assert FrameHeader.unpack(memoryview(data), max_payload_bytes=LIMIT * 16).pack() == data


@given(header=restored_headers())
@settings(max_examples=300, deadline=None)
def test_a_restored_header_goes_there_and_back(header):
    data = header.pack()
    assert len(data) == 216 and RestoredHeader.unpack(data) == header


def test_long_names_are_cut_between_characters():
    header = RestoredHeader(session_id=1, seq=0, pass_index=0, shape=(1, 1), dtype="float32", flags=RestoredFlag(0),
                            model="ä" * 40, provider="x" + "€" * 10, estimate_xxh3=0)  # fmt: skip
    back = RestoredHeader.unpack(header.pack())
    assert (back.model, back.provider) == ("ä" * 16, "x" + "€" * 7)


@pytest.mark.parametrize(("value", "read"), [(1e40, float("inf")), (-1e300, float("-inf")), (3e38, 3e38)])
def test_a_gain_beyond_a_float32_is_as_far_as_one_goes(value: float, read: float) -> None:
    header = RestoredHeader(session_id=1, seq=0, pass_index=0, shape=(1, 1), dtype="float32", flags=RestoredFlag(0),
                            electrons_per_unit=value, sigma_mean=value, estimate_xxh3=0)  # fmt: skip
    back = RestoredHeader.unpack(header.pack())
    assert (back.electrons_per_unit, back.sigma_mean) == (pytest.approx(read), pytest.approx(read))


def reseal(data: bytearray) -> bytes:
    """As a peer with bad intentions would: the check is right again."""
    return bytes(data[:-4]) + struct.pack("<I", xxh3(bytes(data[:-4])) & 0xFFFFFFFF)


GOOD_FRAME = FrameHeader(session_id=77, seq=3, plan_id=1, pass_index=2, first_point=10, points=100, channels=2,
                         dtype="uint16", payload_bytes=400, payload_xxh3=5).pack()  # fmt: skip
GOOD_RESTORED = RestoredHeader(session_id=77, seq=3, pass_index=2, shape=(8, 8), dtype="float32",
                               flags=RestoredFlag.RESTORED, model="pushpull", estimate_xxh3=5).pack()  # fmt: skip


def mutated(data: bytes, dice: random.Random) -> bytearray:
    out = bytearray(data)
    kind = dice.randrange(6)
    if kind == 0:
        out[dice.randrange(len(out))] ^= 1 << dice.randrange(8)
    elif kind == 1:
        for _ in range(dice.randrange(1, 12)):
            out[dice.randrange(len(out))] = dice.randrange(256)
    elif kind == 2:
        at = dice.randrange(len(out) - 8)
        out[at : at + 8] = dice.choice([b"\xff" * 8, bytes(8), struct.pack("<q", -1), struct.pack("<Q", 1 << 63)])
    elif kind == 3:
        out = out[: dice.randrange(len(out))]
    elif kind == 4:
        out += dice.randbytes(dice.randrange(1, 200))
    else:
        out[4:] = dice.randbytes(len(out) - 4)
    return out


def test_twenty_thousand_mutated_headers_are_never_taken():
    dice, refused = random.Random(1), 0
    for _ in range(10_000):
        for good, unpack in ((GOOD_FRAME, unpack_frame), (GOOD_RESTORED, RestoredHeader.unpack)):
            data = bytes(mutated(good, dice))
            if data == good:
                continue
            with pytest.raises(ProtocolError):
                unpack(data)
            refused += 1
    assert refused > 19_000


def unpack_frame(data):
    return FrameHeader.unpack(data, max_payload_bytes=LIMIT)


def test_ten_thousand_headers_of_an_adversary_are_consistent_or_refused():
    dice, taken = random.Random(2), 0
    for _ in range(10_000):
        data = mutated(GOOD_FRAME, dice)
        if len(data) != 80:
            continue
        data = reseal(data)
        try:
            header = unpack_frame(data)
        except ProtocolError:
            continue
        taken += 1
        assert header.payload_bytes == header.channels * header.points * ITEM_BYTES[header.dtype] <= LIMIT
        again = bytearray(header.pack())
        again[5], again[72:76] = data[5], data[72:76]  # reserved bytes are not looked at
        assert reseal(again) == data
    assert taken > 300
    for _ in range(10_000):
        data = mutated(GOOD_RESTORED, dice)
        if len(data) == 216:
            try:
                header = RestoredHeader.unpack(reseal(data))
            except ProtocolError:
                continue
            assert header.dtype in SAMPLE_DTYPES and header.reason in PassReason


@pytest.mark.parametrize(
    "place, value, error",
    [
        (slice(0, 4), b"SMFX", MalformedMessage),
        (slice(4, 5), b"\x02", UnsupportedVersion),
        (slice(6, 8), b"\x02\x00", MalformedMessage),  # an unknown flag
        (slice(36, 40), b"\0\0\0\0", MalformedMessage),  # no points
        (slice(40, 42), b"\x11\x00", MalformedMessage),  # 17 channels
        (slice(42, 43), b"\x00", MalformedMessage),  # no dtype
        (slice(42, 43), b"\x07", MalformedMessage),
        (slice(43, 44), b"\x01", MalformedMessage),  # an unknown codec
        (slice(56, 64), struct.pack("<Q", 401), MalformedMessage),
        (slice(56, 64), struct.pack("<Q", 1 << 63), MalformedMessage),
    ],
)
def test_each_field_of_a_frame_header_is_checked(place, value, error):
    data = bytearray(GOOD_FRAME)
    data[place] = value
    with pytest.raises(error):
        unpack_frame(reseal(data))


def test_a_payload_above_the_limit_is_refused_before_anything_is_allocated():
    with pytest.raises(OversizeMessage, match="400 bytes"):
        FrameHeader.unpack(GOOD_FRAME, max_payload_bytes=399)


def test_a_payload_is_compared_with_its_header():
    payload = bytes(range(200)) * 2
    header = FrameHeader(session_id=1, seq=0, plan_id=0, pass_index=0, first_point=0, points=200, channels=1,
                         dtype="uint16", payload_bytes=400, payload_xxh3=xxh3(payload))  # fmt: skip
    header.check_payload(payload)
    with pytest.raises(MalformedMessage):
        header.check_payload(payload[:-1])
    with pytest.raises(ChecksumMismatch):
        header.check_payload(payload[:-1] + b"\0")


@pytest.mark.parametrize("change", [{"acquired_unix_ns": -1}, {"dropped_before": 1 << 32}, {"pass_index": -1}])
def test_numbers_that_do_not_fit_their_place_are_refused(change):
    values = dict(session_id=1, seq=0, plan_id=0, pass_index=0, first_point=0, points=1, channels=1, dtype="uint8",
                  payload_bytes=1, payload_xxh3=0)  # fmt: skip
    with pytest.raises(InvalidInput) as caught:
        FrameHeader(**(values | change)).pack()
    assert caught.value.mend
