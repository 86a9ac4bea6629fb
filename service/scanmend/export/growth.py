"""A session pass by pass: each pass as a picture of its own, or how an exposure grew."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from scanmend.export.session import RecordedFrame, RecordedSession
from scanmend.export.sums import FieldSums, plan_of
from scanmend.exposure import Exposure


@dataclass(frozen=True, slots=True)
class Step:
    """What was known of the field when a pass was over."""

    number: int
    """Counted from 0."""
    pass_index: int
    """The pass that was over, as the microscope numbers it."""
    acquired_unix_ns: int
    """Of its last frame, in nanoseconds since 1970; 0 where the microscope gave none."""
    dose_e_per_nm2: float | None
    """Mean of the field, of all that is in the exposure; None where the beam current is not known."""
    exposure: Exposure
    """Of the restored channel. Its arrays are worth what they say only until the next step is asked for."""


def steps(session: RecordedSession, wanted: Callable[[int], bool] = lambda number: True) -> Iterator[Step]:
    """The steps of a session, in order; one whose samples are no numbers is left out.

    In mode `frames`, each complete pass alone; in mode `exposure`, all passes up to each one's end.

    Args:
        session: The recording.
        wanted: Which steps are given, by number; in mode `frames` nothing is added up for the others.
    """
    grown = FieldSums(session, (session.channel_index,), from_the_first=True)
    for number, frames in enumerate(_counted(session)):
        if not session.adds_up and not wanted(number):
            continue
        sums = grown if session.adds_up else FieldSums(session, (session.channel_index,))
        for each in frames:
            sums.add(each, plan_of(session, each))
        if wanted(number) and sums.frames:
            last = frames[-1].header
            dose = session.hello.field.dose_e_per_nm2(sums.total_dwell_ns)
            yield Step(number, last.pass_index, last.acquired_unix_ns, dose, sums.exposure())


def count_steps(session: RecordedSession) -> int:
    """How many steps there are."""
    return sum(1 for _ in _counted(session))


def _counted(session: RecordedSession) -> Iterator[list[RecordedFrame]]:
    """The passes that are steps: every one in mode `exposure`, complete ones in mode `frames`."""
    for frames in _passes(session):
        plan = session.plan(frames[0].header.plan_id)
        if session.adds_up or (plan is not None and plan.points == sum(each.header.points for each in frames)):
            yield frames


def _passes(session: RecordedSession) -> Iterator[list[RecordedFrame]]:
    """The frames of each pass; memory holds one pass."""
    held: list[RecordedFrame] = []
    for recorded in session.frames():
        header = recorded.header
        if held and (held[0].header.pass_index, held[0].header.plan_id) != (header.pass_index, header.plan_id):
            yield held
            held = []
        held.append(recorded)
        if header.end_of_pass:
            yield held
            held = []
    if held:
        yield held
