"""How good a restored picture is, which only a simulator can know: it is compared with the noise-free truth.

The truth is the picture that the detector would give on average: the specimen blurred by the probe, where it has
drifted to half-way through the pass (mode frames) or half-way through all passes so far (mode exposure), as the mean
of a visit of the reference dwell, in electrons where the gain is known. The peak of the PSNR is that truth's range,
its largest value less its smallest. What the restoration is compared with, `psnr_input`, is the simplest picture that
the same samples give: every pixel takes the mean sample of the nearest pixel that was sampled; of a dense scan these
are the samples themselves.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict, deque
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from scanmend.client import Restored
from scanmend.exposure import ExposureBuilder
from scanmend.frame import Frame
from scanmend.plan import ScanPlan
from scanmend.restoration import FloatPicture
from scanmend_sim.microscope import Microscope

MOST_PENDING = 16
"""Pictures whose answer is waited for; the oldest is forgotten beyond that."""

MOST_WAITING = 48
"""Answers that wait to be compared; more are not compared at all."""


def psnr_db(picture: npt.NDArray[np.floating], truth: npt.NDArray[np.floating]) -> float:
    """Peak signal-to-noise ratio, 10 log10(range² / mean squared error), with the range of the truth.

    Args:
        picture: `(ny, nx)`.
        truth: `(ny, nx)`, in the same units.

    Returns:
        Decibel; inf for a perfect picture, NaN for a truth without contrast.
    """
    error = np.mean((picture.astype(np.float64) - truth) ** 2)
    peak = float(truth.max()) - float(truth.min())
    if peak <= 0:
        return math.nan
    return math.inf if error == 0 else 10.0 * math.log10(peak**2 / float(error))


def fill_nearest(values: FloatPicture, sampled: npt.NDArray[np.bool_]) -> FloatPicture:
    """Give each pixel the value of the nearest sampled pixel (Euclidean distance).

    First the nearest sample of each column is found, then each pixel asks its neighbours along the line for theirs,
    ever farther away, until nobody can be nearer.

    Args:
        values: `(ny, nx)`.
        sampled: Which of them count; at least one does.

    Returns:
        `(ny, nx)`; where `sampled`, the values themselves.
    """
    if sampled.all():
        return values
    ny, nx = sampled.shape
    lines = np.arange(ny, dtype=np.int32)[:, None]
    far = np.int32(4 * (ny + nx))
    above = np.maximum.accumulate(np.where(sampled, lines, -far), axis=0)
    below = np.minimum.accumulate(np.where(sampled, lines, far)[::-1], axis=0)[::-1]
    source_y = np.where(lines - above <= below - lines, above, below)
    column = np.minimum(np.abs(lines - source_y).astype(np.int64), far) ** 2
    best = column.copy()
    offset = np.zeros((ny, nx), dtype=np.int32)
    for step in range(1, nx):
        if step * step >= int(best.max()):
            break
        for shift in (step, -step):
            here = np.s_[:, :-shift] if shift > 0 else np.s_[:, -shift:]
            there = np.s_[:, shift:] if shift > 0 else np.s_[:, :shift]
            distance = column[there] + step * step
            nearer = distance < best[here]
            best[here][nearer] = distance[nearer]
            offset[here][nearer] = shift
    from_x = np.arange(nx, dtype=np.int32) + offset
    from_y = np.take_along_axis(source_y, from_x, axis=1)
    return np.asarray(values[from_y, from_x])


@dataclass(frozen=True, slots=True)
class _Pending:
    values: FloatPicture
    sampled: npt.NDArray[np.bool_]
    truth_ns: int
    reference_dwell_ns: float


@dataclass(frozen=True, slots=True)
class Quality:
    """Two pictures of the same samples, compared with the truth."""

    psnr_input: float
    psnr_restored: float


class QualityMeter:
    """Compares restored pictures with the truth.

    Args:
        microscope: Knows the truth.
        adds_up: Whether passes add up (mode exposure), or each is a picture of its own.
        channel_index: The channel that is restored.
    """

    def __init__(self, microscope: Microscope, *, adds_up: bool, channel_index: int = 0) -> None:
        self._microscope = microscope
        self._adds_up = adds_up
        self._channel_index = channel_index
        self._builder: ExposureBuilder | None = None
        self._pending: OrderedDict[int, _Pending] = OrderedDict()
        self._waiting: deque[tuple[_Pending, FloatPicture]] = deque()
        self._began_ns = 0
        self._measured: list[Quality] = []
        self.last: Quality | None = None
        """The newest comparison."""
        self.cost_s = 0.2
        """What it took, at first a guess."""

    @property
    def count(self) -> int:
        """How many pictures were compared."""
        return len(self._measured)

    def mean(self) -> Quality | None:
        """What stands in a report: the mean over all compared pictures, or the last one's where passes add up."""
        if self._adds_up or not self._measured:
            return self.last
        return Quality(
            float(np.mean([quality.psnr_input for quality in self._measured])),
            float(np.mean([quality.psnr_restored for quality in self._measured])),
        )

    def begin_pass(self, began_ns: int) -> None:
        """A pass begins at this time of the microscope's clock; where passes do not add up, what was is forgotten."""
        if not self._adds_up or self._builder is None:
            self._began_ns = began_ns
            self._builder = ExposureBuilder(self._microscope.field, self._microscope.channels[self._channel_index])

    def add(self, frame: Frame, plan: ScanPlan) -> None:
        """Add samples that the service is sent."""
        if self._builder is not None:
            self._builder.add(frame, plan, channel_index=self._channel_index)

    def expect(self, seq: int) -> None:
        """Compare the answer to this frame, which ends a pass, with all samples up to it."""
        if self._builder is None or self._builder.frames == 0:
            return
        exposure = self._builder.view()
        self._pending[seq] = _Pending(
            exposure.values,
            exposure.visits > 0,
            (self._began_ns + self._microscope.clock_ns) // 2,
            exposure.reference_dwell_ns,
        )
        if len(self._pending) > MOST_PENDING:
            self._pending.popitem(last=False)

    def take(self, restored: Restored) -> None:
        """Keep an answer for `work`, if it is one that was to be compared and was restored."""
        pending = self._pending.pop(restored.seq, None)
        if pending is not None and restored.restored and restored.image is not None:
            if len(self._waiting) < MOST_WAITING:
                self._waiting.append((pending, restored.image))

    @property
    def waiting(self) -> int:
        """How many answers wait to be compared."""
        return len(self._waiting)

    def work(self) -> None:
        """Compare the oldest answer that waits. It takes some tens of milliseconds, so it is not done at once."""
        if self._waiting:
            began_s = time.perf_counter()
            pending, image = self._waiting.popleft()
            truth = self._truth(pending)
            before = psnr_db(fill_nearest(pending.values, pending.sampled), truth)
            self.last = Quality(before, psnr_db(image, truth))
            self._measured.append(self.last)
            self.cost_s = time.perf_counter() - began_s

    def _truth(self, pending: _Pending) -> npt.NDArray[np.float32]:
        """The noise-free picture in the units of the exposure: electrons, or detector units where no gain is told."""
        index = self._channel_index
        truth = self._microscope.truth_electrons(pending.reference_dwell_ns, channel=index, at_ns=pending.truth_ns)
        detector = self._microscope.detectors[index]
        told = detector.channel.units_per_electron
        if told is None:
            return truth * np.float32(detector.gain)
        return truth if detector.gain == told else truth * np.float32(detector.gain / told)
