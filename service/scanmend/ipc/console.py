"""What web asks acquire, and what it is told.

web is a DEALER on `ipc://RUN_DIR/console`, acquire the ROUTER. Each request is one msgpack map with an `ask`
number that the answer repeats. A picture is pulled, never pushed: where nobody looks, nothing is copied, and who
is slow gets the newest when it asks again.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from scanmend.errors import MalformedMessage
from scanmend.ipc.engine_link import ModelInfo
from scanmend.wire.messages import Hello, Receipt


class _Console(msgspec.Struct, frozen=True, kw_only=True, tag=True, tag_field="type"):
    """A console message."""


class AskStatus(_Console, frozen=True, kw_only=True):
    """What is the state of everything?"""

    ask: int


class AskPicture(_Console, frozen=True, kw_only=True):
    """The newest picture of a session, as soon as there is one newer than `newer_than`.

    Answered by three parts after the `PictureInfo`: raw, estimate, sigma (empty where there is none). An open
    question is answered with `Refused` (code `nothing_new`) after two seconds.
    """

    ask: int
    session: str
    newer_than: int = 0
    channel: str = ""
    """Which channel; empty for the one that is restored."""


class AskDose(_Console, frozen=True, kw_only=True):
    """The dose of each pixel of a session so far.

    Answered by `MapFile`, or by `Refused` with the code `nothing_new` where no engine can tell just now.
    """

    ask: int
    session: str


class AskProposal(_Console, frozen=True, kw_only=True):
    """The plan of a session's open proposal; answered by `ProposalPlan` and the plan as a second part."""

    ask: int
    session: str


Action = Literal["start", "stop", "abort", "accept", "decline", "rescan", "record"]

RefusedCode = Literal[
    "no_session",
    "no_channel",
    "ended",
    "detached",
    "nothing_new",
    "not_waiting",
    "no_proposal",
    "not_asked",
    "over_budget",
    "terms",
    "recording",
    "recording_already",
]


class AskCommand(_Console, frozen=True, kw_only=True):
    """An operator's word: to the microscope, or to the session itself."""

    ask: int
    session: str
    action: Action
    by: str
    proposal_id: int = 0
    """Of `accept` and `decline`: which proposal was looked at."""
    policy: str | None = None
    """Of `rescan`: the policy from now on; None leaves it, as with the next two."""
    budget_e_per_nm2: float | None = None
    approval: Literal["microscope", "operator"] | None = None


class Refused(_Console, frozen=True, kw_only=True):
    """The question cannot be answered."""

    ask: int
    code: RefusedCode
    reason: str
    mend: str = ""


class Obeyed(_Console, frozen=True, kw_only=True):
    """The command was sent to the microscope, or carried out."""

    ask: int


class MapFile(_Console, frozen=True, kw_only=True):
    """A number for each pixel, in a file."""

    ask: int
    path: str
    """In the run directory: float32 `(ny, nx)` in e/nm²; to be read and deleted by who asked."""


class ProposalPlan(_Console, frozen=True, kw_only=True):
    """What the part after it is: the msgpack of a `ScanPlan`."""

    ask: int
    proposal_id: int


class PictureInfo(_Console, frozen=True, kw_only=True):
    """What the three parts after it are."""

    ask: int
    session: str
    number: int
    """Counts the finished frames of the session; give it as the next `newer_than`."""
    seq: int
    shape: tuple[int, int]
    raw_dtype: str
    """float32 with NaN where not sampled; or, where no engine made one, the samples' own type, a full raster."""
    restored: bool
    reason: str
    """Why it was passed through; empty where it was restored."""
    model: str
    provider: str
    sha256: str
    coverage: float | None
    sigma_mean: float | None
    dose_e_per_nm2: float | None
    frames_included: int
    latency_ms: float
    """From the frame's arrival at the service until its answer was sent."""
    acquired_unix_ns: int
    caution: str | None = None
    """In what way the input is unlike those that the model was made for: empty where it is like them, None where
    nothing is known of them."""
    channel: str = ""
    """The channel that the picture is of."""
    reference_dwell_ns: float | None = None
    """The dwell that the raw values stand for, in electrons where the channel's gain is known, else in its units less
    its offset; None where raw has the samples as they came."""
    raw_path: str = ""
    """A file of the run directory with raw, to be read and deleted by who asked; empty where raw is a part."""


