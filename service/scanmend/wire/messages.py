"""The control messages: each one msgpack map, checked against its schema when it is read.

A message's `type` key names it. Unknown keys are ignored, so that a later version may add some; a missing or
wrong one is an error that names it.
"""

from __future__ import annotations

import math
import re
from enum import StrEnum
from typing import Annotated, Any, Literal

import msgspec

from scanmend.errors import InvalidInput, MalformedMessage, OversizeMessage, ScanmendError
from scanmend.field import Capabilities, Channel, Field
from scanmend.plan import ScanPlan
from scanmend.target import Target
from scanmend.wire.header import VERSION

MAX_CONTROL_BYTES = 16 * 1024
"""Largest control message, plans excepted."""

MAX_PLAN_BYTES = 64 * 1024 * 1024
"""Largest message that carries a plan."""

SESSION_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}\Z")
"""What a session may be called; the name is also a folder's, so `..` is refused too."""

U32 = Annotated[int, msgspec.Meta(ge=0, lt=1 << 32)]
U63 = Annotated[int, msgspec.Meta(ge=0)]


class Mode(StrEnum):
    """What passes over the same field mean."""

    FRAMES = "frames"
    """Every pass is a picture of its own: live views and movies."""
    EXPOSURE = "exposure"
    """Passes add up: adaptive scans."""


class Delivery(StrEnum):
    """When the client may forget a frame."""

    RECEIVED = "received"
    """When the service has it in memory: a crash of the service may lose what it had not restored yet."""
    DURABLE = "durable"
    """When it is on the disk."""


class Returns(StrEnum):
    """What RESTORED carries."""

    NONE = "none"
    """Nothing is sent back."""
    ESTIMATE = "estimate"
    """The estimate."""
    ESTIMATE_SIGMA = "estimate+sigma"
    """The estimate and its standard deviation."""


class RefuseCode(StrEnum):
    """Why a HELLO was refused."""

    VERSION = "version"
    MALFORMED = "malformed"
    SESSION_NAME = "session_name"
    SESSION_EXISTS = "session_exists"
    SESSION_ENDED = "session_ended"
    TOO_MANY_SESSIONS = "too_many_sessions"
    FIELD = "field"
    CHANNELS = "channels"
    POLICY = "policy"
    MODEL = "model"
    RECORDING = "recording"
    BUDGET = "budget"


class NackCode(StrEnum):
    """Why a frame, a plan or a message was not taken."""

    NO_SESSION = "no_session"
    """The service does not know the session (it may have been started again): say HELLO again, then resend."""
    CHECKSUM = "checksum"
    """Damaged on the way: resend."""
    MALFORMED = "malformed"
    """Not a message of this protocol."""
    VERSION = "version"
    """Of another protocol version."""
    OVERSIZE = "oversize"
    """Above the agreed size."""
    UNKNOWN_PLAN = "unknown_plan"
    """The frame names a plan that was not sent: send the plan, then resend."""
    BAD_PLAN = "bad_plan"
    """The plan cannot be run on this field, or its id has another plan already."""
    BEYOND_PLAN = "beyond_plan"
    """The frame has points that its plan does not have. The frame is rejected."""
    DTYPE = "dtype"
    """Another sample type or number of channels than the session announced. The frame is rejected."""
    CONFLICT = "conflict"
    """The same sequence number came before with other samples; the first is kept."""
    CREDIT = "credit"
    """Sent beyond the credit: resend when there is some."""
    NOT_FINITE = "not_finite"
    """The samples hold NaN or infinity; recorded, but not restored."""
    RECORDING_FAILED = "recording_failed"
    """Nothing can be recorded any more; see the mend. The session takes no more frames."""
    ENDED = "ended"
    """The session has ended."""
    UNKNOWN_PROPOSAL = "unknown_proposal"
    """No such proposal is open."""


RETRIABLE = frozenset({NackCode.NO_SESSION, NackCode.CHECKSUM, NackCode.UNKNOWN_PLAN, NackCode.CREDIT})
"""After these the client sends the frame again; after others it must not."""


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
    target: Target = Target()
    """When an adaptive scan is good enough, or not worth another pass."""
    capabilities: Capabilities = Capabilities()
    """What the instrument can run; proposals keep to it."""
    held_from: U63 = 0
    """The first sequence number that the client could still resend. A service that was started anew and does not
    know the frames below it counts them as gaps, and does not wait for them."""


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


class Refuse(msgspec.Struct, frozen=True, kw_only=True, tag="REFUSE", tag_field="type"):
    """The session is not opened."""

    version: int = VERSION
    code: str
    reason: str
    mend: str = ""


class Plan(msgspec.Struct, frozen=True, kw_only=True, tag="PLAN", tag_field="type"):
    """A plan that the client is about to run, or has run."""

    session_id: U63
    plan_id: U32
    """Chosen by the client, not used before in this session."""
    plan: ScanPlan


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


class EnoughCode(StrEnum):
    """Why no further plan is proposed."""

    TARGET = "target"
    """The picture is as certain as HELLO's target asks."""
    PASSES = "passes"
    """The target's most passes are done."""
    BUDGET = "budget"
    """What is left of a dose budget is not worth a pass."""
    GAIN = "gain"
    """Another pass would lower sigma by less than the target's least gain."""
    LIMITS = "limits"
    """No plan that is worth its dose keeps to the instrument's limits and to the dose rate."""
    INCOMPLETE = "incomplete"
    """Not all that was scanned is known, so no plan could be sure to keep to the budget."""
    FAILED = "failed"
    """The next plan could not be made; the service's log and page say why."""


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


