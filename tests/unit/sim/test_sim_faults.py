"""Faults: each counted exactly, seeded, and of the kind that it says."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scanmend.errors import InvalidInput, MalformedMessage
from scanmend.wire.header import FrameHeader, xxh3
from scanmend_sim.faults import Fault, FaultInjector, FaultRates, Outgoing

MIXED = FaultRates(
    drop=0.1, delay=0.1, reorder=0.1, truncate=0.1, duplicate=0.1, garbage=0.1, wrong_dtype=0.1, delay_ms=20
)


def frame(seq: int, dtype: str = "uint16", points: int = 8) -> tuple[bytes, bytes]:
    payload = bytes((seq + k) % 256 for k in range(points * (1 if dtype == "uint8" else 2 if "16" in dtype else 4)))
    header = FrameHeader(
        session_id=1,
        seq=seq,
        plan_id=0,
        pass_index=seq,
        first_point=0,
        points=points,
        channels=1,
        dtype=dtype,
        payload_bytes=len(payload),
        payload_xxh3=xxh3(payload),
    )
    return header.pack(), payload


def run(rates: FaultRates, count: int, seed: int = 0) -> tuple[FaultInjector, list[Outgoing]]:
    injector = FaultInjector(rates, seed)
    return injector, list(injector.apply(frame(seq) for seq in range(count)))


def test_without_faults_everything_passes_as_it_came() -> None:
    injector, out = run(FaultRates(), 50)
    assert [(item.header, item.payload) for item in out] == [frame(seq) for seq in range(50)]
    assert injector.report.untouched == injector.report.messages_out == 50
    assert not injector.rates.any


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32), count=st.integers(0, 200))
def test_the_books_balance(seed: int, count: int) -> None:
    injector, out = run(MIXED, count, seed)
    report = injector.report
    assert report.messages_in == count == report.untouched + sum(report.faults.values())
    assert report.messages_out == len(out) == count - report.faults[Fault.DROP] + report.faults[Fault.DUPLICATE]
    assert report.held_back == 0
    seen = Counter(item.fault for item in out)
    assert seen[None] == report.untouched
    assert seen[Fault.DROP] == 0
    assert seen[Fault.DUPLICATE] == 2 * report.faults[Fault.DUPLICATE]
    for fault in (Fault.DELAY, Fault.REORDER, Fault.TRUNCATE, Fault.GARBAGE, Fault.WRONG_DTYPE):
        assert seen[fault] == report.faults[fault]
    assert report.damaged == sum(seen[kind] for kind in (Fault.TRUNCATE, Fault.GARBAGE, Fault.WRONG_DTYPE))


def test_rates_are_met() -> None:
    injector, _ = run(MIXED, 6000)
    for fault in Fault:
        assert abs(injector.report.faults[fault] - 600) < 4.5 * math.sqrt(6000 * 0.1 * 0.9)


def test_the_same_seed_gives_the_same_faults() -> None:
    first, again, other = run(MIXED, 300, 5)[1], run(MIXED, 300, 5)[1], run(MIXED, 300, 6)[1]
    assert first == again
    assert first != other


@pytest.mark.parametrize("fault", Fault)
def test_a_rate_of_one_strikes_every_message(fault: Fault) -> None:
    injector, out = run(FaultRates(**{fault.value: 1.0}), 20)
    assert injector.report.faults[fault] == 20
    assert len(out) == {Fault.DROP: 0, Fault.DUPLICATE: 40}.get(fault, 20)


def test_a_reordered_message_follows_its_successor() -> None:
    injector = FaultInjector(FaultRates(reorder=0.4), 3)
    for seq in range(200):
        held = injector.report.held_back
        out = injector.feed(*frame(seq))
        if out:
            assert out[0].header == frame(seq)[0], "the newest goes first, then those that waited"
            assert len(out) == held + 1
    order = [FrameHeader.unpack(item.header, max_payload_bytes=99).seq for item in run(FaultRates(reorder=0.4), 99)[1]]
    assert sorted(order) == list(range(99))
    assert order != sorted(order)


def test_delays_are_about_as_long_as_asked() -> None:
    _, out = run(FaultRates(delay=1.0, delay_ms=80), 3000)
    delays = [item.delay_s for item in out]
    assert sum(delays) / len(delays) == pytest.approx(0.08, rel=0.1)


def test_truncated_payloads_are_shorter_beginnings() -> None:
    _, out = run(FaultRates(truncate=1.0), 50)
    for seq, item in enumerate(out):
        header, payload = frame(seq)
        assert item.header == header
        assert len(item.payload) < len(payload)
        assert payload.startswith(item.payload)


def test_a_message_without_payload_loses_the_end_of_its_header() -> None:
    (item,) = FaultInjector(FaultRates(truncate=1.0)).feed(b"header", b"")
    assert len(item.header) < 6


def test_garbage_is_never_taken_for_a_frame() -> None:
    _, out = run(FaultRates(garbage=1.0), 200)
    for item in out:
        with pytest.raises(MalformedMessage):
            FrameHeader.unpack(item.header, max_payload_bytes=10_000)


@pytest.mark.parametrize("dtype", ["uint16", "int16", "uint32", "int32", "float32"])
def test_a_wrong_dtype_is_sealed_and_of_the_right_size(dtype: str) -> None:
    header, payload = frame(3, dtype)
    (item,) = FaultInjector(FaultRates(wrong_dtype=1.0)).feed(header, payload)
    wrong = FrameHeader.unpack(item.header, max_payload_bytes=1000)
    wrong.check_payload(item.payload)
    assert wrong.dtype != dtype


def test_a_wrong_dtype_of_bytes_contradicts_the_length() -> None:
    (item,) = FaultInjector(FaultRates(wrong_dtype=1.0)).feed(*frame(3, "uint8"))
    with pytest.raises(MalformedMessage):
        FrameHeader.unpack(item.header, max_payload_bytes=1000)


def test_messages_that_are_no_frames_keep_their_header() -> None:
    injector = FaultInjector(FaultRates(wrong_dtype=1.0))
    (item,) = injector.feed(b"control", b"")
    assert (item.header, item.fault) == (b"control", None)
    assert injector.report.untouched == 1


@pytest.mark.parametrize("wrong", [{"drop": -0.1}, {"drop": 0.6, "delay": 0.6}, {"drop": math.nan}, {"delay_ms": -1.0}])
def test_impossible_rates_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(InvalidInput):
        FaultRates(**wrong)
