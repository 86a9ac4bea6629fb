"""What a NOTE entry of a journal says: JSON with a `note` key that names its kind."""

from __future__ import annotations

from typing import Literal

import msgspec


class ModelNote(msgspec.Struct, frozen=True, kw_only=True, tag="model", tag_field="note"):
    """A model has restored a frame of the session for the first time."""

    name: str
    sha256: str
    """Hash of the model's file, in hex."""
    provider: str
    """What executed it, as the runtime reported."""


class StartNote(msgspec.Struct, frozen=True, kw_only=True, tag="start", tag_field="note"):
    """An operator has started a session that waited for it."""

    by: str


class ApprovalNote(msgspec.Struct, frozen=True, kw_only=True, tag="approval", tag_field="note"):
    """Where the approval of a proposal stands."""

    proposal_id: int
    what: Literal["awaited", "accepted", "declined", "expired", "superseded"]
    """`awaited` stands before the PROPOSAL itself: whoever reads one without it may pass the proposal on."""
    by: str = ""
    expires_unix_ns: int = 0
    """Of an accepted one: until when the microscope may begin it."""


class TermsNote(msgspec.Struct, frozen=True, kw_only=True, tag="terms", tag_field="note"):
    """What holds for proposals from here on, by an operator's word; before the first note, what HELLO says."""

    policy: str | None
    budget_e_per_nm2: float | None
    """Largest dose, averaged over the field, to which proposals may bring the session; None for no limit."""
    approval: Literal["microscope", "operator"]
    by: str


class RecordNote(msgspec.Struct, frozen=True, kw_only=True, tag="record", tag_field="note"):
    """An operator has had the recording begun in the middle of a session that asked for none."""

    from_seq: int
    """Every frame of this number and above that came is in the journal."""
    forgotten_upto: int
    """The client holds no frame below this number any more, so none of them can come again."""
    by: str


class ProblemNote(msgspec.Struct, frozen=True, kw_only=True, tag="problem", tag_field="note"):
    """The client reported a kind of problem: for the first time, twice as often as the last note says, or its end."""

    code: str
    """The client's own word for it."""
    text: str
    mend: str = ""
    level: Literal["warning", "error"] = "warning"
    count: int = 1
    """How often it had come."""
    points: int = 0
    """Points that it had cost."""
    since_unix_ns: int = 0
    stands: bool = False
    """Whether it holds until a note says that it is cleared, or has happened."""
    cleared: bool = False


Note = ModelNote | StartNote | ApprovalNote | TermsNote | RecordNote | ProblemNote

_decoder = msgspec.json.Decoder(Note)


def write_note(note: Note) -> bytes:
    """The body of a NOTE entry."""
    return msgspec.json.encode(note)


def read_note(body: bytes | memoryview) -> Note | None:
    """What a NOTE entry says; None where it is of a kind that this version does not know."""
    try:
        note: Note = _decoder.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return None
    return note
