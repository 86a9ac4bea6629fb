"""The passes of a session as whole pictures, one at a time, and what is none."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from scanmend.export.session import RecordedFrame, RecordedSession


@dataclass(frozen=True, slots=True)
class WholePicture:
    """A complete pass over the whole field in raster order."""

    pass_index: int
    acquired_unix_ns: int
    samples: npt.NDArray[np.generic]
    """`(channels, ny, nx)`; used again for the next one where the pass came in several frames."""


def pictures_and_rest(
    session: RecordedSession, frames: Iterable[RecordedFrame]
) -> Iterator[WholePicture | RecordedFrame]:
    """Every sample of these frames once: in a whole picture, or as the frame in which it came.

    Args:
        session: The recording.
        frames: Its frames, in order.
    """
    shape, channels = session.hello.field.shape, len(session.hello.channels)
    pixels = session.hello.field.pixels
    buffer: npt.NDArray[np.generic] | None = None
    held: list[RecordedFrame] = []
    key, filled = (-1, -1), 0
    for recorded in frames:
        header = recorded.header
        raster = _is_raster(session, recorded)
        begins = raster and header.first_point == 0 and header.points <= pixels
        follows = raster and (header.pass_index, header.plan_id) == key and header.first_point == filled
        if begins or not follows or filled + header.points > pixels:
            yield from held  # a piece is missing: that pass did not become whole
            held.clear()
            key, filled = (header.pass_index, header.plan_id), 0
        if begins and header.points == pixels:
            key = (-1, -1)
            yield WholePicture(header.pass_index, header.acquired_unix_ns, recorded.samples.reshape(channels, *shape))
        elif raster and header.first_point == filled and filled + header.points <= pixels:
            if buffer is None:
                buffer = np.empty((channels, pixels), dtype=recorded.samples.dtype)
            piece = buffer[:, filled : filled + header.points]
            piece[...] = recorded.samples
            held.append(replace(recorded, samples=piece))
            filled += header.points
            if filled == pixels:
                held.clear()
                key = (-1, -1)
                yield WholePicture(header.pass_index, header.acquired_unix_ns, buffer.reshape(channels, *shape))
        else:
            key = (-1, -1)
            yield recorded
    yield from held


def whole_pictures(session: RecordedSession) -> Iterator[tuple[int, npt.NDArray[np.generic]]]:
    """Complete passes over the whole field in raster order: `(pass_index, samples (channels, ny, nx))`.

    The array of a pass that came in several frames is used again for the next one.
    """
    for each in pictures_and_rest(session, session.frames()):
        if isinstance(each, WholePicture):
            yield each.pass_index, each.samples


def last_pass(session: RecordedSession) -> tuple[int, int, int] | None:
    """`(pass_index, first seq, last seq)` of the last complete pass, or of the last one where none is complete."""
    found: tuple[int, int, int] | None = None
    found_complete = False
    current, points = (-1, -1, -1, -1), 0
    ended = True
    for recorded in session.frames():
        header = recorded.header
        if ended or current[:2] != (header.pass_index, header.plan_id):
            current, points = (header.pass_index, header.plan_id, header.seq, header.seq), 0
        current = (*current[:3], header.seq)
        points += header.points
        plan = session.plan(header.plan_id)
        complete = plan is not None and points == plan.points
        if complete or not found_complete:
            found, found_complete = (current[0], current[2], current[3]), complete
        ended = header.end_of_pass
    return found


def _is_raster(session: RecordedSession, recorded: RecordedFrame) -> bool:
    plan = session.plan(recorded.header.plan_id)
    return plan is not None and plan.is_full_raster
