"""Rebuilds a session's exposure from its journal, after an engine that held it has died."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from scanmend.engine.session import EngineSession
from scanmend.errors import ExposureError, InvalidInput, ProtocolError, RecordingError
from scanmend.ipc.engine_link import RebuildSkip
from scanmend.record import EntryKind, JournalReader
from scanmend.wire.header import FrameHeader
from scanmend.wire.messages import Plan, decode_client

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What came of it."""

    frames: int
    """Frames added."""
    last: FrameHeader | None
    """The last of them."""
    problems: tuple[str, ...]
    """What could not be read; an exposure with any is not whole."""


def rebuild(session: EngineSession, journal: Path, skip: RebuildSkip, beat: Callable[[], None]) -> Rebuilt:
    """Add the frames of a journal to a session, in the order in which they were recorded.

    Args:
        session: Fresh, with nothing in it.
        journal: The folder of its recording; another process may be writing to it.
        skip: What is to be left out, since it will come as `Work`.
        beat: Called after each frame.

    Returns:
        How many frames, and what could not be read.
    """
    skipped = frozenset(skip.seqs)
    frames = 0
    last: FrameHeader | None = None
    problems: list[str] = []
    try:
        with JournalReader(journal) as reader:
            if reader.place.next_index < skip.from_index:  # a disk that failed may not give back what it had taken
                problems.append(f"entries {reader.place.next_index} to {skip.from_index - 1} are not there")
            for entry in reader.entries(kinds=(EntryKind.PLAN, EntryKind.FRAME)):
                if entry.index >= skip.from_index:
                    break
                beat()
                try:
                    head, tail = reader.read(entry)
                    if entry.kind is EntryKind.PLAN:
                        message = decode_client(bytes(head) + bytes(tail))
                        if isinstance(message, Plan):
                            session.plans[message.plan_id] = message.plan
                    elif entry.seq not in skipped:
                        header = FrameHeader.unpack(head, max_payload_bytes=len(tail))
                        frames += _add(session, header, tail)
                        last = header
                except (RecordingError, ProtocolError, InvalidInput) as error:
                    problems.append(f"{entry.kind.name.lower()} {entry.seq}: {error}")
    except RecordingError as error:
        problems.append(str(error))
    for problem in problems:
        log.error("session %s cannot be rebuilt whole: %s", session.hello.session, problem)
    return Rebuilt(frames, last, tuple(problems))


def _add(session: EngineSession, header: FrameHeader, payload: memoryview) -> int:
    dtype = np.dtype(header.dtype).newbyteorder("<")
    samples = np.frombuffer(payload, dtype=dtype).reshape(header.channels, header.points)
    try:
        session.expose(header, samples)
    except ExposureError as error:  # it was not taken the first time either
        log.info("session %s, frame %d: %s", session.hello.session, header.seq, error)
        return 0
    return 1
