"""The client's state machine against the reference service, in memory and with a clock of the test's own."""

from __future__ import annotations

from collections import deque

import msgspec
import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from reference_service import ReferenceService
from scanmend.client.core import SessionCore, State
from scanmend.client.samples import Piece
from scanmend.errors import FrameRejected, PlanError, RecordingError, SessionClosed, SessionRefused
from scanmend.field import Channel, Field
from scanmend.plan import ScanPlan
from scanmend.wire.header import FrameHeader, RestoredHeader
from scanmend.wire.messages import (
    Ack,
    Delivery,
    End,
    Executed,
    ExecutedStatus,
    Hello,
    Nack,
    NackCode,
    Plan,
    Proposal,
    Returns,
    decode_client,
    encode,
)

FIELD = Field(shape=(4, 8), pixel_size_nm=1.0)
PLAN = ScanPlan.raster(FIELD.shape, 100)


def hello(**changes):
    base = Hello(session="s", session_id=7, field=FIELD, channels=(Channel(name="SE"),))
    return msgspec.structs.replace(base, **changes)


def piece(value=0, plan_id=0, **changes):
    samples = np.full((1, 32), value, np.uint16)
    values = dict(plan_id=plan_id, pass_index=value, first_point=0, samples=samples, end_of_pass=True,
                  full_raster=True, acquired_unix_ns=0, dropped_before=0)  # fmt: skip
    return Piece(**(values | changes))


class Wire:
    """Two queues between a core and a service, and a clock."""

    def __init__(self, service=None, core_options=None, **changes):
        self.now = 100.0
        self.service = service or ReferenceService()
        self.core = SessionCore(hello(**changes), clock=lambda: self.now, **(core_options or {}))
        self.up, self.down, self.log = deque(), deque(), []

    def flush(self):
        while (parts := self.core.outgoing()) is not None:
            self.up.append([bytes(part) for part in parts])
            self.core.sent()

    def turn(self):
        """Deliver all that is on its way, both ways, until nothing moves."""
        self.core.tick()
        self.flush()
        while self.up or self.down:
            if self.up:
                parts = self.up.popleft()
                self.log.append(parts)
                self.down.extend(self.service.handle(parts))
            while self.down:
                self.core.feed(self.down.popleft())
            self.flush()

    def cut(self):
        self.up.clear()
        self.down.clear()

    def sent(self, kind):
        if kind is FrameHeader:
            return [FrameHeader.unpack(p[0], max_payload_bytes=1 << 20).seq for p in self.log if len(p) == 2]
        messages = [decode_client(p[0]) for p in self.log if len(p) == 1]
        return [m for m in messages if isinstance(m, kind)]

    def session(self):
        return self.service.sessions[7]


def opened(**options):
    wire = Wire(**options)
    wire.turn()
    assert wire.core.state is State.OPEN
    wire.core.add_plan(PLAN)
    return wire


def test_a_session_from_hello_to_receipt():
    wire = opened()
    for value in range(40):
        assert wire.core.why_held(64) == ""
        assert wire.core.push(piece(value)) == value
        wire.turn()
    wire.core.end("finished")
    wire.turn()
    receipt = wire.core.receipt
    assert receipt is not None and receipt.balanced and receipt.checksum_matches and receipt.count == 40
    assert wire.core.state is State.ENDED and len(wire.core.ring) == 0 and wire.core.outgoing() is None
    answers = list(wire.core.answers.unread)
    assert [a.seq for a in answers] == list(range(40)) and (answers[5].image == 5).all() and answers[5].restored
    assert wire.core.ring.resent == 0 and wire.session().duplicates == 0


def test_only_hello_goes_out_before_welcome():
    wire = Wire()
    wire.core.add_plan(PLAN)
    wire.core.push(piece())
    wire.core.end("finished")
    wire.flush()
    assert [type(decode_client(p[0])) for p in wire.up] == [Hello]


def test_plans_go_before_their_frames_and_end_goes_last():
    wire = opened()
    wire.core.push(piece(1))
    wire.core.end("finished")
    wire.turn()
    kinds = ["FRAME" if len(p) == 2 else type(decode_client(p[0])).__name__ for p in wire.log]
    assert kinds == ["Hello", "Plan", "FRAME", "End"]


