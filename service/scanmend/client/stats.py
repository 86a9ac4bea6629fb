"""A snapshot of a session."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionStats:
    """Where a session stands; a snapshot."""

    sent: int
    """Frames that have a number, those still waiting to go out included."""
    received_upto: int
    """Every frame below this is in the service's memory, or rejected."""
    durable_upto: int
    """Every frame below this is on the service's disk, or rejected."""
    resent: int
    """Times that a frame was sent once more."""
    reconnects: int
    """Times that the session was taken up again."""
    in_ring: int
    """Frames kept for resending."""
    ring_bytes: int
    """Their bytes."""
    rejected: int
    """Frames that the service will never take."""
    lost: int
    """Frames that a service started anew had lost and that were no longer kept here: the receipt calls them gaps."""
    answers: int
    """Answers that came."""
    awaited: int
    """Frames whose answer is still to come."""
    unread: int
    """Answers that the caller has not read."""
    dropped_unread: int
    """Answers dropped because they were not read, with `when_unread='drop_oldest'`."""
    unanswered: int
    """Frames whose answer was lost with a connection or a process."""
    damaged: int
    """Messages of the service that could not be read."""
