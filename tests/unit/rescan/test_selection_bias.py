"""Counts that chose a pixel say too much or too little of it; what follows from that, and what does not.

Drawn specimens are scanned once uniformly at 2 counts a pixel and three times more as a policy says. All errors are
signed, relative to the mean truth of the pixels that they are taken over, and averaged over independent scans; the
standard error comes from their scatter.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest

from scanmend import Restorer
from scanmend.bench.rescan import DWELL_NS, Bench, Exposed
from scanmend.rescan import POLICIES
from scanmend_models.data.pictures import draw

KINDS = ("nanoparticles", "cells", "leaves", "porous")
SCANS = 5
"""Of each kind."""
SIDE_PX = 112
COUNTS = 2.0
PASSES = 3
CHOSEN = 0.2
"""Share of the pixels that got the most, or the least."""

Pixels = np.ndarray
"""Indices of pixels."""


@dataclass(frozen=True)
class Scan:
    """Flat pictures of one scan, all in units in which the truth's range is 1."""

    truth: np.ndarray
    first: np.ndarray
    """Counts of the first pass, over the counts of a pixel of brightness 1."""
    naive: np.ndarray
    """Mean of all counts, weighted by dwell."""
    restored: np.ndarray
    later: np.ndarray
    """Counts of the later passes, as `first`."""
    later_dwell: np.ndarray
    """Dwell of the later passes, over that of the first."""
    by_first_plan: np.ndarray
    """Pixels, those first that the first plan dwelt on longest."""
    by_dwell: np.ndarray
    """Pixels, those first that had most dwell in the end."""


@cache
def restorer() -> Restorer:
    return Restorer.load("quality", threads=1, runtimes=("onnxruntime",))


@cache
def scans(policy: str) -> tuple[Scan, ...]:
    bench = Bench(restorer())
    made = []
    for number in range(SCANS * len(KINDS)):
        drawn = draw(10**15 + 500 + number, (SIDE_PX, SIDE_PX), KINDS[number % len(KINDS)])
        truth = (0.05 + 0.95 * drawn).astype(np.float32)
        exposed = Exposed.once(truth, COUNTS, np.random.default_rng([number, 0]))
        first, rng = exposed.electrons.copy(), np.random.default_rng([number, 1])
        restored, plans = bench.restore(exposed), []
        for passes in range(1, PASSES + 1):
            plans.append(bench.planned(POLICIES[policy], exposed, restored, passes))
            exposed.scan(plans[-1], rng)
            restored = bench.restore(exposed)
        per_unit, dwell = exposed.electrons_per_unit, exposed.dwell_ns / DWELL_NS
        made.append(
            Scan(
                truth=truth.ravel(),
                first=(first / per_unit).ravel(),
                naive=(exposed.electrons / dwell / per_unit).ravel(),
                restored=restored[0].ravel(),
                later=((exposed.electrons - first) / per_unit).ravel(),
                later_dwell=(dwell - 1).ravel(),
                by_first_plan=np.argsort(-plans[0].ravel(), kind="stable"),
                by_dwell=np.argsort(-exposed.dwell_ns.ravel(), kind="stable"),
            )
        )
    return tuple(made)


def most(order: Pixels) -> Pixels:
    return order[: int(CHOSEN * order.size)]


def least(order: Pixels) -> Pixels:
    return order[-int(CHOSEN * order.size) :]


def mean_and_error(errors: list[float]) -> tuple[float, float]:
    return float(np.mean(errors)), float(np.std(errors, ddof=1) / len(errors) ** 0.5)


def signed(one: Scan, name: str, pixels: Pixels) -> float:
    truth = one.truth[pixels]
    return float((getattr(one, name)[pixels] - truth).mean() / truth.mean())


def kept_apart(one: Scan) -> float:
    """Error of the later counts alone, at the pixels that the first plan chose by the first counts."""
    pixels = most(one.by_first_plan)
    expected = (one.truth * one.later_dwell)[pixels].sum()
    return float(one.later[pixels].sum() / expected - 1)


def over(policy: str, name: str, pick: str, part: object) -> tuple[float, float]:
    return mean_and_error([signed(one, name, part(getattr(one, pick))) for one in scans(policy)])  # type: ignore[operator]


@pytest.mark.parametrize(("policy", "at_least"), [("outlier", 0.08), ("variance", 0.004), ("gain", 0.004)])
def test_the_counts_that_chose_a_pixel_are_too_high(policy: str, at_least: float) -> None:
    mean, error = over(policy, "first", "by_first_plan", most)
    assert mean > at_least and mean > 2.5 * error


def test_a_uniform_rescan_chooses_nothing() -> None:
    mean, error = over("uniform", "first", "by_first_plan", most)
    assert abs(mean) < 3 * error + 1e-3


def test_the_mean_of_all_counts_is_biased_after_a_rescan_of_outliers() -> None:
    for part, low, high in ((most, 0.01, 0.06), (least, -0.3, -0.04)):
        mean, error = over("outlier", "naive", "by_dwell", part)
        assert low < mean < high and abs(mean) > 4 * error
    everywhere, error = mean_and_error([signed(one, "naive", one.by_dwell) for one in scans("outlier")])
    assert -0.1 < everywhere < -0.02  # bright outliers are diluted by later counts, dark pixels keep their own


def test_it_is_biased_a_little_after_a_rescan_by_sigma() -> None:
    mean, error = over("variance", "naive", "by_dwell", most)
    assert 0.002 < mean < 0.015 and mean > 3 * error


@pytest.mark.parametrize(("policy", "bound"), [("variance", 0.01), ("gain", 0.01), ("outlier", 0.03)])
@pytest.mark.parametrize("part", [most, least], ids=["most", "least"])
def test_the_restored_picture_is_hardly_biased(policy: str, bound: float, part: object) -> None:
    mean, error = over(policy, "restored", "by_dwell", part)
    assert abs(mean) < bound + 2 * error


@pytest.mark.parametrize("policy", ["outlier", "variance", "gain"])
def test_counts_kept_apart_from_those_that_chose_are_not_biased(policy: str) -> None:
    mean, error = mean_and_error([kept_apart(one) for one in scans(policy)])
    assert abs(mean) < 3 * error


if __name__ == "__main__":
    for name in ("uniform", "outlier", "variance", "gain"):
        figures = {
            "first counts at what the first plan chose": over(name, "first", "by_first_plan", most),
            "later counts there": mean_and_error([kept_apart(one) for one in scans(name)]),
            "all counts, most dwell": over(name, "naive", "by_dwell", most),
            "all counts, least dwell": over(name, "naive", "by_dwell", least),
            "restored, most dwell": over(name, "restored", "by_dwell", most),
            "restored, least dwell": over(name, "restored", "by_dwell", least),
        }
        for what, (mean, error) in figures.items():
            print(f"{name:10s} {what:42s} {100 * mean:+6.2f} ± {100 * error:.2f} %")
