"""The control messages of a client: HELLO, PLAN, EXECUTED, PROBLEM, END."""

from __future__ import annotations

from typing import Annotated

import msgspec

from scanmend.field import Capabilities, Channel, Field
from scanmend.plan import ScanPlan
from scanmend.target import Target
from scanmend.wire.header import VERSION
from scanmend.wire.words import (
    MAX_PROBLEM_TEXT,
    MOST_COUNTED,
    PROBLEM_CODE,
    U32,
    U63,
    Decider,
    Delivery,
    ExecutedStatus,
    Mode,
    ProblemLevel,
    Returns,
)


class Hello(msgspec.Struct, frozen=True, kw_only=True, tag="HELLO", tag_field="type", omit_defaults=True):
    """Opens a session, or takes it up again after a reconnect."""

    # A factory, because a plain default would be left out of the bytes and be read as the reader's own version.
    version: int = msgspec.field(default_factory=lambda: VERSION)
    session: str
    """Name, unique on the service; matches `SESSION_NAME`."""
    session_id: U63
    """Random, chosen by the client, not 0; the same after a reconnect."""
    client: str = ""
    """What the client is, for people."""
    field: Field
    channels: Annotated[tuple[Channel, ...], msgspec.Meta(min_length=1, max_length=16)]
    restore_channel: str | None = None
    """Which channel is restored; the first where it is None."""
    mode: Mode = Mode.FRAMES
    delivery: Delivery = Delivery.DURABLE
    record: bool = True
    """Whether frames go to disk; needed for durable delivery."""
    start: Decider = Decider.MICROSCOPE
    """Whether the client may send frames at once, or waits for an operator who starts the session."""
    returns: Returns = Returns.ESTIMATE_SIGMA
    deadline_ms: Annotated[int, msgspec.Meta(ge=0, le=3_600_000)] = 0
    """Longest wait for a restoration; after it the frame is passed through. 0 waits, and holds back credit."""
    model: str = "auto"
    dose_budget_e_per_nm2: float | None = None
    """Largest dose, averaged over the field, that proposals may bring the session to."""
    pixel_dose_budget_e_per_nm2: float | None = None
    """Largest dose that proposals may bring any pixel to: what the most sensitive part of the specimen bears."""
    pixel_dose_rate_e_per_nm2_s: float | None = None
    """Largest dose rate that a proposed plan may bring any pixel to: its dose over the plan's whole time."""
    rescan: str | None = None
    """Name of the rescan policy; None for no proposals."""
    approval: Decider = Decider.MICROSCOPE
    """Whether a proposal goes to the client at once, or waits for an operator who accepts it."""
    target: Target = Target()
    """When an adaptive scan is good enough, or not worth another pass."""
    capabilities: Capabilities = Capabilities()
    """What the instrument can run; proposals keep to it."""
    held_from: U63 = 0
    """The first sequence number that the client could still resend. A service that was started anew and does not
    know the frames below it counts them as gaps, and does not wait for them."""


class Plan(msgspec.Struct, frozen=True, kw_only=True, tag="PLAN", tag_field="type"):
    """A plan that the client is about to run, or has run."""

    session_id: U63
    plan_id: U32
    """Chosen by the client, not used before in this session."""
    plan: ScanPlan


class Executed(msgspec.Struct, frozen=True, kw_only=True, tag="EXECUTED", tag_field="type", omit_defaults=True):
    """What the client did with a proposal."""

    session_id: U63
    proposal_id: U32
    status: ExecutedStatus
    plan_id: U32 | None = None
    """The plan as run, sent in a PLAN before; None where nothing was run."""
    reason: str = ""


class Problem(msgspec.Struct, frozen=True, kw_only=True, tag="PROBLEM", tag_field="type", omit_defaults=True):
    """All that the client has to say of one kind of problem; the newest counts, so that one that is lost does no harm.

    Sent only to a service whose WELCOME names the feature; one that concerns no session may be sent to any.
    """

    session_id: U63
    """0 where it concerns no session: an instrument that is not there."""
    code: Annotated[str, msgspec.Meta(pattern=PROBLEM_CODE)]
    """The kind of problem, the client's own word."""
    text: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_PROBLEM_TEXT)]
    """What is wrong, in one sentence."""
    mend: Annotated[str, msgspec.Meta(max_length=MAX_PROBLEM_TEXT)] = ""
    """What to do about it, in one sentence."""
    level: ProblemLevel = ProblemLevel.WARNING
    count: Annotated[int, msgspec.Meta(ge=1, le=MOST_COUNTED)] = 1
    """How often it has come in this session."""
    points: Annotated[int, msgspec.Meta(ge=0, le=MOST_COUNTED)] = 0
    """Points that it cost, over all of them."""
    since_unix_ns: U63 = 0
    """When it came first; 0 where the client does not say."""
    stands: bool = False
    """Whether it holds until it is cleared (an instrument that cannot be reached), or has happened (a gap)."""
    cleared: bool = False
    """Whether it is over."""
    client: Annotated[str, msgspec.Meta(max_length=64)] = ""
    """Of one without a session: what the client is, for people."""


class End(msgspec.Struct, frozen=True, kw_only=True, tag="END", tag_field="type", omit_defaults=True):
    """The client has no more frames."""

    session_id: U63
    count: U63
    """Number of sequence numbers used: frames have 0 to `count - 1`."""
    dropped: U63 = 0
    """Frames that the client discarded itself: the sum of all `dropped_before`, and `dropped_after`."""
    dropped_after: U63 = 0
    """Of these, the ones after the last frame, which no frame could tell."""
    checksum: Annotated[int, msgspec.Meta(ge=0)] = 0
    """XXH3-64 of all payload checksums, little-endian u64 in the order of their sequence numbers."""
    reason: str = "finished"
    """finished, stopped or aborted."""