class ExecutedStatus(StrEnum):
    """What became of a proposal."""

    ACCEPTED = "accepted"
    """It is run as it was proposed, or within the instrument's rounding; `plan_id` names the plan really run."""
    CHANGED = "changed"
    """Something else is run in its place; `plan_id` names it."""
    DECLINED = "declined"
    """It is not run."""
    EXPIRED = "expired"
    """It came too late to be run."""


class Executed(msgspec.Struct, frozen=True, kw_only=True, tag="EXECUTED", tag_field="type", omit_defaults=True):
    """What the client did with a proposal."""

    session_id: U63
    proposal_id: U32
    status: ExecutedStatus
    plan_id: U32 | None = None
    """The plan as run, sent in a PLAN before; None where nothing was run."""
    reason: str = ""


class Command(msgspec.Struct, frozen=True, kw_only=True, tag="COMMAND", tag_field="type"):
    """An operator's word to the microscope."""

    session_id: U63
    action: Literal["stop", "abort"]
    """`stop`: finish the pass, then end. `abort`: blank the beam at once, then end."""
    by: str
    """Who asked, for people."""


class End(msgspec.Struct, frozen=True, kw_only=True, tag="END", tag_field="type", omit_defaults=True):
    """The client has no more frames."""

    session_id: U63
    count: U63
    """Number of sequence numbers used: frames have 0 to `count - 1`."""
    dropped: U63 = 0
    """Frames that the client discarded itself, the sum of all `dropped_before`."""
    checksum: Annotated[int, msgspec.Meta(ge=0)] = 0
    """XXH3-64 of all payload checksums, little-endian u64 in the order of their sequence numbers."""
    reason: str = "finished"
    """finished, stopped or aborted."""


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
    executed: dict[str, int]
    """By `ExecutedStatus`."""
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
    """Name of the recording, empty where none was asked for."""
    delivery: str
    reason: str
    balanced: bool
    """Whether every identity holds."""


ClientMessage = Hello | Plan | Executed | End
ServiceMessage = Welcome | Refuse | Ack | Nack | Proposal | Enough | Command | Receipt

_encoder = msgspec.msgpack.Encoder()
_client_decoder = msgspec.msgpack.Decoder(ClientMessage)
_service_decoder = msgspec.msgpack.Decoder(ServiceMessage)


def encode(message: ClientMessage | ServiceMessage) -> bytes:
    """A control message as bytes.

    Raises:
        OversizeMessage: It is larger than its limit.
    """
    data = _encoder.encode(message)
    limit = MAX_PLAN_BYTES if isinstance(message, (Plan, Proposal)) else MAX_CONTROL_BYTES
    if len(data) > limit:
        raise OversizeMessage(
            f"A {type(message).__name__.upper()} of {len(data)} bytes is above the limit of {limit}.",
            mend="Write the plan in a more compact pattern, or split it.",
        )
    return data


def decode_client(data: bytes | memoryview) -> ClientMessage:
    """Read a message of a client.

    Raises:
        MalformedMessage: Not such a message; the text names what is wrong in it.
        OversizeMessage: Above its limit.
    """
    message: ClientMessage = _decode(data, _client_decoder)
    return message


def decode_service(data: bytes | memoryview) -> ServiceMessage:
    """Read a message of the service.

    Raises:
        MalformedMessage: Not such a message.
        OversizeMessage: Above its limit.
    """
    message: ServiceMessage = _decode(data, _service_decoder)
    return message


def _decode(data: bytes | memoryview, decoder: msgspec.msgpack.Decoder[Any]) -> Any:
    if len(data) > MAX_PLAN_BYTES:
        raise OversizeMessage(f"A message of {len(data)} bytes.", mend=f"Keep plans under {MAX_PLAN_BYTES} bytes.")
    try:
        message = decoder.decode(data)
    except ScanmendError as error:  # a value of the vocabulary that refused itself
        raise MalformedMessage(error.message, mend=error.mend) from error
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        cause = error.__cause__
        if isinstance(cause, InvalidInput):
            raise MalformedMessage(cause.message, mend=cause.mend) from error
        raise MalformedMessage(
            f"This is not a control message: {error}.", mend="Send one msgpack map as docs/protocol.md gives it."
        ) from error
    if len(data) > MAX_CONTROL_BYTES and not isinstance(message, (Plan, Proposal)):
        raise OversizeMessage(
            f"A {type(message).__name__.upper()} of {len(data)} bytes.",
            mend=f"Keep control messages under {MAX_CONTROL_BYTES} bytes.",
        )
    return message


def check_session_name(name: str) -> str:
    """Give a session's name back if it may be one.

    Raises:
        InvalidInput: It may not.
    """
    if not SESSION_NAME.match(name) or ".." in name:
        raise InvalidInput(
            f"{name!r} cannot be the name of a session.",
            mend="Use 1 to 64 letters, digits, '_', '.' and '-', begin with a letter or digit, and avoid '..'.",
        )
    return name


def finite_or_none(value: float) -> float | None:
    """A number for JSON, which has no NaN."""
    return value if math.isfinite(value) else None
