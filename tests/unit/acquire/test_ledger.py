"""The ledger against a model of thirty lines that keeps everything in plain sets."""

from __future__ import annotations

import struct

import pytest
import xxhash
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from scanmend.acquire.ledger import Ledger, Verdict

OUTCOMES = ("restored", "passed", "dropped")


class Model:
    """What a ledger is, without any cleverness."""

    def __init__(self, begin: int) -> None:
        self.forgotten = set(range(begin))
        self.received: dict[int, int] = {}
        self.rejected: dict[int, int] = {}
        self.durable: set[int] = set()
        self.outcomes: dict[int, str] = {}
        self.duplicates = self.conflicts = self.dropped_before = 0

    @property
    def seen(self) -> dict[int, int]:
        return self.received | self.rejected

    def first_missing(self, members: set[int]) -> int:
        return next(n for n in range(1000) if n not in members and n not in self.forgotten)

    @property
    def upto(self) -> int:
        """One more than the highest number that is settled or seen."""
        return max(self.forgotten | set(self.seen), default=-1) + 1

    def holes(self) -> list[int]:
        return [n for n in range(self.upto) if n not in self.seen and n not in self.forgotten]


class LedgerMachine(RuleBasedStateMachine):
    """Frames come late, twice, in another order, damaged by a second sender, or never."""

    @initialize(begin=st.sampled_from([0, 0, 3]))
    def open(self, begin: int) -> None:
        self.ledger, self.model = Ledger(begin), Model(begin)

    @rule(
        offset=st.integers(0, 40),
        checksum=st.sampled_from([1, 2, 2**64 - 1]),
        dropped=st.integers(0, 3),
        reject=st.booleans(),
    )
    def frame(self, offset: int, checksum: int, dropped: int, reject: bool) -> None:
        seq = offset
        verdict = self.ledger.judge(seq, checksum)
        if seq in self.model.forgotten:  # too late: the account has it as missing
            assert verdict is Verdict.CONFLICT
            self.model.conflicts += 1
        elif seq not in self.model.seen:
            assert verdict is Verdict.NEW
            if reject:
                self.ledger.reject(seq, checksum, "dtype", dropped)
                self.model.rejected[seq] = checksum
            else:
                self.ledger.take(seq, checksum, dropped)
                self.model.received[seq] = checksum
            self.model.dropped_before += dropped
        elif self.model.seen[seq] == checksum:
            assert verdict is Verdict.DUPLICATE
            self.model.duplicates += 1
        else:
            assert verdict is Verdict.CONFLICT
            self.model.conflicts += 1

    @rule(upto=st.integers(0, 45))
    def forget(self, upto: int) -> None:
        self.ledger.forget(upto)
        self.model.forgotten |= {n for n in range(upto) if n not in self.model.seen}

    @precondition(lambda self: set(self.model.received) - self.model.durable)
    @rule(data=st.data())
    def disk(self, data: st.DataObject) -> None:
        seq = data.draw(st.sampled_from(sorted(set(self.model.received) - self.model.durable)))
        self.ledger.make_durable(seq)
        self.model.durable.add(seq)

    @precondition(lambda self: set(self.model.received) - set(self.model.outcomes))
    @rule(data=st.data(), outcome=st.sampled_from(OUTCOMES))
    def answer(self, data: st.DataObject, outcome: str) -> None:
        seq = data.draw(st.sampled_from(sorted(set(self.model.received) - set(self.model.outcomes))))
        self.model.outcomes[seq] = outcome
        if outcome == "restored":
            self.ledger.restored_out += 1
        elif outcome == "passed":
            self.ledger.passed_through["deadline"] += 1
        else:
            self.ledger.dropped["superseded"] += 1

    @rule()
    def live_picture(self) -> None:
        self.ledger.live_in += 1
        self.ledger.live_dropped += 1

    @invariant()
    def agrees(self) -> None:
        ledger, model = self.ledger, self.model
        assert ledger.received_upto == model.first_missing(set(model.seen))
        assert ledger.durable_upto == model.first_missing(model.durable | set(model.rejected))
        assert [n for first, last in ledger.holes() for n in range(first, last)] == model.holes()
        assert (ledger.received, ledger.durable) == (len(model.received), len(model.durable))
        assert ledger.seen == len(model.forgotten) + len(model.seen)
        assert ledger.highest == model.upto
        assert ledger.rejected.total() == len(model.rejected)
        assert (ledger.duplicates, ledger.conflicts) == (model.duplicates, model.conflicts)
        assert ledger.unanswered == len(model.received) - len(model.outcomes)
        assert ledger.dropped_by_client == model.dropped_before

    @invariant()
    def balances_when_all_is_accounted_for(self) -> None:
        model = self.model
        count = model.upto + 3
        gaps = count - len(model.seen)
        missing = [n for first, last in self.ledger.missing(count) for n in range(first, last)]
        assert missing == [n for n in range(count) if n not in model.seen]
        awaited = {n for first, last in self.ledger.awaited(count) for n in range(first, last)}
        assert awaited == set(missing) - model.forgotten and len(missing) == gaps
        durable = self.ledger.balances(count, model.dropped_before, recorded=True)
        received = self.ledger.balances(count, model.dropped_before, recorded=False)
        answered = len(model.outcomes) == len(model.received)
        assert received == answered
        assert durable == (answered and model.durable == set(model.received))


TestLedger = LedgerMachine.TestCase
TestLedger.settings = settings(
    max_examples=200, stateful_step_count=60, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


def test_checksum_is_over_the_payload_checksums_in_order() -> None:
    ledger = Ledger()
    for seq in (2, 0, 1):
        ledger.take(seq, 1000 + seq)
    assert ledger.checksum(3) == xxhash.xxh3_64_intdigest(struct.pack("<3Q", 1000, 1001, 1002))


def test_a_number_beyond_any_credit_is_not_taken() -> None:
    assert Ledger().judge(1 << 40, 0) is Verdict.TOO_FAR


@pytest.mark.parametrize(("dropped", "balanced"), [(4, True), (3, False)])
def test_frames_that_the_client_dropped_must_agree_with_its_end(dropped: int, balanced: bool) -> None:
    ledger = Ledger()
    ledger.take(0, 7, dropped_before=4)
    ledger.make_durable(0)
    ledger.restored_out += 1
    assert ledger.balances(1, dropped, recorded=True) is balanced


def test_a_recording_that_begins_in_the_middle_counts_from_there_on() -> None:
    ledger = Ledger()
    for seq in (0, 1, 3):  # 2 is on its way
        ledger.take(seq, 100 + seq)
    ledger.reject(4, 104, "dtype")
    ledger.begin_recording()
    assert (ledger.unrecorded, ledger.durable, ledger.durable_upto) == (3, 0, 2)
    ledger.take(2, 102)
    ledger.take(5, 105)
    assert ledger.durable_upto == 2
    for seq, upto in ((5, 2), (2, 6)):
        ledger.make_durable(seq)
        assert ledger.durable_upto == upto
    ledger.restored_out = 5
    assert ledger.durable == 2 and ledger.balances(6, 0, recorded=True)
    ledger.take(6, 106)
    ledger.recording_failed()
    assert ledger.rejected == {"dtype": 1, "recording_failed": 1}
