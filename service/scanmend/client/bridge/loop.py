"""The loop of every bridge: a maker's microscope on one side, the client of a service on the other.

Two ways to run it::

    adaptive   pass ── restoration ── proposal ──▶ the blocks of the next pass … until it is enough
    frames     pass after pass of the whole field, each a picture of its own

Parts of a pass are sent as they come. An operator's stop ends the session after the pass, an abort in the middle of
it; the beam is blanked whenever nothing is scanned.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from scanmend.client.bridge.blocks import Block, as_scanned, blocks_of
from scanmend.client.bridge.instrument import Described, Microscope, Taken
from scanmend.client.bridge.passes import Part, PassSender
from scanmend.client.first_pass import USUAL_DWELL_NS
from scanmend.client.options import SessionOptions
from scanmend.client.steps import Step
from scanmend.client.sync import Client, Session
from scanmend.errors import InstrumentError, PlanError, ScanmendError
from scanmend.plan import ScanPlan
from scanmend.wire.messages import Receipt

LOOK_S = 0.05
"""Longest wait for samples before the operator is listened to again."""

RECEIPT_S = 60.0
"""Longest wait for the account of an aborted session."""

START_LOOK_S = 0.25
"""Longest wait for an operator's start before it is asked whether to go on waiting."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BridgeOptions:
    """What is scanned, and when it is enough."""

    mode: Literal["adaptive", "frames"] = "adaptive"
    dwell_ns: int | None = None
    """Dwell of a pass of frames, and of the first adaptive one; None for a quarter of the budget, or 1 µs."""
    passes: int | None = None
    """Most passes; None for no limit."""
    budget_e_per_nm2: float | None = None
    """Of an adaptive scan: largest dose, averaged over the field."""
    target_sigma: float | None = None
    """Of an adaptive scan: standard deviation to reach, as a share of the picture's range."""
    start: Literal["microscope", "operator"] = "microscope"
    """Who starts the session."""
    approval: Literal["microscope", "operator"] = "microscope"
    """Who decides on a proposal."""
    record: bool = True
    model: str = "auto"
    restore_channel: str | None = None
    silence_s: float = 10.0
    """A block from which nothing came for so long, beyond its own time, has failed."""


@dataclass(frozen=True, slots=True)
class Ended:
    """Why an adaptive scan ends without the service's word."""

    reason: Literal["stopped", "aborted"]
    why: str