def test_the_credit_in_frames_holds_and_its_reason_is_told():
    wire = opened(service=ReferenceService(credit=4))
    wire.service.paused = "the disk is slow"
    for value in range(4):
        assert wire.core.why_held(64) == ""
        wire.core.push(piece(value))
        wire.turn()
    assert wire.core.why_held(64) == "the disk is slow" and wire.core.paused == "the disk is slow"
    wire.service.paused = ""
    wire.down.extend(wire.service.ack(wire.session()))
    wire.turn()
    assert wire.core.why_held(64) == ""


def test_the_credit_in_bytes_holds_but_one_frame_may_always_go():
    wire = opened(service=ReferenceService(credit_bytes=100))
    wire.core.push(piece(0))
    wire.flush()
    assert wire.core.why_held(64) != ""
    wire.turn()
    assert wire.core.why_held(64) == "" and wire.core.why_held(1 << 20) == ""


def test_the_ring_is_bounded():
    wire = opened(service=ReferenceService(durable=False), core_options={"ring_bytes": 200})
    for value in range(3):
        wire.core.push(piece(value))
        wire.turn()
    assert "3 frames wait" in wire.core.why_held(64)


def test_unread_answers_hold_or_are_dropped():
    wire = opened(core_options={"unread": 2})
    for value in range(2):
        wire.core.push(piece(value))
    wire.turn()
    assert wire.core.why_held(64) == "2 answers are unread."
    wire.core.answers.unread.popleft()
    assert wire.core.why_held(64) == ""

    wire = opened(core_options={"unread": 2, "drop_oldest": True})
    for value in range(5):
        wire.core.push(piece(value))
    wire.turn()
    assert wire.core.why_held(64) == "" and wire.core.answers.dropped == 3
    assert [a.seq for a in wire.core.answers.unread] == [3, 4]


@pytest.mark.parametrize("delivery", list(Delivery))
def test_frames_stay_in_the_ring_until_they_are_safe(delivery):
    wire = opened(service=ReferenceService(durable=False), delivery=delivery)
    for value in range(5):
        wire.core.push(piece(value))
    wire.turn()
    assert wire.core.ring.received_upto == 5 and wire.core.ring.durable_upto == 0
    assert len(wire.core.ring) == (5 if delivery is Delivery.DURABLE else 0)


def test_a_service_started_anew_gets_everything_that_was_not_durable():
    wire = opened(service=ReferenceService(durable=False))
    for value in range(6):
        wire.core.push(piece(value))
    wire.turn()
    wire.session().durable_upto = 3
    wire.service.restart()
    wire.core.push(piece(6))
    wire.turn()  # the frame meets no_session
    wire.service.durable = True
    wire.core.end("finished")
    wire.turn()
    assert wire.core.receipt.balanced and wire.core.receipt.checksum_matches
    assert wire.core.reconnects == 1 and wire.core.ring.resent == 4 and wire.session().duplicates == 0
    assert [p.plan_id for p in wire.sent(Plan)] == [0, 0]
    assert len(wire.core.answers.unread) == 7 and wire.core.answers.repeated == 3


def test_the_same_service_gets_only_what_it_had_not_acknowledged():
    wire = opened(service=ReferenceService(durable=False))
    for value in range(6):
        wire.core.push(piece(value))
    wire.turn()
    wire.core.push(piece(6))
    wire.core.push(piece(7))
    wire.flush()
    wire.cut()
    wire.now += 1.1
    wire.turn()
    assert wire.core.reconnects == 1 and wire.sent(FrameHeader) == [0, 1, 2, 3, 4, 5, 6, 7]
    assert wire.session().duplicates == 0 and wire.core.ring.received_upto == 8


def test_silence_with_nothing_outstanding_only_shows_that_the_client_is_alive():
    wire = opened()
    wire.core.push(piece(0))
    wire.turn()
    wire.now += 1.1
    wire.core.tick()
    assert wire.core.state is State.OPEN and wire.core.why_held(64) == ""
    wire.turn()
    assert wire.service.hellos == 2 and wire.core.reconnects == 0 and wire.core.ring.resent == 0


def test_hello_is_said_again_while_nobody_answers():
    wire = Wire()
    wire.flush()
    wire.cut()
    wire.now += 0.2
    wire.core.tick()
    assert wire.core.outgoing() is None
    wire.now += 0.4
    wire.turn()
    assert wire.core.state is State.OPEN


