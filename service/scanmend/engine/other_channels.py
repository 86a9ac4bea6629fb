"""The channels of a session that are not restored, for who looks at them: what the detector gave, and nothing else.

They are taken along with the restored channel: where passes add up their signal is summed and the dwell is the
exposure's own, so that a pixel costs four bytes a channel; a pass that comes whole is kept as it came.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from scanmend.engine.exposures import SessionExposure
from scanmend.exposure import signal_of
from scanmend.field import Channel
from scanmend.frame import Frame, Samples
from scanmend.plan import ScanPlan
from scanmend.restoration import FloatPicture
from scanmend.wire.messages import Mode

MOST_BYTES = 1 << 30
"""A session whose other channels would take more memory than this does without them."""
_BYTES = 4


class OtherChannels:
    """What is held of every channel but the restored one; belongs to one thread.

    Args:
        exposure: Of the restored channel; frames are added to it first.
        channels: All of the session.
        restored: Which of them is restored.
        mode: Whether passes add up.
    """

    def __init__(self, exposure: SessionExposure, channels: Sequence[Channel], restored: int, mode: Mode) -> None:
        self._exposure = exposure
        self._channels = channels
        self._rows = [row for row in range(len(channels)) if row != restored]
        if len(self._rows) * exposure.field.pixels * _BYTES > MOST_BYTES:
            self._rows = []
        self._mode = mode
        self._pass_index = -1
        self._whole: Samples | None = None
        """A pass as it came, a line for each of `_rows`."""
        self._whole_dwell_ns = 0
        self._signal: npt.NDArray[np.float32] | None = None
        """`(len(_rows), pixels)`."""

    def add(self, frame: Frame, plan: ScanPlan, *, wanted: bool) -> None:
        """Take a frame that the exposure has just taken.

        Args:
            frame: The samples; not kept.
            plan: The plan that it names.
            wanted: Whether somebody may see this very frame; a whole pass that nobody sees is left out.
        """
        if not self._rows:
            return
        if self._exposure.whole_dwell_ns:
            if wanted:
                self._keep(frame.samples, self._exposure.whole_dwell_ns)
            return
        signal = self._signal
        if signal is None:
            signal = self._signal = np.zeros((len(self._rows), self._exposure.field.pixels), np.float32)
        elif self._mode is Mode.FRAMES and (frame.pass_index != self._pass_index or self._whole_dwell_ns):
            signal.fill(0)
        self._pass_index, self._whole_dwell_ns = frame.pass_index, 0
        last = frame.first_point + frame.points
        dwell = float(plan.dwell_ns) if plan.dwell_list is None else plan.dwells_ns[frame.first_point : last]
        at = slice(frame.first_point, last) if plan.is_full_raster else plan.pixels[frame.first_point : last]
        for line, row in zip(signal, self._rows, strict=True):
            new = signal_of(self._channels[row], frame.samples[row], np.asarray(dwell, np.float64))
            if isinstance(at, slice):
                line[at] += new
            else:
                np.add.at(line, at, new.astype(np.float32))  # a pixel may be visited twice in a frame

    def picture(self, channel: int) -> tuple[FloatPicture, float] | None:
        """A channel as it stands: float32 `(ny, nx)` with NaN where not sampled, and the dwell that it stands for.

        Values are electrons of that dwell where the channel's gain is known, else its units less its offset, as those
        of the restored channel. None where the channel is not held, or nothing has come.
        """
        if channel not in self._rows:
            return None
        line, shape = self._rows.index(channel), self._exposure.field.shape
        if self._whole_dwell_ns and self._whole is not None:
            dwell = float(self._whole_dwell_ns)
            return signal_of(self._channels[channel], self._whole[line], dwell).astype(np.float32).reshape(shape), dwell
        held = self._exposure.held
        if self._signal is None or held is None:
            return None
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            mean = self._signal[line].reshape(shape) / held.dwell_ns * held.reference_dwell_ns
            values: FloatPicture = mean.astype(np.float32)
        values[held.visits == 0] = np.nan
        return values, held.reference_dwell_ns

    def _keep(self, samples: Samples, dwell_ns: int) -> None:
        if self._whole is None or self._whole.dtype != samples.dtype:
            self._whole = np.empty((len(self._rows), samples.shape[1]), samples.dtype)
        for line, row in zip(self._whole, self._rows, strict=True):
            np.copyto(line, samples[row])
        self._whole_dwell_ns = dwell_ns
