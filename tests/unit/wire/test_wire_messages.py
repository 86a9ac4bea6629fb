"""Control messages: round trips, limits, and anything at all as input."""

from __future__ import annotations

import random

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scanmend.errors import InvalidInput, MalformedMessage, OversizeMessage, ProtocolError
from scanmend.field import Capabilities, Channel, DetectorKind, Field
from scanmend.plan import ScanPlan
from scanmend.wire.messages import (
    MAX_CONTROL_BYTES,
    RETRIABLE,
    Ack,
    Command,
    End,
    Enough,
    EnoughCode,
    Executed,
    ExecutedStatus,
    Hello,
    Nack,
    NackCode,
    Plan,
    Problem,
    ProblemLevel,
    Proposal,
    Receipt,
    Refuse,
    Welcome,
    check_session_name,
    decode_client,
    decode_service,
    encode,
    finite_or_none,
)

FIELD = Field(shape=(8, 9), pixel_size_nm=0.5, rotation_deg=-12.5, beam_current_pa=10.0, beam_energy_kev=200.0)
CHANNEL = Channel(name="BF", dtype="float32", kind=DetectorKind.ANALOGUE, units_per_electron=None, saturation_units=9.0)
PLAN = ScanPlan.point_list((8, 9), [5, 6], xy=[[1, 2], [8, 7]])

HELLO = Hello(session="gold-1", session_id=(1 << 63) - 1, field=FIELD, channels=(CHANNEL,), rescan="uncertainty",
              dose_budget_e_per_nm2=12.5, capabilities=Capabilities(points=False), held_from=9)  # fmt: skip
RECEIPT = Receipt(
    session="s", session_id=1, count=3, scanned=4, dropped_by_client=1, received=3, durable=2, rejected={"dtype": 1},
    gaps=0, missing=[(1, 2)], duplicates=0, conflicts=0, damaged=0, restored_in=3, restored_out=3, passed_through={},
    dropped={}, live_in=0, live_out=0, live_dropped=0, proposals=0, executed={"accepted": 1}, dose_e_per_nm2=None,
    dose_max_e_per_nm2=1.5, budget_e_per_nm2=None, checksum_matches=True, recording="s", delivery="durable",
    reason="finished", balanced=True)  # fmt: skip
CLIENT = [
    HELLO,
    Plan(session_id=1, plan_id=(1 << 32) - 1, plan=PLAN),
    Executed(session_id=1, proposal_id=2, status=ExecutedStatus.CHANGED, plan_id=3, reason="cut"),
    Problem(
        session_id=1,
        code="gap",
        text="Three points never came.",
        mend="Look at the network.",
        count=2,
        points=3,
        level=ProblemLevel.ERROR,
        stands=True,
        cleared=True,
    ),
    End(session_id=1, count=10, dropped=2, checksum=(1 << 64) - 1, reason="stopped"),
]
SERVICE = [
    Welcome(session_id=1, boot_id=2, resume_from=3, plans_known=[0, 1], credit_until=16, credit_bytes=1 << 30,
            max_frame_bytes=1 << 20, max_plan_bytes=1 << 26, model="pushpull", model_sha256="ab" * 32, provider="CPU",
            policies=["uncertainty"], recording=True),
    Refuse(code="session_exists", reason="It is open.", mend="Choose another name."),
    Ack(session_id=1, received_upto=5, durable_upto=4, credit_until=21, holes=[(6, 8)], paused="disk"),
    Nack(session_id=1, code=NackCode.CHECKSUM, reason="Damaged.", seq=7),
    Proposal(session_id=1, proposal_id=1, plan=PLAN, policy="uncertainty", reason="r", based_on_frames=4,
             dose_e_per_nm2=0.5, duration_ns=99, sigma_now=1.0, sigma_expected=0.5, expires_unix_ns=1 << 60),
    Enough(session_id=1, code=EnoughCode.BUDGET, reason="r", based_on_frames=4, passes=2, sigma_now=1.0,
           sigma_of_range=0.25, dose_e_per_nm2=80.0),
    Command(session_id=1, action="abort", by="operator"),
    RECEIPT,
]  # fmt: skip


@pytest.mark.parametrize("message", CLIENT, ids=lambda m: type(m).__name__)
def test_client_messages_go_there_and_back(message):
    assert decode_client(encode(message)) == message
    assert decode_client(memoryview(encode(message))) == message


@pytest.mark.parametrize("message", SERVICE, ids=lambda m: type(m).__name__)
def test_service_messages_go_there_and_back(message):
    assert decode_service(encode(message)) == message


@pytest.mark.parametrize("message", CLIENT + SERVICE, ids=lambda m: type(m).__name__)
def test_unknown_keys_are_ignored_and_missing_ones_are_named(message):
    decode = decode_client if message in CLIENT else decode_service
    plain = msgspec.msgpack.decode(encode(message))
    assert decode(msgspec.msgpack.encode(plain | {"later": {"a": 1}})) == message
    required = [f.name for f in msgspec.structs.fields(type(message)) if f.required]
    for name in required:
        with pytest.raises(MalformedMessage, match=name):
            decode(msgspec.msgpack.encode({k: v for k, v in plain.items() if k != name}))


