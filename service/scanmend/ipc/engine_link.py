"""What acquire and the engine say to each other over the doorbell.

Pixels never pass here: they lie in the session's two rings, and a message names the slots. acquire owns both
rings and every slot; the engine fills the slot that it was given and answers with `Done`, exactly once for each
`Work`. A plan too large for a doorbell message is left in a file of the run directory.
"""

from __future__ import annotations

from typing import Any

import msgspec

from scanmend.errors import MalformedMessage
from scanmend.wire.header import PassReason
from scanmend.wire.messages import Enough, Executed, Hello, Proposal

VALID_NS = 60_000_000_000
"""How long the microscope may take up a proposal."""

INLINE_BYTES = 32 * 1024
"""Largest plan or proposal that goes inside a doorbell message."""


class _Link(msgspec.Struct, frozen=True, kw_only=True, tag=True, tag_field="type"):
    """A doorbell message."""


class RingInfo(msgspec.Struct, frozen=True, kw_only=True):
    """Where a ring of slots lies."""

    path: str
    slots: int
    slot_bytes: int


class RebuildSkip(msgspec.Struct, frozen=True, kw_only=True):
    """What of a journal the engine gets by other ways, and must not add from there too."""

    seqs: list[int] = []
    """Sequence numbers of recorded frames that will come as `Work`."""
    from_index: int
    """Index of the journal's first entry that is not for the rebuild: frames go on being recorded while the engine
    reads, and all of them will come as `Work`, their plans as `PlanNotice`."""


class OpenSession(_Link, frozen=True, kw_only=True):
    """acquire → engine: a session is open; sent again for each open one when an engine connects."""

    hello: Hello
    """As the client said it, but with the rescan policy and the dose budget that hold now."""
    frames_in: RingInfo
    """Slots with samples, as they came."""
    pictures_out: RingInfo
    """Slots for results: estimate, sigma, then the raw picture where `Work.live`, each float32 `(ny, nx)`."""
    journal: str = ""
    """Folder of the session's journal, empty where nothing is recorded."""
    rebuild: bool = False
    """Whether the exposure must be rebuilt from the journal before the first `Work`."""
    rebuild_skip: RebuildSkip = RebuildSkip(from_index=0)
    """What the rebuild leaves out; for a session that is not rebuilt, all."""
    propose: bool = False
    """Whether an engine before this one ended between a pass and what it owed for it, a proposal or the word that it
    is enough: after the rebuild, choose."""
    lost_frames: int = 0
    """Frames that an engine before this one had, and that are in no journal."""


class PlanNotice(_Link, frozen=True, kw_only=True):
    """acquire → engine: a plan of a session, before the first frame that names it."""

    session_id: int
    plan_id: int
    data: bytes = b""
    """The msgpack of the `ScanPlan`, or empty where it lies in `path`."""
    path: str = ""
    """A file to be read and deleted."""


class Work(_Link, frozen=True, kw_only=True):
    """acquire → engine: a frame."""

    ticket: int
    session_id: int
    header: bytes
    """The FRAME header."""
    slot_in: int
    slot_out: int
    live: bool = False
    """Whether somebody watches, so that the raw picture is wanted too."""


class ScannedNotice(_Link, frozen=True, kw_only=True):
    """acquire → engine: points that were scanned and whose samples the engine does not get, for the dose."""

    session_id: int
    spans: list[tuple[int, int, int, int]]
    """Plan id, first point, number of points, and how often."""
    incomplete: bool = False
    """Whether more was scanned than anybody knows."""


class TermsNotice(_Link, frozen=True, kw_only=True):
    """acquire → engine: an operator has changed what holds from the next proposal on."""

    session_id: int
    policy: str
    budget_e_per_nm2: float | None


class ProposalTerm(_Link, frozen=True, kw_only=True):
    """acquire → engine: until when a proposal stays open, where that is not what the engine said."""

    session_id: int
    proposal_id: int
    expires_unix_ns: int


class AskDose(_Link, frozen=True, kw_only=True):
    """acquire → engine: somebody looks at the dose of each pixel; answered with `DoseMade`."""

    session_id: int
    ask: int


class AskRaw(_Link, frozen=True, kw_only=True):
    """acquire → engine: somebody looks at a channel that is not restored; answered with `RawMade`."""

    session_id: int
    ask: int
    channel: int
    """Its place among the session's channels."""


class ExecutedNotice(_Link, frozen=True, kw_only=True):
    """acquire → engine: what became of a proposal."""

    executed: Executed


class CloseSession(_Link, frozen=True, kw_only=True):
    """acquire → engine: no more frames; answered with `SessionSummary` when all work is done."""

    session_id: int


class ModelInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A model that is live, or why it is not."""

    name: str
    version: str = ""
    sha256: str = ""
    kind: str = ""
    summary: str = ""
    card: str = ""
    runtime: str = ""
    """onnxruntime or openvino; empty where the model is not live."""
    provider: str = ""
    """What the runtime itself reports after loading."""
    precision: str = ""
    live: bool = False
    problem: str = ""
    """Why it is not live."""
    tuned_ms: dict[str, float] = {}
    """Median ms on a 512² frame of each candidate that passed the gate, by `runtime/provider/precision/threads`."""


class EngineReady(_Link, frozen=True, kw_only=True):
    """engine → acquire: warmed up; the first message of an engine."""

    pid: int
    models: list[ModelInfo]
    default_model: str
    policies: list[str]


class Done(_Link, frozen=True, kw_only=True):
    """engine → acquire: what became of a `Work`."""

    ticket: int
    session_id: int
    seq: int
    restored: bool
    superseded: bool = False
    """Not restored by itself: a later frame of the same pass was waiting."""
    reason: int = int(PassReason.NONE)
    """A `PassReason` where the frame was neither restored nor superseded."""
    error: str = ""
    """The reason in words, for the log and the page."""
    ny: int = 0
    nx: int = 0
    has_sigma: bool = False
    has_raw: bool = False
    estimate_xxh3: int = 0
    sigma_xxh3: int = 0
    taken_mono_ns: int = 0
    """`time.monotonic_ns` when the engine took the work."""
    restore_ns: int = 0
    frames_included: int = 0
    model: str = ""
    sha256: str = ""
    provider: str = ""
    electrons_per_unit: float = float("nan")
    sigma_mean: float = float("nan")
    coverage: float = float("nan")
    dose_e_per_nm2: float = float("nan")
    dose_max_e_per_nm2: float = float("nan")
    reference_dwell_ns: float = float("nan")
    """The dwell that the values of the estimate and of the raw picture stand for."""
    caution: str | None = None
    """In what way the input is unlike those that the model was made for: empty where it is like them, None where
    nothing is known of them."""


class ProposalMade(_Link, frozen=True, kw_only=True):
    """engine → acquire: a proposal for the client."""

    proposal: Proposal | None = None
    path: str = ""
    """A file with the msgpack of the `Proposal`, to be read and deleted, where it is too large."""


class EnoughSaid(_Link, frozen=True, kw_only=True):
    """engine → acquire: no further plan is proposed after a pass."""

    enough: Enough


class DoseMade(_Link, frozen=True, kw_only=True):
    """engine → acquire: the dose of each pixel so far."""

    session_id: int
    ask: int
    path: str
    """A file with float32 `(ny, nx)` in e/nm², to be read and deleted; empty where there is none."""


class RawMade(_Link, frozen=True, kw_only=True):
    """engine → acquire: what a channel that is not restored holds so far."""

    session_id: int
    ask: int
    path: str = ""
    """A file with float32 `(ny, nx)`, NaN where not sampled, to be read and deleted; empty where there is none."""
    frames_included: int = 0
    coverage: float = float("nan")
    reference_dwell_ns: float = float("nan")


class SessionSummary(_Link, frozen=True, kw_only=True):
    """engine → acquire: the session is closed here."""

    session_id: int
    dose_e_per_nm2: float = float("nan")
    dose_max_e_per_nm2: float = float("nan")


class EngineProblem(_Link, frozen=True, kw_only=True):
    """engine → acquire: something that an operator must see."""

    code: str
    text: str
    session_id: int = 0


ToEngine = (
    OpenSession
    | PlanNotice
    | ScannedNotice
    | Work
    | ExecutedNotice
    | TermsNotice
    | ProposalTerm
    | AskDose
    | AskRaw
    | CloseSession
)
FromEngine = EngineReady | Done | ProposalMade | EnoughSaid | DoseMade | RawMade | SessionSummary | EngineProblem

_encoder = msgspec.msgpack.Encoder()
_to_engine = msgspec.msgpack.Decoder(ToEngine)
_from_engine = msgspec.msgpack.Decoder(FromEngine)


def encode(message: ToEngine | FromEngine) -> bytes:
    """A doorbell message as bytes."""
    return _encoder.encode(message)


def decode_to_engine(data: bytes) -> ToEngine:
    """Read what acquire sent.

    Raises:
        MalformedMessage: Not such a message: the two processes are of different versions.
    """
    message: ToEngine = _decode(data, _to_engine)
    return message


def decode_from_engine(data: bytes) -> FromEngine:
    """Read what the engine sent.

    Raises:
        MalformedMessage: Not such a message: the two processes are of different versions.
    """
    message: FromEngine = _decode(data, _from_engine)
    return message


def _decode(data: bytes, decoder: msgspec.msgpack.Decoder[Any]) -> Any:
    try:
        return decoder.decode(data)
    except msgspec.DecodeError as error:
        raise MalformedMessage(
            f"A doorbell message cannot be read: {error}.",
            mend="Restart the whole service, so that all its processes are alike.",
        ) from error