def test_holes_are_resent_once_for_each_report_of_the_same_hole():
    wire = opened()
    for value in range(4):
        wire.core.push(piece(value))
    wire.flush()
    del wire.up[2]  # after PLAN and frame 0: frame 1 is lost
    wire.turn()
    assert wire.core.ring.received_upto == 4 and wire.core.ring.resent == 1
    assert wire.core.receipt is None and sorted(wire.session().frames) == [0, 1, 2, 3]


def test_a_damaged_frame_is_resent():
    wire = opened()
    wire.core.push(piece(5))
    wire.flush()
    payload = bytearray(wire.up[-1][1])
    payload[0] ^= 1
    wire.up[-1][1] = bytes(payload)
    wire.turn()
    assert wire.core.ring.resent == 1 and wire.core.ring.received_upto == 1


def test_a_plan_that_got_lost_is_resent_with_its_frame():
    wire = opened()
    wire.core.push(piece(0))
    wire.flush()
    wire.up.popleft()
    wire.turn()
    assert wire.core.ring.received_upto == 1 and len(wire.sent(Plan)) == 1 and wire.sent(FrameHeader) == [0, 0]


def test_sent_beyond_the_credit_waits_a_little_and_is_resent():
    wire = opened()
    wire.core.push(piece(0))
    wire.flush()
    wire.up.clear()
    wire.core.feed([encode(Nack(session_id=7, code=NackCode.CREDIT, reason="Too much.", seq=0))])
    assert wire.core.outgoing() is None
    wire.now += 0.06
    assert wire.core.outgoing() is not None


def test_a_rejected_frame_leaves_the_ring_and_is_reported():
    wire = opened()
    wire.core.push(piece(0))
    wire.flush()
    wire.cut()
    wire.core.feed([encode(Nack(session_id=7, code=NackCode.DTYPE, reason="Wrong type.", mend="Convert.", seq=0))])
    assert len(wire.core.ring) == 0 and wire.core.ring.unreceived_bytes == 0 and wire.core.answers.awaited == 0
    (rejection,) = wire.core.troubles.rejected
    assert isinstance(rejection, FrameRejected) and (rejection.seq, rejection.code) == (0, "dtype")
    assert "Convert." in str(rejection)


@pytest.mark.parametrize("code, kind", [(NackCode.RECORDING_FAILED, RecordingError), (NackCode.ENDED, SessionClosed)])
def test_after_a_failure_no_frame_goes_out_but_end_does(code, kind):
    wire = opened()
    wire.core.push(piece(0))
    wire.core.feed([encode(Nack(session_id=7, code=code, reason="Full.", mend="Make room."))])
    assert isinstance(wire.core.troubles.failure, kind) and wire.core.over
    wire.core.end("aborted")
    wire.turn()
    assert wire.sent(FrameHeader) == [] and wire.sent(End)[0].count == 1


def test_remarks_do_not_touch_the_ring():
    wire = opened(service=ReferenceService(durable=False))
    wire.core.push(piece(0))
    wire.turn()
    wire.core.feed([encode(Nack(session_id=7, code=NackCode.NOT_FINITE, reason="NaN.", seq=0))])
    wire.core.feed([encode(Nack(session_id=7, code=NackCode.BAD_PLAN, reason="No.", plan_id=3))])
    assert len(wire.core.ring) == 1 and list(wire.core.troubles.notes) == ["NaN."]
    assert isinstance(wire.core.troubles.complaints[0], PlanError)


def test_frames_of_a_plan_that_the_service_will_not_have_are_not_sent_for_ever():
    wire = opened()
    wire.core.push(piece(0))
    wire.flush()
    wire.cut()
    wire.core.feed([encode(Nack(session_id=7, code=NackCode.BAD_PLAN, reason="Too large.", plan_id=0))])
    wire.core.feed([encode(Nack(session_id=7, code=NackCode.UNKNOWN_PLAN, reason="Which?", seq=0))])
    assert wire.core.outgoing() is None and len(wire.core.ring) == 0
    assert [type(c) for c in wire.core.troubles.complaints] == [PlanError, FrameRejected]