WRONG = [
    ("a string as a number", {"session_id": "7"}),
    ("a negative id", {"session_id": -1}),
    ("no channel", {"channels": []}),
    ("17 channels", {"channels": [{"name": "a"}] * 17}),
    ("an unknown mode", {"mode": "movie"}),
    ("an unknown delivery", {"delivery": "maybe"}),
    ("a deadline of days", {"deadline_ms": 1 << 40}),
    ("a field without pixels", {"field": {"shape": [0, 1], "pixel_size_nm": 1.0}}),
    ("a field of three sides", {"field": {"shape": [1, 1, 1], "pixel_size_nm": 1.0}}),
    ("a channel of pickles", {"channels": [{"name": "a", "dtype": "object"}]}),
    ("a flag that is a word", {"record": "yes"}),
    ("another type", {"type": "HALLO"}),
    ("a target of nothing", {"target": {"sigma_of_range": 0.0}}),
    ("a target outside every field", {"target": {"region": [-1, 0, 4, 4]}}),
    ("a gain of all", {"target": {"min_gain": 1.0}}),
    ("the service's type", {"type": "WELCOME"}),
]


@pytest.mark.parametrize("change", [case[1] for case in WRONG], ids=[case[0] for case in WRONG])
def test_a_wrong_hello_is_refused_with_a_mend(change):
    plain = msgspec.msgpack.decode(encode(HELLO)) | change
    with pytest.raises(MalformedMessage) as caught:
        decode_client(msgspec.msgpack.encode(plain))
    assert caught.value.mend


WRONG_PROBLEMS = [
    ("a code of two words", {"code": "two words"}),
    ("a code that is a line", {"code": "gap\n"}),
    ("a code that is a path", {"code": "../gap"}),
    ("a long code", {"code": "g" * 33}),
    ("no text", {"text": ""}),
    ("a long text", {"text": "t" * 601}),
    ("a long mend", {"mend": "m" * 601}),
    ("a long client", {"client": "c" * 65}),
    ("a level of its own", {"level": "caution"}),
    ("a count of nothing", {"count": 0}),
    ("a count that nothing counts", {"count": 1 << 49}),
    ("points that come back", {"points": -1}),
]


@pytest.mark.parametrize("change", [case[1] for case in WRONG_PROBLEMS], ids=[case[0] for case in WRONG_PROBLEMS])
def test_a_problem_that_is_too_long_or_no_word_is_refused(change):
    plain = msgspec.msgpack.decode(encode(Problem(session_id=1, code="gap", text="One."))) | change
    with pytest.raises(MalformedMessage) as caught:
        decode_client(msgspec.msgpack.encode(plain))
    assert caught.value.mend


def test_plans_may_be_large_and_other_messages_may_not():
    plan = ScanPlan.mask(np.ones((2048, 2048), bool), 100)
    data = encode(Plan(session_id=1, plan_id=0, plan=plan))
    assert len(data) > 500_000 and decode_client(data).plan == plan
    with pytest.raises(OversizeMessage):
        encode(Refuse(code="x", reason="r" * MAX_CONTROL_BYTES))
    plain = msgspec.msgpack.decode(encode(HELLO)) | {"client": "c" * MAX_CONTROL_BYTES}
    with pytest.raises(OversizeMessage):
        decode_client(msgspec.msgpack.encode(plain))


@given(data=st.binary(max_size=300))
@settings(max_examples=500, deadline=None)
def test_any_bytes_are_refused_within_the_tree(data):
    for decode in (decode_client, decode_service):
        with pytest.raises(ProtocolError):
            decode(data)


def test_ten_thousand_mutated_messages_stay_within_the_tree():
    dice, taken = random.Random(3), 0
    originals = [(encode(m), decode_client) for m in CLIENT] + [(encode(m), decode_service) for m in SERVICE]
    for _ in range(1000):
        for data, decode in originals:
            broken = bytearray(data)
            for _ in range(dice.randrange(1, 4)):
                at = dice.randrange(len(broken))
                if dice.random() < 0.3:
                    del broken[at : at + dice.randrange(1, 9)]
                else:
                    broken[at : at + 1] = dice.randbytes(dice.randrange(1, 3))
                broken = broken or bytearray(b"\0")
            try:
                message = decode(bytes(broken))
                if isinstance(message, Plan):
                    message.plan.validate(FIELD)
                taken += 1
            except ProtocolError:
                pass
            except InvalidInput as error:
                assert error.message
    assert taken > 100  # a digit of a number may change without the message becoming wrong


@pytest.mark.parametrize("depth", [10, 1000, 100_000])
def test_deep_nesting_is_refused(depth):
    with pytest.raises(ProtocolError):
        decode_client(b"\x91" * depth + b"\xc0")
    with pytest.raises(ProtocolError):
        decode_client(b"\x81\xa1a" * depth + b"\xc0")


@pytest.mark.parametrize(
    "head", [b"\xdf\xff\xff\xff\xff", b"\xdd\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff", b"\xdb\xff\xff\xff\xff"]
)
def test_announced_lengths_are_not_believed(head):
    with pytest.raises(ProtocolError):
        decode_client(head)


@pytest.mark.parametrize("name", ["a", "A1_b.c-d", "0", "x" * 64])
def test_names_of_sessions(name):
    assert check_session_name(name) == name


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "a..b", "-a", "_a", "a/b", "a\\b", "a\n", "a\0", "ä", "a b", "x" * 65, "../x", "%2e%2e", "C:"],
)
def test_names_that_could_lead_somewhere_are_refused(name):
    with pytest.raises(InvalidInput) as caught:
        check_session_name(name)
    assert caught.value.mend


def test_retriable_codes_are_codes():
    assert set(NackCode) > RETRIABLE and NackCode.CONFLICT not in RETRIABLE
    assert finite_or_none(float("nan")) is None and finite_or_none(1.5) == 1.5
