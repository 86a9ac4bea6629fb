"""The passes of a session as whole pictures, one at a time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from scanmend.export.session import RecordedFrame, RecordedSession


def whole_pictures(session: RecordedSession) -> Iterator[tuple[int, npt.NDArray[np.generic]]]:
    """Complete passes over the whole field in raster order: `(pass_index, samples (channels, ny, nx))`.

    The array of a pass that came in several frames is used again for the next one.
    """
    shape, channels = session.hello.field.shape, len(session.hello.channels)
    pixels = session.hello.field.pixels
    buffer: npt.NDArray[np.generic] | None = None
    key, filled = (-1, -1), 0
    for recorded in session.frames():
        header = recorded.header
        if not _is_raster(session, recorded):
            key = (-1, -1)
            continue
        if header.points == pixels and header.first_point == 0:
            key = (-1, -1)
            yield header.pass_index, recorded.samples.reshape(channels, *shape)
            continue
        if (header.pass_index, header.plan_id) != key or header.first_point == 0:
            key, filled = (header.pass_index, header.plan_id), 0
        if header.first_point != filled or filled + header.points > pixels:
            filled = -1  # a piece is missing: the pass cannot become whole
            continue
        if buffer is None:
            buffer = np.empty((channels, pixels), dtype=recorded.samples.dtype)
        buffer[:, filled : filled + header.points] = recorded.samples
        filled += header.points
        if filled == pixels:
            yield header.pass_index, buffer.reshape(channels, *shape)


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