def test_a_refusal_fails_the_session():
    wire = Wire()
    wire.service.refuse = "session_exists"
    wire.turn()
    failure = wire.core.troubles.failure
    assert wire.core.state is State.FAILED and isinstance(failure, SessionRefused)
    assert failure.code == "session_exists" and "Ask again." in str(failure)


def test_a_lost_end_is_said_again():
    wire = opened()
    wire.core.push(piece(0))
    wire.core.end("finished")
    wire.flush()
    wire.up.pop()
    wire.turn()
    assert wire.core.receipt is None
    wire.now += 1.1
    wire.turn()
    assert wire.core.receipt.balanced


def test_frames_that_nobody_holds_any_more_are_counted_and_not_waited_for():
    wire = opened(delivery=Delivery.RECEIVED, record=False)
    for value in range(20):
        wire.core.push(piece(value))
        wire.turn()
    wire.service.sessions.clear()
    wire.service.restart()
    wire.core.push(piece(20))
    wire.turn()
    assert wire.sent(Hello)[-1].held_from == 20
    assert wire.core.lost == 20 and wire.session().frames.keys() == {20} and wire.core.ring.received_upto == 21


def test_superseded_chunks_are_not_waited_for():
    wire = opened()
    wire.service.sessions[7].hello = hello(returns=Returns.NONE)  # the service answers nothing by itself
    for seq in range(3):
        wire.core.push(piece(0, end_of_pass=seq == 2))
    wire.core.push(piece(1))
    wire.turn()
    assert wire.core.answers.awaited == 4
    frame = wire.session().frames[2]
    wire.core.feed(wire.service.restored(wire.session(), *frame))
    assert wire.core.answers.awaited == 1 and wire.core.answers.get(3) is not None


def test_answers_lost_with_a_connection_are_given_up_after_a_while():
    wire = opened()
    wire.core.push(piece(0))
    wire.flush()
    while wire.up:
        wire.service.handle(wire.up.popleft())
    wire.core.feed([encode(Ack(session_id=7, received_upto=1, durable_upto=0, credit_until=17))])
    wire.now += 1.1
    wire.turn()
    assert wire.core.reconnects == 1 and wire.core.answers.awaited == 1
    wire.now += 10
    wire.turn()
    assert wire.core.answers.awaited == 0 and wire.core.answers.given_up == 1
    wire.core.feed(wire.service.restored(wire.session(), *wire.session().frames[0]))
    assert wire.core.answers.given_up == 0 and len(wire.core.answers.unread) == 1


def answer_lost(**options):
    """A session whose only frame is safe with the service, and whose answer was lost with a connection."""
    wire = opened(**options)
    wire.core.push(piece(0))
    wire.flush()
    while wire.up:
        wire.down.extend(parts for parts in wire.service.handle(wire.up.popleft()) if len(parts) == 1)
    wire.turn()
    assert wire.core.answers.awaited == 1
    return wire


def silent_turns(wire, seconds):
    """Let time pass in which the service says nothing but WELCOME; gives how long until no answer was awaited."""
    for turns in range(round(seconds / 1.1)):
        if not wire.core.answers.awaited:
            return turns * 1.1
        wire.now += 1.1
        wire.turn()
    return None


def test_an_answer_lost_with_a_connection_that_was_back_at_once_is_given_up_after_a_while():
    wire = answer_lost()
    assert len(wire.core.ring) == 0
    wire.core.connection_broke()
    assert 10 <= silent_turns(wire, 60) < 14
    assert wire.core.answers.given_up == 1 and wire.core.reconnects == 0 and wire.core.ring.resent == 0
    wire.core.feed(wire.service.restored(wire.session(), *wire.session().frames[0]))
    assert wire.core.answers.given_up == 0 and len(wire.core.answers.unread) == 1


def test_an_answer_lost_unseen_is_given_up_later_but_a_slow_one_is_waited_for():
    wire = answer_lost()
    assert silent_turns(wire, 100) is None
    assert silent_turns(wire, 60) is not None and wire.core.answers.given_up == 1


def test_while_answers_come_those_behind_them_are_waited_for():
    wire = answer_lost()
    wire.service.sessions[7].hello = hello(returns=Returns.NONE)  # the service answers nothing by itself
    wire.core.push(piece(1))
    wire.core.push(piece(2))
    wire.turn()
    for seq in range(3):
        assert silent_turns(wire, 100) is None
        wire.core.feed(wire.service.restored(wire.session(), *wire.session().frames[seq]))
    assert wire.core.answers.awaited == 0 and wire.core.answers.given_up == 0


