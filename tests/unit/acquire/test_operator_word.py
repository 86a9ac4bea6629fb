"""An operator's word at the real acquire: approval, start, terms, record; and what is left of it after a restart."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from in_thread import SHAPE, AcquireInThread, Peer, frame_parts, hello, plan_message
from operating import AtConsole
from running import wait_for
from scanmend.acquire.session import Session
from scanmend.ipc import Doorbell, PeerGone
from scanmend.ipc import engine_link as link
from scanmend.ipc.console import AskProposal
from scanmend.plan import ScanPlan
from scanmend.record import EntryKind, JournalReader, RecordNote, read_note, writer
from scanmend.wire import messages
from scanmend.wire.messages import (
    Ack,
    Command,
    Decider,
    Delivery,
    End,
    Enough,
    Executed,
    ExecutedStatus,
    Mode,
    Nack,
    Proposal,
    Receipt,
    Welcome,
    encode,
)

RESCAN: dict[str, Any] = {
    "mode": Mode.EXPOSURE,
    "rescan": "uniform",
    "approval": Decider.OPERATOR,
    "dose_budget_e_per_nm2": 10.0,
    "record": True,
    "delivery": Delivery.DURABLE,
}


class ScriptedEngine:
    """An engine that proposes what a test wants, over the real doorbell."""

    def __init__(self, acquire: AcquireInThread) -> None:
        self._bell = Doorbell.connect(acquire.acquire.run_dir / "engine.sock")
        self.said: list[Any] = []
        self.say(link.EngineReady(pid=1, models=[], default_model="", policies=["uniform"]))

    def say(self, message: link.FromEngine) -> None:
        self._bell.send(link.encode(message))

    def propose(self, number: int, dose: float = 1.0, plan: ScanPlan | None = None) -> Proposal:
        proposal = Proposal(
            session_id=7,
            proposal_id=number,
            plan=plan or ScanPlan.raster(SHAPE, 2000),
            policy="uniform",
            reason="A test.",
            based_on_frames=0,
            dose_e_per_nm2=dose,
            duration_ns=1,
            sigma_now=2.0,
            sigma_expected=1.0,
            expires_unix_ns=1,
        )
        self.say(link.ProposalMade(proposal=proposal))
        return proposal

    def heard(self, kind: type) -> list[Any]:
        while (data := self._bell.receive()) is not None and not isinstance(data, PeerGone):
            self.said.append(link.decode_to_engine(data))
        return [message for message in self.said if isinstance(message, kind)]

    def wait_to_hear(self, kind: type) -> Any:
        wait_for(lambda: bool(self.heard(kind)), 5, f"the engine was not told {kind.__name__}")
        return self.heard(kind)[-1]

    def close(self) -> None:
        self._bell.close()


class Stage:
    """acquire with a scripted engine, an operator and a client that has said HELLO."""

    def __init__(self, engine: ScriptedEngine, operator: AtConsole, client: Peer, changes: dict[str, Any]) -> None:
        self.engine, self.operator, self.client = engine, operator, client
        client.say(encode(hello(**changes)))
        self.welcome: Welcome = client.hear(Welcome)
        engine.wait_to_hear(link.OpenSession)

    def wait_held(self, number: int) -> None:
        def held() -> bool:
            proposal = self.operator.session("s").proposal
            return proposal is not None and (proposal["proposal_id"], proposal["awaits"]) == (number, "operator")

        wait_for(held, 5, f"proposal {number} is not held")

    def propose(self, number: int, dose: float = 1.0) -> None:
        self.engine.propose(number, dose)
        self.wait_held(number)

    def end(self, count: int = 0) -> Receipt:
        self.client.say(encode(End(session_id=7, count=count)))
        self.engine.wait_to_hear(link.CloseSession)
        self.engine.say(link.SessionSummary(session_id=7))
        receipt: Receipt = self.client.hear(Receipt)
        return receipt


@contextlib.contextmanager
def staged(
    data_dir: Path, hello_keys: dict[str, Any] | None = None, *, killed: bool = False, **settings: Any
) -> Iterator[Stage]:
    """A stage; at its end acquire goes without a word to its sessions where it is to be `killed`."""
    cut_off: list[Session] = []
    with AcquireInThread(data_dir, **settings) as acquire:
        engine = ScriptedEngine(acquire)
        try:
            with AtConsole(acquire.acquire.run_dir) as operator, Peer(acquire.address) as client:
                yield Stage(engine, operator, client, hello_keys or {})
        finally:
            engine.close()
            if killed:
                cut_off += acquire.acquire._context.sessions.values()
                acquire.acquire._context.sessions = {}
    for session in cut_off:
        assert session.journal is not None
        session.journal.close()
        session.slots.close()


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with staged(tmp_path / "data", RESCAN) as made:
        yield made
        made.end()


def test_a_proposal_reaches_the_client_only_when_it_is_accepted(stage: Stage) -> None:
    stage.propose(3)
    assert stage.client.hear(Ack).awaits == "approval"
    assert stage.operator.command("s", "accept", proposal_id=4) == "no_proposal"
    assert stage.operator.command("s", "accept", proposal_id=3) == "sent"
    proposal = stage.client.hear(Proposal)
    assert proposal.proposal_id == 3 and proposal.plan == ScanPlan.raster(SHAPE, 2000)
    term = stage.engine.wait_to_hear(link.ProposalTerm)
    assert term.proposal_id == 3 and term.expires_unix_ns == proposal.expires_unix_ns > 1
    assert stage.client.hear(Ack).awaits == ""
    shown = stage.operator.session("s").proposal
    assert shown is not None and shown["awaits"] == "microscope"
    # Said twice it is done once; the opposite comes too late.
    assert stage.operator.command("s", "accept", proposal_id=3) == "sent"
    assert stage.operator.command("s", "decline", proposal_id=3) == "no_proposal"
    stage.client.say(encode(Executed(session_id=7, proposal_id=3, status=ExecutedStatus.EXPIRED)))
    receipt = stage.end()
    assert (receipt.proposals, receipt.approvals, receipt.executed) == (1, {"accepted": 1}, {"expired": 1})
    assert receipt.balanced


def test_a_declined_proposal_is_never_sent_and_ends_the_loop(stage: Stage) -> None:
    stage.propose(3)
    assert stage.operator.command("s", "decline", proposal_id=3) == "sent"
    while not isinstance(said := stage.client.hear(), Enough):
        assert not isinstance(said, Proposal)
    assert said.code == "declined" and "Ada" in said.reason and math.isnan(said.dose_e_per_nm2)
    told = stage.engine.wait_to_hear(link.ExecutedNotice).executed
    assert (told.proposal_id, told.status) == (3, "declined")
    receipt = stage.end()
    assert receipt.approvals == {"declined": 1} and receipt.executed == {} and receipt.enough == "declined"


def test_a_later_proposal_takes_the_place_of_one_that_waits(stage: Stage) -> None:
    stage.propose(3)
    stage.propose(4)
    assert stage.operator.command("s", "accept", proposal_id=3) == "no_proposal"
    assert stage.operator.command("s", "accept", proposal_id=4) == "sent"
    assert stage.client.hear(Proposal).proposal_id == 4
    assert stage.end().approvals == {"superseded": 1, "accepted": 1}


def test_nobody_in_time_ends_the_loop(tmp_path: Path) -> None:
    with staged(tmp_path / "data", RESCAN, approval_s=0.2) as stage:
        stage.engine.propose(3)
        said = stage.client.hear(Enough)
        assert said.code == "unanswered" and said.session_id == 7
        assert stage.operator.command("s", "accept", proposal_id=3) == "no_proposal"
        assert stage.end().approvals == {"expired": 1}


def test_what_costs_more_than_is_left_of_the_budget_cannot_be_accepted(stage: Stage) -> None:
    stage.propose(3, dose=6.0)
    assert stage.operator.command("s", "rescan", budget_e_per_nm2=5.0) == "sent"
    assert stage.operator.command("s", "accept", proposal_id=3) == "over_budget"
    assert stage.operator.command("s", "rescan", budget_e_per_nm2=7.0) == "sent"
    assert stage.operator.command("s", "accept", proposal_id=3) == "sent"
    assert stage.end().budget_e_per_nm2 == 7.0


@pytest.mark.parametrize("decision", ["accept", "decline", None])
def test_a_restart_of_acquire_forgets_no_decision(tmp_path: Path, decision: Any) -> None:
    with staged(tmp_path / "data", RESCAN, killed=True) as stage:
        stage.client.say(plan_message())
        assert stage.operator.command("s", "rescan", budget_e_per_nm2=5.0, policy="edge") == "sent"
        stage.propose(3)
        if decision is not None:
            assert stage.operator.command("s", decision, proposal_id=3) == "sent"
            stage.client.hear(Proposal if decision == "accept" else Enough)
    with staged(tmp_path / "data", RESCAN) as again:
        info = again.operator.session("s")
        assert (info.policy, info.account.budget_e_per_nm2, info.approval) == ("edge", 5.0, "operator")
        told = again.engine.wait_to_hear(link.OpenSession).hello
        assert (told.rescan, told.dose_budget_e_per_nm2) == ("edge", 5.0)
        if decision == "accept":
            assert again.client.hear(Proposal).proposal_id == 3 and again.welcome.awaits == ""
        elif decision == "decline":
            assert again.client.hear(Enough).code == "declined" and again.welcome.awaits == ""
        else:
            assert again.welcome.awaits == "approval"
            again.wait_held(3)
            assert again.operator.command("s", "accept", proposal_id=3) == "sent"
            assert again.client.hear(Proposal).proposal_id == 3
        again.end()


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"budget_e_per_nm2": 10.5}, "over_budget"),
        ({"budget_e_per_nm2": -1.0}, "terms"),
        ({"policy": "none such"}, "terms"),
        ({"approval": "microscope", "policy": "edge", "budget_e_per_nm2": 10.0}, "sent"),
    ],
)
def test_terms_are_checked(stage: Stage, change: dict[str, Any], code: str) -> None:
    assert stage.operator.command("s", "rescan", **change) == code
    info = stage.operator.session("s")
    if code == "sent":
        notice = stage.engine.wait_to_hear(link.TermsNotice)
        assert (notice.policy, notice.budget_e_per_nm2, info.approval) == ("edge", 10.0, "microscope")
        stage.engine.propose(3)
        assert stage.client.hear(Proposal).proposal_id == 3
    else:
        assert (info.policy, info.account.budget_e_per_nm2) == ("uniform", 10.0)


def test_a_session_without_rescans_has_no_terms_and_nothing_to_approve(tmp_path: Path) -> None:
    with staged(tmp_path / "data") as stage:
        assert stage.operator.command("s", "rescan", approval="operator") == "not_asked"
        assert stage.operator.command("s", "accept", proposal_id=1) == "not_asked"
        assert stage.operator.command("s", "start") == "not_waiting"
        assert stage.operator.command("nobody", "start") == "no_session"
        stage.end()


def test_no_frame_is_taken_before_the_start(tmp_path: Path) -> None:
    waiting = {"start": Decider.OPERATOR, "record": True, "delivery": Delivery.DURABLE}
    with staged(tmp_path / "data", waiting, killed=True) as stage:
        assert (stage.welcome.credit_until, stage.welcome.awaits) == (0, "start")
        assert stage.operator.session("s").state == "waiting"
        stage.client.say(plan_message())
        stage.client.say(*frame_parts(0))
        assert stage.client.hear(Nack).code == "credit"
        assert stage.operator.command("s", "start") == "sent"
        assert stage.client.hear(Command).action == "start"
        ack = stage.client.hear(Ack)
        assert ack.credit_until == 16 and ack.awaits == ""
        assert stage.operator.session("s").state == "open"
        assert stage.operator.command("s", "start") == "not_waiting"
    with staged(tmp_path / "data", waiting) as again:
        assert again.welcome.awaits == "" and again.welcome.credit_until == 16
        again.end()


def test_a_session_that_waits_can_be_stopped(tmp_path: Path) -> None:
    with staged(tmp_path / "data", {"start": Decider.OPERATOR}) as stage:
        assert stage.operator.command("s", "stop") == "sent"
        assert stage.client.hear(Command).action == "stop"
        receipt = stage.end()
        assert receipt.count == 0 and receipt.balanced


def send_frames(client: Peer, first: int, end: int) -> None:
    for seq in range(first, end):
        client.say(*frame_parts(seq, payload=bytes([seq]) * (2 * SHAPE[0] * SHAPE[1])))


def wait_for_ack(client: Peer, **least: int) -> None:
    """Read ACKs until one has these values at least."""
    while any(getattr(ack := client.hear(Ack), name) < value for name, value in least.items()):
        assert ack.session_id == 7


@contextlib.contextmanager
def passing(data_dir: Path, *, killed: bool = False, **keys: Any) -> Iterator[tuple[Peer, AtConsole]]:
    """acquire without an engine, where frames pass through; a client that has said HELLO and its plan."""
    cut_off: list[Session] = []
    with AcquireInThread(data_dir) as acquire:
        with AtConsole(acquire.acquire.run_dir) as operator, Peer(acquire.address) as client:
            client.say(encode(hello(**keys)))
            assert client.hear(Welcome).resume_from == keys.get("held_from", 0)
            client.say(plan_message())
            yield client, operator
        if killed:
            cut_off += acquire.acquire._context.sessions.values()
            acquire.acquire._context.sessions = {}
    for session in cut_off:
        assert session.journal is not None
        session.journal.close()
        session.slots.close()


def test_a_recording_begun_in_the_middle_says_from_where_on_it_is_whole(tmp_path: Path) -> None:
    with passing(tmp_path / "data") as (client, operator):
        send_frames(client, 0, 3)
        wait_for_ack(client, received_upto=3)
        assert operator.command("s", "record") == "sent"
        assert operator.command("s", "record") == "recording_already"
        send_frames(client, 3, 8)
        wait_for_ack(client, durable_upto=8)
        client.say(encode(End(session_id=7, count=8)))
        receipt = client.hear(Receipt)
        assert (receipt.received, receipt.durable, receipt.unrecorded, receipt.recorded_from) == (8, 5, 3, 3)
        assert receipt.balanced and receipt.recording == "s" and receipt.delivery == "received"
    with JournalReader(tmp_path / "data" / "sessions" / "s") as reader:
        entries = list(reader.entries())
        frames = [entry.seq for entry in entries if entry.kind is EntryKind.FRAME]
        notes = [read_note(reader.read(entry)[0]) for entry in entries if entry.kind is EntryKind.NOTE]
    assert frames == [3, 4, 5, 6, 7]
    kinds = [entry.kind for entry in entries]
    assert kinds.index(EntryKind.PLAN) < kinds.index(EntryKind.FRAME)
    assert RecordNote(from_seq=3, forgotten_upto=3, by="Ada") in notes


def test_a_recording_begun_in_the_middle_is_taken_up_after_a_restart(tmp_path: Path) -> None:
    with passing(tmp_path / "data", killed=True) as (client, operator):
        send_frames(client, 0, 3)
        wait_for_ack(client, received_upto=3)
        assert operator.command("s", "record") == "sent"
        send_frames(client, 3, 6)
        wait_for_ack(client, durable_upto=6)
    with passing(tmp_path / "data", held_from=6) as (client, _):
        send_frames(client, 6, 7)
        wait_for_ack(client, durable_upto=7)
        client.say(encode(End(session_id=7, count=7)))
        receipt = client.hear(Receipt)
        # What was in memory only is a gap after the restart, as with every frame that was not recorded.
        assert (receipt.gaps, receipt.durable, receipt.missing) == (3, 4, [(0, 3)])
        assert receipt.balanced and receipt.recorded_from == 3


def test_an_exposure_of_which_a_part_was_not_recorded_is_not_rebuilt(tmp_path: Path) -> None:
    exposure = {"mode": Mode.EXPOSURE, "rescan": "uniform"}
    with passing(tmp_path / "data", killed=True, **exposure) as (client, operator):
        send_frames(client, 0, 3)
        wait_for_ack(client, received_upto=3)
        assert operator.command("s", "record") == "sent"
        send_frames(client, 3, 4)
        wait_for_ack(client, durable_upto=4)
    with staged(tmp_path / "data", {**exposure, "held_from": 4}) as again:
        told = again.engine.wait_to_hear(link.OpenSession)
        assert (told.rebuild, told.lost_frames) == (False, 3)
        again.end(count=4)


@pytest.mark.parametrize("approval", Decider)
@pytest.mark.parametrize("holder", [(messages, "MAX_PLAN_BYTES"), (writer, "MAX_BODY_BYTES")], ids=["wire", "journal"])
def test_a_plan_too_large_to_be_passed_on_ends_the_loop(
    tmp_path: Path, approval: Decider, holder: tuple[Any, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with staged(tmp_path / "data", {**RESCAN, "approval": approval}) as stage:
        monkeypatch.setattr(*holder, 4096)
        stage.engine.propose(3, plan=ScanPlan.raster(SHAPE, np.arange(1, 1 + SHAPE[0] * SHAPE[1])))
        said = stage.client.hear(Enough)
        assert said.code == "failed" and said.reason.startswith("The next plan cannot be passed on: ")
        told = stage.engine.wait_to_hear(link.ExecutedNotice).executed
        assert (told.proposal_id, told.status) == (3, "declined")
        shown = stage.operator.session("s")
        assert shown.proposal is None and shown.enough == said.reason
        stage.engine.propose(4)  # acquire lives, and a smaller plan goes its way
        if approval is Decider.OPERATOR:
            stage.wait_held(4)
        else:
            assert stage.client.hear(Proposal).proposal_id == 4
            stage.client.say(encode(Executed(session_id=7, proposal_id=4, status=ExecutedStatus.EXPIRED)))
        receipt = stage.end()
        assert receipt.proposals == 1 and receipt.balanced


def test_what_cannot_be_recorded_is_refused(tmp_path: Path) -> None:
    with staged(tmp_path / "data", allow_recording=False) as stage:
        assert stage.operator.command("s", "record") == "recording"
        stage.end()
    (tmp_path / "data" / "sessions" / "s").mkdir(parents=True)
    with staged(tmp_path / "data") as stage:
        assert stage.operator.command("s", "record") == "recording"
        stage.end()


def test_the_plan_of_an_open_proposal_can_be_looked_at(stage: Stage) -> None:
    refused, _ = stage.operator.ask(AskProposal(ask=90, session="s"))
    assert refused.code == "no_proposal"
    stage.propose(3)
    head, parts = stage.operator.ask(AskProposal(ask=91, session="s"))
    assert head.proposal_id == 3
    assert msgspec.msgpack.decode(parts[0], type=ScanPlan) == ScanPlan.raster(SHAPE, 2000)
