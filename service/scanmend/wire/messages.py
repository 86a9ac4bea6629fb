"""The control messages: each one msgpack map, checked against its schema when it is read.

A message's `type` key names it. Unknown keys are ignored, so that a later version may add some; a missing or
wrong one is an error that names it. What a client says stands in `client_messages`, what the service says in
`service_messages`, and the words of both in `words`; all are imported from here.
"""

from __future__ import annotations

import math
from typing import Any

import msgspec

from scanmend.errors import InvalidInput, MalformedMessage, OversizeMessage, ScanmendError
from scanmend.wire.client_messages import End, Executed, Hello, Plan, Problem
from scanmend.wire.service_messages import Ack, Command, Enough, Nack, Proposal, Receipt, Refuse, Welcome
from scanmend.wire.words import (
    MAX_PROBLEM_TEXT,
    MOST_COUNTED,
    PROBLEM_CODE,
    RETRIABLE,
    SESSION_NAME,
    U32,
    U63,
    Approval,
    Awaits,
    Decider,
    Delivery,
    EnoughCode,
    ExecutedStatus,
    Feature,
    Mode,
    NackCode,
    ProblemLevel,
    RefuseCode,
    Returns,
    check_session_name,
)

__all__ = [
    "MAX_CONTROL_BYTES",
    "MAX_PLAN_BYTES",
    "MAX_PROBLEM_TEXT",
    "MOST_COUNTED",
    "PROBLEM_CODE",
    "RETRIABLE",
    "SESSION_NAME",
    "U32",
    "U63",
    "Ack",
    "Approval",
    "Awaits",
    "ClientMessage",
    "Command",
    "Decider",
    "Delivery",
    "End",
    "Enough",
    "EnoughCode",
    "Executed",
    "ExecutedStatus",
    "Feature",
    "Hello",
    "Mode",
    "Nack",
    "NackCode",
    "Plan",
    "Problem",
    "ProblemLevel",
    "Proposal",
    "Receipt",
    "Refuse",
    "RefuseCode",
    "Returns",
    "ServiceMessage",
    "Welcome",
    "check_session_name",
    "decode_client",
    "decode_service",
    "encode",
    "finite_or_none",
]

MAX_CONTROL_BYTES = 16 * 1024
"""Largest control message, plans excepted."""

MAX_PLAN_BYTES = 64 * 1024 * 1024
"""Largest message that carries a plan."""

ClientMessage = Hello | Plan | Executed | Problem | End
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


def finite_or_none(value: float) -> float | None:
    """A number for JSON, which has no NaN."""
    return value if math.isfinite(value) else None