class Bridge:
    """Runs one microscope against one service, session by session.

    Args:
        microscope: The maker's; asked what it is at once.
        client: Of the service.
        options: What to scan.
        tell: Takes a line for the person in front of it.

    Raises:
        InvalidInput: The microscope's description cannot be used.
    """

    def __init__(
        self,
        microscope: Microscope,
        client: Client,
        options: BridgeOptions,
        tell: Callable[[str], None] | None = None,
    ) -> None:
        self.microscope, self.client, self.options = microscope, client, options
        self.described = Described.of(microscope)
        self.stop_asked = False
        """Set it, from a signal handler or another thread, to end after the present pass."""
        self.why = ""
        """Why the last session ended, in words."""
        self.began = False
        """Whether the present session has begun to scan."""
        self._tell = tell or (lambda line: None)

    def run(self, name: str) -> Receipt | None:
        """Run one session to its end.

        Args:
            name: Of the session; unique on the service.

        Returns:
            The account of every frame; None where it ended before its first pass.

        Raises:
            InvalidInput: The microscope's description cannot be used.
            InstrumentError: The microscope gave nothing, or what it did not announce.
            ScanmendError: As `Client.session` and `Client.adaptive` do.
            Exception: What the maker's own library raises.
        """
        self.began = False
        self.described = Described.of(self.microscope)  # magnification and current may have changed since
        try:
            return self._adaptive(name) if self.options.mode == "adaptive" else self._frames(name)
        finally:
            self.microscope.stop()

    # Two ways ---------------------------------------------------------------------------------------------------

    def _session_options(self) -> SessionOptions:
        chosen = self.options
        return SessionOptions(
            channels=self.described.channels,
            capabilities=self.described.capabilities,
            restore_channel=chosen.restore_channel,
            record=chosen.record,
            model=chosen.model,
            start=chosen.start,
            approval=chosen.approval,
        )

    def _first(self, dwell_ns: int) -> ScanPlan:
        """Every pixel of the field, with the dwell that the microscope has next to this one."""
        return as_scanned(ScanPlan.raster(self.described.field.shape, dwell_ns), self.described.capabilities)

    def _frames(self, name: str) -> Receipt | None:
        chosen = self.options
        plan = self._first(chosen.dwell_ns or USUAL_DWELL_NS)
        common = self._session_options()
        common["unread"], common["when_unread"] = 1, "drop_oldest"
        with self.client.session(name, self.described.field, **common) as session:
            while not (session.wait_for_start(START_LOOK_S) or session.command or self.stop_asked):
                pass
            index = 0
            try:
                while not (session.command or self.stop_asked) and index != chosen.passes:
                    sender = PassSender(session, plan, index)
                    self._pass(session, plan, sender)
                    index += 1
            except BaseException as problem:
                _report(session, problem)
                raise
            self.microscope.stop()
            stopped = self.stop_asked and not session.command
            done = "The bridge was asked to stop." if stopped else "All passes are done."
            self.why = f"An operator asked to {session.command}." if session.command else done
            return session.end("stopped" if stopped else None)

    def _adaptive(self, name: str) -> Receipt | None:
        chosen, described = self.options, self.described
        first = None if chosen.dwell_ns is None else self._first(chosen.dwell_ns)
        scan = self.client.adaptive(
            described.field,
            name=name,
            **self._session_options(),
            budget_e_per_nm2=chosen.budget_e_per_nm2,
            target_sigma=chosen.target_sigma,
            max_passes=chosen.passes,
            first=first,
            stopping=lambda: self.stop_asked,
        )
        with scan:
            for step in scan:
                try:
                    ended = self._step(step)
                except BaseException as problem:
                    _report(step.session, problem)
                    with suppress(ScanmendError):  # what went wrong first is what is told
                        scan.close("aborted", f"The bridge failed: {problem}")
                    raise
                if ended is not None:
                    step.session.end(ended.reason, timeout_s=RECEIPT_S)
                    scan.close(ended.reason, ended.why)
                    break
        self.why = scan.why
        return scan.receipt

    def _step(self, step: Step) -> Ended | None:
        """Scan one pass of an adaptive scan; gives why the scan has to end now, or None."""
        able = self.described.capabilities
        try:
            plan = as_scanned(step.plan, able)
            blocks_of(plan, able)
        except PlanError as problem:
            step.decline(problem.message)
            return None
        sender = PassSender(step.session, plan, step.index, lambda points: step.ran(plan, points))
        self._pass(step.session, plan, sender)
        self.microscope.stop()  # the service and the operator take their time: no beam on the specimen meanwhile
        if step.session.command == "abort":
            return Ended("aborted", "An operator asked to abort.")
        if not sender.ended:
            step.decline("nothing of it could be used")
            return None
        restored = step.restored()
        if restored is not None:
            self._tell(f"pass {step.index}: {plan.points} points, mean sigma {restored.sigma_mean:.3g}")
        return None

    # One pass ---------------------------------------------------------------------------------------------------

    def _pass(self, session: Session, plan: ScanPlan, sender: PassSender) -> None:
        """Scan a plan block by block, and send what comes; ends early where an operator aborts."""
        self.began = True
        able, longest_s = self.described.capabilities, self.described.longest_block_s
        for block in blocks_of(plan, able, longest_s):
            for part in self._block(session, block):
                sender.take(part)
                while not sender.ended and session.receive(0.0) is not None:
                    pass  # pictures of unfinished passes are for the page
            if session.command == "abort":
                self.microscope.stop()
                break
        sender.finish()
        if sender.lost:
            session.report_problem(
                "bad_samples",
                f"{sender.lost} points of a pass of {plan.points} were measured and cannot be used.",
                mend="Look at the microscope's own program for the reason.",
                points=sender.lost,
            )

    def _block(self, session: Session, block: Block) -> Iterator[Part]:
        """Scan one block: the parts that come, numbered as the plan has them."""
        if session.command == "abort":
            return
        self.microscope.begin(block.top, block.left, block.height, block.width, block.dwell_ns)
        began_s = time.monotonic()
        patience_s = self.options.silence_s + block.points * block.dwell_ns * 1e-9
        done = 0
        while done < block.points:
            session.pump()
            if session.command == "abort":
                return
            taken = self.microscope.read(LOOK_S)
            if taken is None:
                if time.monotonic() - began_s > patience_s:
                    raise InstrumentError(
                        f"The microscope gave {done} of {block.points} points, and then nothing more.",
                        mend="Look whether it is scanning, and whether another program uses it.",
                    )
                continue
            part = self._checked(taken, block, done)
            done = taken[0] + taken[1]
            began_s = time.monotonic()
            yield part

    def _checked(self, taken: Taken, block: Block, done: int) -> Part:
        """What the microscope's class gave, as a part of the pass."""
        first, points, samples = taken
        channels = self.described.channels
        shape = (len(channels), points) if samples is None else samples.shape
        if first < done or points < 1 or first + points > block.points or shape != (len(channels), points):
            raise InstrumentError(
                f"The microscope gave samples of shape {shape} for points {first} to {first + points - 1} of a block "
                f"of {block.points}, after {done}.",
                mend="Another program may have changed its scan; otherwise mend the microscope's class.",
            )
        return Part(block.first_point + first, points, samples)


def _report(session: Session, problem: BaseException) -> None:
    """Have the page say why the scan ended."""
    if not session.closed and session.receipt is None:
        said = str(problem) or type(problem).__name__
        session.report_problem("bridge", f"The bridge to the microscope ended: {said}", level="error")
