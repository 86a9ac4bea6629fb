"""Problems that clients report: shown, counted and recorded, within bounds that no client can leave."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from in_thread import AcquireInThread, Peer, frame_parts, hello, plan_message
from operating import AtConsole
from running import wait_for
from scanmend.acquire import context
from scanmend.acquire.reported import (
    BURST,
    CLEAR_S,
    KEEP_S,
    MOST_KINDS,
    MOST_NOTES,
    MOST_WITHOUT_SESSION,
    RATE_PER_S,
    UNHEARD_S,
    Reported,
    ReportedWithoutSession,
)
from scanmend.record import EntryKind, JournalReader, ProblemNote, read_note
from scanmend.wire.messages import Ack, Delivery, End, Nack, Problem, ProblemLevel, Receipt, Welcome, encode

GAP = Problem(session_id=7, code="gap", text="Three points never came.", mend="Look at the network.", points=3)
AWAY = Problem(session_id=0, code="no_instrument", text="No detector answers.", stands=True, client="merlin")


def changed(problem: Problem, **changes: Any) -> Problem:
    return msgspec.structs.replace(problem, **changes)


class Time:
    """A session's reports, with a clock of the test's own."""

    def __init__(self) -> None:
        self.reported, self.now_s, self.notes = Reported(), 0.0, list[ProblemNote]()

    def say(self, problem: Problem, after_s: float = 1.0) -> bool:
        self.now_s += after_s
        taken, note = self.reported.take(problem, now_mono_s=self.now_s, now_unix_ns=int(self.now_s * 1e9) + 10**18)
        self.notes += [] if note is None else [note]
        return taken

    def shown(self, after_s: float = 0.0) -> list[str]:
        return [info.code for info in self.reported.current("s", self.now_s + after_s)]


def test_what_has_happened_is_shown_for_a_minute_and_what_stands_until_it_is_over() -> None:
    time = Time()
    time.say(GAP)
    time.say(changed(AWAY, session_id=7))
    assert time.shown() == ["gap", "no_instrument"] and time.shown(KEEP_S + 1) == ["no_instrument"]
    time.say(changed(AWAY, session_id=7, cleared=True))
    assert time.shown(CLEAR_S - 1) == ["gap", "no_instrument"] and time.shown(CLEAR_S + 1) == ["gap"]
    time.say(changed(AWAY, session_id=7, cleared=True), CLEAR_S - 1)  # said again after a resume: no longer for that
    assert time.shown(2.0) == ["gap"]


def test_nothing_stands_when_the_session_is_over() -> None:
    time = Time()
    time.say(changed(AWAY, session_id=7))
    time.reported.session_over(time.now_s)
    assert time.shown(KEEP_S - 1) == ["no_instrument"] and time.shown(KEEP_S + 1) == []
    assert time.reported.counts() == {"no_instrument": 1}


def test_counts_never_go_back_and_the_recording_has_a_note_for_each_doubling() -> None:
    time = Time()
    for count in [*range(1, 101), 40]:
        assert time.say(changed(GAP, count=count, points=3 * count))
    assert time.reported.counts() == {"gap": 100}
    assert [note.count for note in time.notes] == [1, 2, 4, 8, 16, 32, 64]
    assert time.notes[-1].points == 192 and time.notes[-1].since_unix_ns == time.notes[0].since_unix_ns


def test_what_a_terminal_would_obey_is_taken_out() -> None:
    time = Time()
    time.say(changed(GAP, text="One\x1b[2J\nline\u202e.", mend="\x00"))
    (info,) = time.reported.current("s", time.now_s)
    assert info.text == "One [2J line ." and info.mend == " " and info.reported_by == "microscope"


def test_a_time_that_has_not_come_is_not_believed() -> None:
    time = Time()
    time.say(changed(GAP, since_unix_ns=(1 << 63) - 1))
    assert next(time.reported.current("s", time.now_s)).since_unix_ns == 10**18 + 10**9


def test_more_kinds_than_are_kept_are_left_out() -> None:
    time = Time()
    assert [time.say(changed(GAP, code=f"kind_{n}")) for n in range(MOST_KINDS + 3)].count(False) == 3
    assert len(time.shown()) == MOST_KINDS and time.say(changed(GAP, code="kind_0"))


def test_a_chatty_client_is_listened_to_at_a_rate() -> None:
    time = Time()
    taken = [time.say(changed(GAP, count=n + 1), after_s=0.001) for n in range(1000)]
    assert taken.count(True) <= BURST + RATE_PER_S + 1 and all(taken[: int(BURST)])
    assert time.say(GAP, after_s=1.0)


PROBLEMS = st.builds(
    Problem,
    session_id=st.just(7),
    code=st.from_regex(r"[a-z][a-z0-9_]{0,31}", fullmatch=True) | st.sampled_from(["gap", "clock"]),
    text=st.text(min_size=1, max_size=600),
    mend=st.text(max_size=600),
    count=st.integers(1, 1 << 48),
    points=st.integers(0, 1 << 48),
    since_unix_ns=st.integers(0, (1 << 63) - 1),
    stands=st.booleans(),
    cleared=st.booleans(),
)


@given(said=st.lists(st.tuples(PROBLEMS, st.floats(0, 100)), max_size=60))
@settings(max_examples=60, deadline=None)
def test_whatever_is_said_stays_within_the_bounds(said: list[tuple[Problem, float]]) -> None:
    time, most = Time(), dict[str, int]()
    for problem, after_s in said:
        if time.say(problem, after_s):
            most[problem.code] = max(most.get(problem.code, 0), problem.count)
        shown = time.shown()
        assert len(shown) == len(set(shown)) <= MOST_KINDS
    assert time.reported.counts() == most and len(time.notes) <= MOST_NOTES
    for note in time.notes:
        assert (note.text + note.mend).isprintable()


def test_what_concerns_no_session_is_forgotten_when_it_is_not_said_again() -> None:
    reported = ReportedWithoutSession()

    def take(problem: Problem, now_s: float) -> bool:
        return reported.take(problem, now_mono_s=now_s, now_unix_ns=10**18)

    def codes(now_s: float) -> list[str]:
        return [info.code for info in reported.current(now_s)]

    assert take(AWAY, 0) and take(AWAY, UNHEARD_S - 1)
    assert codes(2 * UNHEARD_S - 2) == ["no_instrument"] and codes(2 * UNHEARD_S) == []
    assert take(changed(AWAY, code="leftover", stands=False), 30) and codes(80) == ["leftover"] and codes(91) == []
    assert take(changed(AWAY, cleared=True), 100) and codes(100) == []  # nobody had heard of it
    assert take(AWAY, 101) and take(changed(AWAY, cleared=True), 102) and codes(102 + CLEAR_S + 1) == []
    taken = [take(changed(AWAY, client=f"c{n}"), 200 + n / 20) for n in range(MOST_WITHOUT_SESSION + 5)]
    assert taken.count(False) == 5 and len(codes(202)) == MOST_WITHOUT_SESSION


# At the real acquire -------------------------------------------------------------------------------------------------


@pytest.fixture
def acquire(tmp_path: Path) -> Any:
    with AcquireInThread(tmp_path / "data") as running:
        yield running


def opened(peer: Peer, **changes: Any) -> Welcome:
    peer.say(encode(hello(**changes)))
    welcome: Welcome = peer.hear(Welcome)
    peer.say(plan_message())
    return welcome


def found(acquire: AcquireInThread, wanted: Callable[[Any], bool]) -> list[Any]:
    problems = [p for p in acquire.status().problems if p.reported_by == "microscope"]
    return [problem for problem in problems if wanted(problem)]


def test_it_is_shown_counted_in_the_receipt_and_recorded(acquire: AcquireInThread, tmp_path: Path) -> None:
    with Peer(acquire.address) as peer:
        assert "problems" in opened(peer, record=True, delivery=Delivery.DURABLE).features
        peer.say(*frame_parts())
        peer.say(encode(changed(GAP, count=3)))
        wait_for(lambda: found(acquire, lambda p: p.code == "gap" and p.count == 3 and p.session == "s"), 5, "no gap")
        peer.say(encode(changed(GAP, count=5, points=15)))
        peer.say(encode(End(session_id=7, count=1, dropped=0)))
        receipt: Receipt = peer.hear(Receipt)
    assert receipt.problems == {"gap": 5} and receipt.balanced
    assert found(acquire, lambda p: p.code == "gap" and p.session == "s")  # for a minute more
    with JournalReader(tmp_path / "data" / "sessions" / "s") as reader:
        notes = [read_note(reader.read(entry)[0]) for entry in reader.entries(kinds=(EntryKind.NOTE,))]
    assert [(note.code, note.count, note.points) for note in notes if isinstance(note, ProblemNote)] == [("gap", 3, 3)]


def test_a_session_that_is_taken_up_again_still_knows_them(tmp_path: Path) -> None:
    with AcquireInThread(tmp_path / "data") as acquire, Peer(acquire.address) as peer:
        opened(peer, record=True, delivery=Delivery.DURABLE)
        peer.say(encode(changed(GAP, count=4)))
        peer.say(*frame_parts())
        while peer.hear(Ack).durable_upto != 1:
            pass
        # The journal is left as a kill leaves it: without END and without a receipt.
        cut_off, acquire.acquire._context.sessions = acquire.acquire._context.sessions[7], {}
    assert cut_off.journal is not None
    cut_off.journal.close()  # not before: the loop may be looking at it
    cut_off.slots.close()
    with AcquireInThread(tmp_path / "data") as acquire, Peer(acquire.address) as peer:
        opened(peer, record=True, delivery=Delivery.DURABLE)
        assert [(p.count, p.session) for p in found(acquire, lambda p: p.code == "gap")] == [(4, "s")]
        peer.say(encode(changed(GAP, count=6)))
        peer.say(encode(End(session_id=7, count=1)))
        assert peer.hear(Receipt).problems == {"gap": 6}


def test_a_recording_that_is_begun_later_holds_what_was_reported_before(
    acquire: AcquireInThread, tmp_path: Path
) -> None:
    with Peer(acquire.address) as peer, AtConsole(acquire.acquire.run_dir) as console:
        opened(peer)
        peer.say(encode(changed(GAP, count=2)))
        wait_for(lambda: found(acquire, lambda p: p.code == "gap"), 5, "no gap")
        assert console.command("s", "record") == "sent"
        peer.say(encode(End(session_id=7, count=0)))
        peer.hear(Receipt)
    with JournalReader(tmp_path / "data" / "sessions" / "s") as reader:
        notes = [read_note(reader.read(entry)[0]) for entry in reader.entries(kinds=(EntryKind.NOTE,))]
    assert [note.count for note in notes if isinstance(note, ProblemNote)] == [2]


def test_a_client_without_a_session_is_heard(acquire: AcquireInThread) -> None:
    with Peer(acquire.address) as peer:
        peer.say(encode(AWAY))
        wait_for(lambda: found(acquire, lambda p: p.code == "no_instrument" and p.client == "merlin"), 5, "nothing")
        (info,) = found(acquire, lambda p: p.code == "no_instrument")
        assert info.session == "" and info.level == "warning" and acquire.status().sessions == []


def test_one_of_a_session_that_is_not_known_is_answered_so(acquire: AcquireInThread) -> None:
    with Peer(acquire.address) as peer:
        peer.say(encode(GAP))
        assert peer.hear(Nack).code == "no_session"
        assert found(acquire, lambda p: True) == []


def test_a_flood_neither_hides_the_services_own_problems_nor_stops_frames(acquire: AcquireInThread) -> None:
    with Peer(acquire.address) as peer:
        opened(peer)
        peer.say(encode(hello("t", 8, restore_channel="none such")))  # a problem of the service's own
        for number in range(400):
            peer.say(encode(changed(GAP, code=f"kind_{number}", text="x" * 600, mend="y" * 600)))
            peer.say(encode(changed(AWAY, code=f"kind_{number}", client=f"c{number}")))
        peer.say(*frame_parts())
        while peer.hear(Ack).received_upto != 1:
            pass
        status = acquire.status()
        own = [problem.code for problem in status.problems if problem.reported_by == "service"]
        assert own == ["refused_channels"] and status.problems[0].code == own[0]
        assert len(status.problems) <= 1 + MOST_KINDS + MOST_WITHOUT_SESSION
        assert status.junk["too_many_problems"] > 600
        peer.say(encode(End(session_id=7, count=1)))
        assert len(peer.hear(Receipt).problems) == MOST_KINDS


def test_many_sessions_together_do_not_fill_the_page(acquire: AcquireInThread, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(context, "MOST_SAID", 5)
    with Peer(acquire.address) as peer:
        for session_id in (7, 8, 9):
            peer.say(encode(hello(f"s{session_id}", session_id)))
            peer.hear(Welcome)
            for number in range(3):
                level = ProblemLevel.ERROR if number == 2 else ProblemLevel.WARNING
                problem = changed(GAP, session_id=session_id, code=f"kind_{number}", level=level)
                peer.say(encode(problem))
        sessions = acquire.acquire._context.sessions
        wait_for(lambda: all(len(s.reported.counts()) == 3 for s in sessions.values()), 5, "they did not come")
        shown = found(acquire, lambda p: True)
    assert [problem.level for problem in shown] == ["error"] * 3 + ["warning"] * 2


def test_one_that_is_malformed_is_answered_and_costs_nothing(acquire: AcquireInThread) -> None:
    with Peer(acquire.address) as peer:
        opened(peer)
        peer.say(msgspec.msgpack.encode(msgspec.msgpack.decode(encode(GAP)) | {"text": "t" * 601}))
        assert peer.hear(Nack).code == "malformed" and found(acquire, lambda p: True) == []
