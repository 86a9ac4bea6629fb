"""The control messages of the service: WELCOME, REFUSE, ACK, NACK, PROPOSAL, ENOUGH, COMMAND, RECEIPT."""

from __future__ import annotations

from typing import Literal

import msgspec

from scanmend.plan import ScanPlan
from scanmend.wire.header import VERSION
from scanmend.wire.words import U32, U63


class Welcome(msgspec.Struct, frozen=True, kw_only=True, tag="WELCOME", tag_field="type"):
    """The session is open."""

    version: int = VERSION
    session_id: U63
    boot_id: U63
    """Random, new each time the service starts."""
    resume_from: U63
    """The first sequence number that the service does not hold safely; resend from it."""
    plans_known: list[U32]
    """Plans of this session that the service has."""
    credit_until: U63
    """Frames with a sequence number below this may be sent."""
    credit_bytes: U63
    """Most payload bytes that may be sent and not yet received."""
    max_frame_bytes: U63
    max_plan_bytes: U63
    model: str
    """The model chosen; empty while none is live."""
    model_sha256: str
    provider: str
    """What executes it, as the runtime reports; empty while none is live."""
    policies: list[str]
    """Rescan policies that this service knows."""
    recording: bool
    awaits: str = ""
    """What an operator must do before the session goes on, one of `Awaits`."""
    features: list[str] = []
    """What this service knows beyond the first edition of the version, each a `Feature`."""


class Refuse(msgspec.Struct, frozen=True, kw_only=True, tag="REFUSE", tag_field="type"):
    """The session is not opened."""

    version: int = VERSION
    code: str
    reason: str
    mend: str = ""


class Ack(msgspec.Struct, frozen=True, kw_only=True, tag="ACK", tag_field="type"):
    """How far the service has got."""

    session_id: U63
    received_upto: U63
    """Every sequence number below this is received or rejected."""
    durable_upto: U63
    """Every sequence number below this is on the disk or rejected."""
    credit_until: U63
    """Frames with a sequence number below this may be sent; it never goes back."""
    holes: list[tuple[U63, U63]] = []
    """Missing ranges `(first, last + 1)`, at most 32: below the highest number seen, and after END below its count."""
    paused: str = ""
    """Why credit is held back, for people; empty while it flows."""
    awaits: str = ""
    """What an operator must do before the session goes on, one of `Awaits`."""


class Nack(msgspec.Struct, frozen=True, kw_only=True, tag="NACK", tag_field="type", omit_defaults=True):
    """Something was not taken."""

    session_id: U63
    code: str
    """One of `NackCode`."""
    reason: str
    mend: str = ""
    seq: U63 | None = None
    plan_id: U32 | None = None
    proposal_id: U32 | None = None


class Proposal(msgspec.Struct, frozen=True, kw_only=True, tag="PROPOSAL", tag_field="type"):
    """The next plan, with its price and what it should gain."""

    session_id: U63
    proposal_id: U32
    plan: ScanPlan
    policy: str
    reason: str
    """One sentence for the operator."""
    based_on_frames: U63
    """How many frames of the session it was made from."""
    dose_e_per_nm2: float
    """Dose that the plan adds, averaged over the field; NaN where the beam current is not known."""
    duration_ns: U63
    """Time that the plan takes, settling included."""
    sigma_now: float
    """Root mean square of sigma over the field before the plan."""
    sigma_expected: float
    """The same as the policy expects it after the plan."""
    expires_unix_ns: U63


class Enough(msgspec.Struct, frozen=True, kw_only=True, tag="ENOUGH", tag_field="type"):
    """No further plan is proposed after this pass, and why."""

    session_id: U63
    code: str
    """One of `EnoughCode`."""
    reason: str
    """One sentence for the operator."""
    based_on_frames: U63
    """How many frames of the session it was decided from."""
    passes: U63
    sigma_now: float
    """Root mean square of sigma over the field (or the target's region), in the units of the samples."""
    sigma_of_range: float
    """What the target is compared with, as a share of the picture's range; inf for a picture without one."""
    dose_e_per_nm2: float
    """Dose so far, averaged over the field; NaN where the beam current is not known."""


class Command(msgspec.Struct, frozen=True, kw_only=True, tag="COMMAND", tag_field="type"):
    """An operator's word to the microscope."""

    session_id: U63
    action: Literal["start", "stop", "abort"]
    """`start`: begin; only to a client whose HELLO left that to an operator. `stop`: finish the pass, then end.
    `abort`: blank the beam at once, then end."""
    by: str
    """Who asked, for people."""


class Receipt(msgspec.Struct, frozen=True, kw_only=True, tag="RECEIPT", tag_field="type"):
    """The account of every frame of a session; `docs/protocol.md` gives the identities that it must satisfy."""

    session: str
    session_id: U63
    count: U63
    """END's count."""
    scanned: U63
    """count + dropped_by_client."""
    dropped_by_client: U63
    received: U63
    durable: U63
    unrecorded: U63 = 0
    """Frames received before an operator had the recording begun; 0 where it began with the session."""
    rejected: dict[str, int]
    """By `NackCode`."""
    gaps: U63
    missing: list[tuple[int, int]]
    """The gaps as ranges `(first, last + 1)`, at most 64."""
    duplicates: U63
    conflicts: U63
    damaged: U63
    """Messages that failed a check and could be resent."""
    restored_in: U63
    restored_out: U63
    passed_through: dict[str, int]
    """By `PassReason`."""
    dropped: dict[str, int]
    """Not restored by itself, by policy: `superseded` by a later frame of the same pass, or `returns_none`."""
    live_in: U63
    """Finished frames offered to the live page."""
    live_out: U63
    """Of these, pictures that the page fetched."""
    live_dropped: U63
    """Of these, overwritten by a newer one before the page fetched them."""
    proposals: U63
    approvals: dict[str, int] = {}
    """Of these, what became of those that needed an operator's approval, by `Approval`."""
    executed: dict[str, int]
    """By `ExecutedStatus`."""
    problems: dict[str, U63] = {}
    """How often each kind of problem came that the client reported, by its code."""
    enough: str = ""
    """Why the last pass was followed by no proposal, an `EnoughCode`; empty where that was not said."""
    dose_e_per_nm2: float | None
    """Dose of all frames received, averaged over the field; None where the beam current is not known."""
    dose_max_e_per_nm2: float | None
    """Dose of the pixel with the most."""
    budget_e_per_nm2: float | None
    checksum_matches: bool
    """Whether the frames held are those that the client counted."""
    recording: str
    """Name of the recording, empty where there is none."""
    recorded_from: U63 | None = None
    """Where an operator had the recording begun: every frame of this number and above is in it."""
    delivery: str
    reason: str
    balanced: bool
    """Whether every identity holds."""
