"""Frames that pass through without the engine: late ones, and those that come while there is none.

They are answered as they came. What they mean for the dose depends on the mode: in mode `frames` the engine is told of
their points alone; in mode `exposure` it gets every frame received, at once, later, or from the journal.
"""

from __future__ import annotations

from scanmend.acquire.answers import answer_dropped, answer_passed
from scanmend.acquire.context import Context
from scanmend.acquire.jobs import Job
from scanmend.acquire.session import Session
from scanmend.wire.header import PassReason
from scanmend.wire.messages import Mode


def late(job: Job, now_mono_ns: int) -> bool:
    """Whether a frame has waited for longer than its client would."""
    return job.deadline_mono_ns is not None and now_mono_ns > job.deadline_mono_ns


def show_some(context: Context, session: Session, now_mono_ns: int, *, ready: bool) -> None:
    """Of a session that wants no answers the engine gets what the page shows, and the dose of the rest.

    Args:
        context: The process's.
        session: A session whose frames may be left out.
        now_mono_ns: The time.
        ready: Whether there is an engine that restores.
    """
    shown: list[Job] = []
    for job in session.waiting:
        if not ready:
            _pass(context, session, job, PassReason.ENGINE_DOWN)
        elif session.live.shows(job.header.pass_index, now_mono_ns, idle=not shown):
            shown.append(job)
        else:
            session.scanned.leave_out(job.header)
            answer_dropped(session, job, "returns_none")
    session.waiting.clear()
    session.waiting.extend(shown)


def pass_all(context: Context, session: Session, *, comes_back: bool) -> None:
    """Pass through what waits for an engine that is not to be had now.

    Args:
        context: The process's.
        session: Whose frames wait.
        comes_back: Whether the engine may only be slow: then it gets the frames of an exposure later. One that is gone
            does not; the next one reads them from the journal, or is told that they are lost.
    """
    if comes_back and session.hello.mode is Mode.EXPOSURE:
        for job in session.waiting:
            _pass(context, session, job, PassReason.ENGINE_DOWN)
    else:
        while session.waiting:
            _pass(context, session, session.waiting.popleft(), PassReason.ENGINE_DOWN)


def pass_late(context: Context, session: Session, now_mono_ns: int) -> None:
    """Pass through what has waited too long; where passes add up, the engine gets it all the same.

    The exposure and its dose are of every frame received, also of those that come too late to be restored in time.
    """
    if session.hello.mode is Mode.EXPOSURE:
        for job in session.waiting:
            if not late(job, now_mono_ns):
                return
            _pass(context, session, job, PassReason.DEADLINE)
    else:
        while session.waiting and late(session.waiting[0], now_mono_ns):
            _pass(context, session, session.waiting.popleft(), PassReason.DEADLINE)


def _pass(context: Context, session: Session, job: Job, reason: PassReason) -> None:
    """Pass a frame through that no engine has, unless that was done before."""
    if session.hello.mode is Mode.FRAMES:
        session.scanned.leave_out(job.header)
    if not job.answered:
        answer_passed(context, session, job, reason)
