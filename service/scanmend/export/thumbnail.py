"""A small picture of a recording for a list: what was measured last, and nothing that a model made."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from scanmend.errors import RecordingError
from scanmend.export.drawn import grey_levels
from scanmend.export.maps import mean_values
from scanmend.export.session import RecordedFrame, RecordedSession
from scanmend.export.sums import FieldSums

SIDE_PX = 192
MOST_BYTES = 32 << 20
"""Samples that are read at most: the newest ones. A list must not wait for a recording of hours."""
MOST_FRAMES = 4096

_Values = npt.NDArray[np.floating]


def thumbnail_png(folder: Path) -> bytes:
    """The newest pass of a recording as an 8-bit grey PNG, at most `SIDE_PX` wide and high.

    In mode `exposure` it is the mean of the newest passes. Where samples are far apart, a pixel without any takes the
    mean of those around it.

    Args:
        folder: The session's folder.

    Raises:
        RecordingError: There is no recording, or no frame in it that has a place in the field.
    """
    with RecordedSession(folder) as session:
        sums = FieldSums(session, [session.channel_index])
        for recorded in _newest(session):
            sums.add(recorded, session.plan(recorded.header.plan_id))
        if not sums.frames:
            raise RecordingError(
                f"The recording of {session.hello.session} holds no frame that has a place in the field.",
                mend="There is nothing to be shown.",
            )
        exposure = sums.exposure()
    values = filled(shrunk(mean_values(exposure, slice(0, exposure.shape[0])), SIDE_PX))
    out = io.BytesIO()
    Image.fromarray(grey_levels(values)).save(out, format="PNG", optimize=True)
    return out.getvalue()


def _newest(session: RecordedSession) -> list[RecordedFrame]:
    """The frames of the last pass, or in mode `exposure` the last frames, as many as may be read."""
    last = next(iter(session.frames(session.last_seq)), None)
    if last is None:
        return []
    most = max(1, min(MOST_FRAMES, MOST_BYTES // max(1, last.samples.nbytes)))
    frames = list(session.frames(max(0, session.last_seq + 1 - most)))
    if session.adds_up:
        return frames
    newest = [frame for frame in frames if frame.header.pass_index == last.header.pass_index]
    before = [frame for frame in frames if frame.header.pass_index == last.header.pass_index - 1]
    # A pass that has just begun shows less than the one before it.
    return newest if sum(f.header.points for f in newest) >= sum(f.header.points for f in before) else before


def shrunk(values: _Values, side_px: int) -> _Values:
    """A picture of at most `side_px` wide and high, by the mean of what was sampled in squares of pixels.

    Args:
        values: `(ny, nx)`; NaN where not sampled.
        side_px: Most pixels of a side.
    """
    ny, nx = values.shape
    by = -(-max(ny, nx) // side_px)
    return values if by == 1 else _means(values, by)


def filled(values: _Values) -> _Values:
    """The same with each hole filled by the mean of a square around it, the smallest that has a sample."""
    holes = ~np.isfinite(values)
    if not holes.any() or holes.all():
        return values
    coarse = filled(_means(values, 2))
    wide = np.kron(coarse, np.ones((2, 2)))[: values.shape[0], : values.shape[1]]
    return np.where(holes, wide, values)


def _means(values: _Values, by: int) -> _Values:
    """Means of squares of `by` pixels, those at the edges cut off; NaN where nothing was sampled."""
    ny, nx = values.shape
    padded = np.pad(values.astype(np.float64), ((0, -ny % by), (0, -nx % by)), constant_values=np.nan)
    squares = padded.reshape(padded.shape[0] // by, by, padded.shape[1] // by, by)
    seen = np.isfinite(squares)
    count, total = seen.sum(axis=(1, 3)), np.where(seen, squares, 0).sum(axis=(1, 3))
    means: _Values = np.divide(total, count, out=np.full(count.shape, np.nan), where=count > 0)
    return means