class ProblemInfo(msgspec.Struct, frozen=True, kw_only=True):
    """Something an operator must know."""

    level: Literal["warning", "error"]
    code: str
    text: str
    mend: str = ""
    since_unix_ns: int = 0
    session: str = ""
    count: int = 1
    reported_by: Literal["service", "microscope"] = "service"
    """Whose word it is: the service's own, or that of the microscope's software, which the service passes on."""
    client: str = ""
    """Of the microscope's software without a session: what it is, for people."""


class EngineInfo(msgspec.Struct, frozen=True, kw_only=True):
    """The engine, as acquire sees it."""

    state: Literal["starting", "ready", "down", "stuck"]
    pid: int = 0
    generation: int = 0
    """How many engines have connected since the service started."""
    default_model: str = ""
    models: list[ModelInfo] = []
    policies: list[str] = []


class SessionInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A session, as acquire sees it."""

    hello: Hello
    state: Literal["waiting", "open", "detached", "ending", "ended"]
    """waiting: for an operator to start it. detached: the client has not been heard for two seconds and may come
    back."""
    opened_unix_ns: int
    account: Receipt
    """The account so far; final once the session has ended."""
    frames_per_s_in: float
    frames_per_s_out: float
    bytes_per_s_in: float
    latency_ms: dict[str, float]
    """p50, p95 and p99 of the last 512 frames; empty before the first."""
    queued: int
    """Frames received and not yet answered."""
    picture_number: int
    model: str
    provider: str
    coverage: float | None
    sigma_mean: float | None
    caution: str | None
    """In what way the last frame was unlike those that its model was made for; as in `PictureInfo`."""
    paused: str
    """Why credit is held back; empty while it flows."""
    proposal: dict[str, Any] | None
    """The open proposal, without its plan."""
    enough: str
    """Why no plan follows the last pass, in words; empty where that was not said."""
    policy: str | None = None
    """The rescan policy in force, whatever HELLO says; the budget in force is the account's."""
    approval: Literal["microscope", "operator"] = "microscope"
    """Who decides on proposals from the next one on."""


class Status(_Console, frozen=True, kw_only=True):
    """The answer to `AskStatus`."""

    ask: int
    version: str
    boot_id: int
    started_unix_ns: int
    address: str
    """Where microscopes connect."""
    recordings: str
    """Folder of the recordings; empty where none can be made."""
    disk_free_bytes: int
    engine: EngineInfo
    sessions: list[SessionInfo]
    problems: list[ProblemInfo]
    refused: dict[str, int]
    """HELLOs refused since the start, by `RefuseCode`."""
    junk: dict[str, int]
    """Messages that belong to no session, by `NackCode`."""


ToAcquire = AskStatus | AskPicture | AskDose | AskProposal | AskCommand
FromAcquire = Refused | Obeyed | PictureInfo | MapFile | ProposalPlan | Status

_encoder = msgspec.msgpack.Encoder()
_to_acquire = msgspec.msgpack.Decoder(ToAcquire)
_from_acquire = msgspec.msgpack.Decoder(FromAcquire)


def encode(message: ToAcquire | FromAcquire) -> bytes:
    """A console message as bytes."""
    return _encoder.encode(message)


def decode_to_acquire(data: bytes | memoryview) -> ToAcquire:
    """Read what web sent.

    Raises:
        MalformedMessage: Not such a message.
    """
    try:
        message: ToAcquire = _to_acquire.decode(data)
    except msgspec.DecodeError as error:
        raise MalformedMessage(f"A console message cannot be read: {error}.") from error
    return message


def decode_from_acquire(data: bytes | memoryview) -> FromAcquire:
    """Read what acquire sent.

    Raises:
        MalformedMessage: Not such a message.
    """
    try:
        message: FromAcquire = _from_acquire.decode(data)
    except msgspec.DecodeError as error:
        raise MalformedMessage(f"A console message cannot be read: {error}.") from error
    return message
