"""What a simulated microscope can tell of its session: while it runs, and at its end."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np

from scanmend.client import Restored
from scanmend.wire.messages import ExecutedStatus, Receipt, finite_or_none
from scanmend_sim.faults import FaultReport
from scanmend_sim.quality import Quality

LATENCIES_KEPT = 8192
"""Percentiles are of the last so many answers."""


def percentiles_ms(values: Iterable[float]) -> dict[str, float]:
    """p50, p95 and p99 of some times in milliseconds; empty where there are none."""
    times = [value for value in values if math.isfinite(value)]
    if not times:
        return {}
    found = np.percentile(times, [50, 95, 99])
    return {name: round(float(value), 3) for name, value in zip(("p50", "p95", "p99"), found, strict=True)}


@dataclass(slots=True)
class Tally:
    """Counts answers as they come."""

    restored: int = 0
    passed_through: Counter[str] = field(default_factory=Counter)
    """By reason."""
    round_trip_ms: deque[float] = field(default_factory=lambda: deque(maxlen=LATENCIES_KEPT))
    service_ms: deque[float] = field(default_factory=lambda: deque(maxlen=LATENCIES_KEPT))
    restored_by: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Frames by the model that restored them and what executed it, in the order in which they were first seen."""
    last_model: str = ""

    def take(self, answer: Restored) -> None:
        """Count one answer."""
        self.round_trip_ms.append(answer.round_trip_ms)
        self.service_ms.append(answer.service_ms)
        if answer.restored:
            self.restored += 1
            self.restored_by[answer.model, answer.provider] += 1
            self.last_model = answer.model
        else:
            self.passed_through[answer.reason] += 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Where a session stands."""

    session: str
    scenario: str
    elapsed_s: float
    passes: int
    passes_planned: int
    """0 where it goes on until stopped, or until the service proposes nothing more."""
    frames_sent: int
    restored: int
    passed_through: int
    round_trip_ms: dict[str, float]
    """p50, p95 and p99 of the time from sending a frame to reading its answer, on the client's clock."""
    quality: Quality | None
    """Of the newest picture that was compared with the truth."""
    dose_e_per_nm2: float
    executed: int
    """Proposals that were run."""
    paused: str
    """Why the service holds the scan; empty while it flows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The end of a session."""

    scenario: str
    specimens: tuple[str, ...]
    """What was under the beam, in order."""
    elapsed_s: float
    """From the WELCOME to the last answer."""
    passes: int
    receipt: Receipt
    tally: Tally
    quality: Quality | None
    """Mean over the pictures that were compared with the truth; of the last one where passes add up."""
    pictures_compared: int
    resent: int
    reconnects: int
    true_dose_e_per_nm2: float
    """Dose that the simulated beam has put on the field in its dwells, averaged over the field."""
    true_dose_max_e_per_nm2: float
    faults: FaultReport | None
    """What the unreliable link did; None where it was left alone."""

    @property
    def frames_per_s(self) -> float:
        """Frames over the whole session's time."""
        return self.receipt.count / self.elapsed_s if self.elapsed_s > 0 else math.nan

    def to_json(self) -> dict[str, Any]:
        """The report for machines: plain values, None in place of NaN."""
        receipt, quality = self.receipt, self.quality
        ran = (ExecutedStatus.ACCEPTED, ExecutedStatus.CHANGED)
        return {
            "session": receipt.session,
            "scenario": self.scenario,
            "specimens": list(self.specimens),
            "balanced": receipt.balanced,
            "passes": self.passes,
            "frames_sent": receipt.count,
            "frames_durable": receipt.durable,
            "frames_restored": receipt.restored_out,
            "frames_passed_through": sum(receipt.passed_through.values()),
            "frames_rejected": sum(receipt.rejected.values()),
            "gaps": receipt.gaps,
            "duplicates": receipt.duplicates,
            "latency_ms": percentiles_ms(self.tally.round_trip_ms),
            "service_latency_ms": percentiles_ms(self.tally.service_ms),
            "psnr_input": _db(quality.psnr_input if quality else math.nan),
            "psnr_restored": _db(quality.psnr_restored if quality else math.nan),
            "pictures_compared": self.pictures_compared,
            "proposals": receipt.proposals,
            "executed": sum(receipt.executed.get(status, 0) for status in ran),
            "dose_e_per_nm2": receipt.dose_e_per_nm2,
            "true_dose_e_per_nm2": self.true_dose_e_per_nm2,
            "true_dose_max_e_per_nm2": self.true_dose_max_e_per_nm2,
            "restored_by": [
                {"model": model, "provider": provider, "frames": frames}
                for (model, provider), frames in self.tally.restored_by.items()
            ],
            "providers": list(dict.fromkeys(provider for _, provider in self.tally.restored_by)),
            "model": self.tally.last_model,
            "elapsed_s": round(self.elapsed_s, 3),
            "frames_per_s": round(self.frames_per_s, 2),
            "resent": self.resent,
            "reconnects": self.reconnects,
            "faults": {} if self.faults is None else {fault.value: n for fault, n in self.faults.faults.items()},
            "receipt": msgspec.to_builtins(receipt),
        }


def _db(value: float) -> float | None:
    return None if finite_or_none(value) is None else round(value, 3)
