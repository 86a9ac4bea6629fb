"""What a NOTE entry of a journal says: JSON with a `note` key that names its kind."""

from __future__ import annotations

import msgspec


class ModelNote(msgspec.Struct, frozen=True, kw_only=True, tag="model", tag_field="note"):
    """A model has restored a frame of the session for the first time."""

    name: str
    sha256: str
    """Hash of the model's file, in hex."""
    provider: str
    """What executed it, as the runtime reported."""


_decoder = msgspec.json.Decoder(ModelNote)


def write_note(note: ModelNote) -> bytes:
    """The body of a NOTE entry."""
    return msgspec.json.encode(note)


def read_note(body: bytes | memoryview) -> ModelNote | None:
    """What a NOTE entry says; None where it is of a kind that this version does not know."""
    try:
        return _decoder.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return None