def test_frames_sent_after_a_break_are_not_in_doubt_because_of_it():
    wire = answer_lost()
    wire.service.sessions[7].hello = hello(returns=Returns.NONE)
    wire.core.connection_broke()
    wire.core.push(piece(1))
    wire.turn()
    assert silent_turns(wire, 60) is None
    assert wire.core.answers.given_up == 1 and wire.core.answers.get(1) is not None


def test_a_doubt_ends_though_the_session_is_taken_up_again_and_again():
    wire = answer_lost(service=ReferenceService(durable=False))
    assert len(wire.core.ring) == 1  # the disk stands still, so every silence is a resume
    assert 10 <= silent_turns(wire, 60) < 14
    assert wire.core.reconnects > 5 and wire.core.answers.given_up == 1


def test_what_a_service_started_anew_gets_again_is_not_in_doubt_any_more():
    wire = answer_lost(service=ReferenceService(durable=False))
    assert silent_turns(wire, 8) is None
    wire.service.restart()
    wire.service.handle([encode(hello())])
    wire.service.sessions[7].hello = hello(returns=Returns.NONE)
    wire.core.feed(wire.service.handle([encode(hello())])[0])
    wire.service.durable = True
    wire.turn()
    assert len(wire.core.ring) == 0 and silent_turns(wire, 30) is None and wire.core.answers.given_up == 0


def test_a_repeated_answer_is_put_aside():
    wire = opened()
    wire.core.push(piece(0))
    wire.turn()
    wire.core.feed(wire.service.restored(wire.session(), *wire.session().frames[0]))
    assert len(wire.core.answers.unread) == 1 and wire.core.answers.repeated == 1


@pytest.mark.parametrize("part", [0, 1, 2])
def test_damaged_answers_are_counted_and_dropped(part):
    wire = opened()
    wire.core.push(piece(3))
    wire.flush()
    replies = [m for parts in list(wire.up) for m in wire.service.handle(parts)]
    answer = next(m for m in replies if len(m) == 3)
    flipped = bytearray(answer[part])
    flipped[-1] ^= 0x40
    broken = list(answer)
    broken[part] = bytes(flipped)
    assert wire.core.feed(broken) is None and wire.core.troubles.damaged == 1
    assert wire.core.feed(answer).seq == 0


@pytest.mark.parametrize(
    "junk", [[b""], [b"junk"], [b"\xc1"], [b"", b""], [b"SMRS" + bytes(212), b""], [bytes(216)] * 3, [b"a"] * 9]
)
def test_junk_is_counted_and_never_raises(junk):
    wire = opened()
    assert wire.core.feed(junk) is None and wire.core.troubles.damaged == 1


def test_messages_of_other_sessions_mean_nothing():
    wire = opened()
    ack = Ack(session_id=8, received_upto=9, durable_upto=9, credit_until=999)
    assert wire.core.feed([encode(ack)]) is None
    restored = RestoredHeader(
        session_id=8, seq=0, pass_index=0, shape=(4, 8), dtype="float32", flags=0, estimate_xxh3=0
    )
    assert wire.core.feed([restored.pack(), b""]) is None


def proposal(proposal_id=1, plan=PLAN):
    return Proposal(
        session_id=7,
        proposal_id=proposal_id,
        plan=plan,
        policy="uncertainty",
        reason="",
        based_on_frames=1,
        dose_e_per_nm2=1.0,
        duration_ns=1,
        sigma_now=1.0,
        sigma_expected=0.5,
        expires_unix_ns=1 << 62,
    )


def test_decisions_that_no_received_frame_followed_are_said_again_after_a_resume():
    wire = opened()
    wire.core.feed([encode(proposal(1))])
    wire.core.feed([encode(proposal(1))])
    assert len(wire.core.proposals.open) == 1
    wire.core.decide(wire.core.proposals.next(), ExecutedStatus.ACCEPTED, plan_id=0)
    wire.core.push(piece(0))
    wire.turn()
    wire.core.feed([encode(proposal(2))])
    wire.core.decide(wire.core.proposals.next(), ExecutedStatus.DECLINED, reason="No time.")
    wire.core.push(piece(1))
    wire.flush()
    wire.cut()
    wire.now += 1.1
    wire.turn()
    assert [e.proposal_id for e in wire.sent(Executed)] == [1, 2]
    assert [(e.proposal_id, e.status) for e in wire.service.executed] == [(1, "accepted"), (2, "declined")]


def test_the_same_plan_keeps_its_id():
    wire = opened()
    again = ScanPlan.raster(FIELD.shape, 100)
    assert wire.core.add_plan(PLAN) == 0 and wire.core.add_plan(again) == 0
    assert wire.core.add_plan(ScanPlan.raster(FIELD.shape, 200)) == 1
    wire.turn()
    assert [p.plan_id for p in wire.sent(Plan)] == [0, 1]
    with pytest.raises(PlanError):
        wire.core.add_plan(ScanPlan.raster((5, 5), 100))


class Lifetime(RuleBasedStateMachine):
    """Any schedule of losses, cuts, damage and restarts ends with every frame in the record and the books balanced."""

    @initialize(durable=st.booleans(), delivery=st.sampled_from(list(Delivery)), credit=st.integers(1, 6))
    def start(self, durable, delivery, credit):
        self.delivery = delivery
        self.wire = Wire(service=ReferenceService(credit=credit, durable=durable), delivery=delivery,
                         core_options={"unread": 10_000})  # fmt: skip
        self.core = self.wire.core
        self.core.add_plan(PLAN)
        self.values = []

    @rule(value=st.integers(0, 65535))
    def push(self, value):
        if not self.core.why_held(64):
            self.core.push(piece(value))
            self.values.append(value)
        self.core.tick()
        self.wire.flush()

    @rule()
    def up(self):
        if self.wire.up:
            self.wire.down.extend(self.wire.service.handle(self.wire.up.popleft()))

    @rule()
    def down(self):
        if self.wire.down:
            self.core.feed(self.wire.down.popleft())
        self.wire.flush()

    @rule()
    def everything(self):
        self.wire.turn()

    @rule(seconds=st.sampled_from([0.01, 0.3, 1.2]))
    def wait(self, seconds):
        self.wire.now += seconds
        self.core.tick()
        self.wire.flush()

    @rule(which=st.integers(0, 5))
    def lose_one(self, which):
        if which < len(self.wire.up):
            del self.wire.up[which]

    @rule(which=st.integers(0, 5))
    def double_one(self, which):
        if which < len(self.wire.up):
            self.wire.up.append(self.wire.up[which])

    @rule(which=st.integers(0, 5), byte=st.integers(0, 63))
    def damage_one(self, which, byte):
        if which < len(self.wire.up) and len(self.wire.up[which]) == 2:
            header, payload = self.wire.up[which]
            broken = bytearray(payload)
            broken[byte] ^= 0xFF
            self.wire.up[which] = [header, bytes(broken)]

    @rule()
    def cut(self):
        self.wire.cut()

    @rule()
    def synced(self):
        for session in self.wire.service.sessions.values():
            session.durable_upto = self.wire.service.received(session)

    @precondition(lambda self: self.delivery is Delivery.DURABLE)
    @rule()
    def restart(self):
        self.wire.cut()
        self.wire.service.restart()

    @invariant()
    def credit_is_kept(self):
        if hasattr(self, "core"):
            ring = self.core.ring
            assert ring.received_upto <= ring.next_seq and ring.unreceived_bytes >= 0
            assert ring.unreceived_bytes == 64 * max(0, ring.cursor - ring.received_upto)

    def teardown(self):
        if not hasattr(self, "core"):
            return
        self.wire.service.durable = True
        self.core.end("finished")
        for _ in range(40):
            self.wire.now += 1.2
            self.wire.turn()
            if self.core.receipt is not None:
                break
        receipt = self.core.receipt
        assert receipt is not None and receipt.balanced and receipt.checksum_matches and receipt.conflicts == 0
        held = self.wire.session().frames
        assert [int(np.frombuffer(held[seq][1], "<u2")[0]) for seq in range(len(self.values))] == self.values
        assert len(self.core.ring) == 0 and self.core.answers.awaited == 0
        seqs = [a.seq for a in self.core.answers.unread]
        assert len(set(seqs)) == len(seqs)


TestLifetime = Lifetime.TestCase
TestLifetime.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
