"""The watch over the specimen: silent where nothing changes, whatever chose the dwell, and sure of what does change.

`python test_watch.py 400` prints how often it is wrong over that many sessions of each kind.
"""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest

from scanmend import Restorer
from scanmend.bench.rescan import DWELL_NS, Bench, Exposed
from scanmend.rescan import POLICIES, Focused
from scanmend.rescan.dwells import thresholds
from scanmend.rescan.watch import CERTAIN, GROUPS, Change, SpecimenWatch
from scanmend_models.data.pictures import draw
from scanmend_sim.damage import Damage

KINDS = ("nanoparticles", "cells", "leaves", "porous")
BENCH = Bench(Restorer.load("pushpull", threads=1), {})


def session(
    policy: str,
    *,
    number: int = 0,
    counts: float = 2.0,
    side_px: int = 96,
    coverage: float = 1.0,
    damage: Damage | None = None,
    shift_px: tuple[int, int] = (0, 0),
    passes: int = 4,
) -> list[Change | None]:
    """What the watch says after each later pass of a drawn specimen, which may fade, or move after the first pass."""
    rng = np.random.default_rng([number, 7])
    truth = (0.05 + 0.95 * draw(10**15 + 9000 + number, (side_px, side_px), KINDS[number % 4])).astype(np.float32)
    exposed = Exposed.once(truth, counts, rng, damage)
    if coverage < 1:
        left_out = rng.random(truth.shape) >= coverage
        exposed.electrons[left_out] = exposed.dwell_ns[left_out] = 0
    watch, said = SpecimenWatch(truth.shape), []
    restored = BENCH.restore(exposed)
    watch.take(exposed.electrons.astype(np.float64), exposed.dwell_ns.astype(np.float64))
    exposed = replace(exposed, truth=np.roll(truth, shift_px, (0, 1)))
    for done in range(1, passes):
        watch.look(restored[0])
        exposed.scan(BENCH.planned(POLICIES[policy], exposed, restored, done), rng)
        restored = BENCH.restore(exposed)
        said.append(watch.take(exposed.electrons.astype(np.float64), exposed.dwell_ns.astype(np.float64)))
    return said


def in_errors(change: Change | None) -> float:
    assert change is not None
    return change.fall / change.fall_error


@pytest.mark.parametrize("policy", ["gain", "variance", "uniform"])
def test_without_change_it_is_silent_and_its_errors_are_what_it_says(policy: str) -> None:
    """One error of 4.5 in 30,000 looks: what shows here is whether the errors are of the size that they claim."""
    off, said = [], []
    for number in range(12):
        found = session(
            policy, number=number, side_px=64, counts=(2.0, 20.0)[number % 2], coverage=(1.0, 0.3)[number // 2 % 2]
        )
        off.append(in_errors(found[-1]))
        said += [one.text for one in found if one is not None and one.text]
    assert not said
    assert 0.5 < float(np.std(off)) < 1.7 and abs(float(np.mean(off))) < 1.1 and max(map(abs, off)) < CERTAIN


@pytest.mark.parametrize("number", range(2))
def test_after_a_plan_that_leaves_pixels_out_by_their_counts_it_says_nothing(number: int) -> None:
    assert session("outlier", number=number, passes=3) == [None, None]


@pytest.mark.parametrize("policy", ["gain", "variance", "uniform"])
@pytest.mark.parametrize("hits", ["all", "bright"])
def test_a_critical_dose_of_eight_passes_is_seen_by_the_third(policy: str, hits: str) -> None:
    damage = Damage(critical_dose_e_per_nm2=8, hits=hits)  # type: ignore[arg-type]
    for number in range(2):
        found = session(policy, number=number, damage=damage, passes=3)[-1]
        assert found is not None and found.kind == "fades" and not found.moves
        if hits == "all":  # 1 - exp(-1 / 8) is 0.1175
            assert found.fall == pytest.approx(0.1175, abs=4 * found.fall_error + 0.005)
        assert f"falls by {100 * found.fall:.0f}" in found.text or found.fall_error < 0.005


def test_a_movement_is_told_from_fading() -> None:
    for number in range(2):
        found = session("gain", number=number, counts=10.0, shift_px=(0, 1), passes=3)[-1]
        assert found is not None and found.kind == "moves" and "moved by about" in found.text
        y, x = found.moved_px
        assert 0.4 < x < 1.6 and abs(y) < 0.4 and abs(found.fall) < CERTAIN * found.fall_error


def scanned(watch: SpecimenWatch, rate: np.ndarray, dwell_ns: np.ndarray, total: list[np.ndarray]) -> Change | None:
    total[0] = total[0] + np.random.default_rng(int(total[0].sum())).poisson(rate * dwell_ns / DWELL_NS)
    total[1] = total[1] + dwell_ns
    return watch.take(total[0], total[1])


def start(shape: tuple[int, int]) -> list[np.ndarray]:
    return [np.zeros(shape), np.zeros(shape)]


def test_a_growing_signal_is_named_and_does_not_pass_for_fading() -> None:
    shape, total = (128, 128), start((128, 128))
    watch, even = SpecimenWatch(shape), np.full(shape, float(DWELL_NS))
    scanned(watch, np.full(shape, 10.0), even, total)
    found = scanned(watch, np.full(shape, 11.0), even, total)
    assert found is not None and found.kind == "grows" and "grows by 10" in found.text


def test_dwell_that_follows_the_counts_makes_no_fading() -> None:
    """Pixels whose first count was high are dwelt on long: the mean of all counts falls there, and nothing fades."""
    shape, total = (256, 256), start((256, 256))
    watch, rate = SpecimenWatch(shape), np.full((256, 256), 2.0)
    scanned(watch, rate, np.full(shape, float(DWELL_NS)), total)
    for _ in range(3):
        chosen = np.where(total[0] > 1.5 * total[1] / DWELL_NS * 2.0, 4.0, 0.3) * DWELL_NS
        before = total[0][chosen > DWELL_NS].sum() / total[1][chosen > DWELL_NS].sum() * DWELL_NS
        found = scanned(watch, rate, chosen, total)
        assert before > 2.2  # the luck by which they were chosen
        assert found is not None and not found.text and abs(in_errors(found)) < 4


def test_a_dithered_plan_is_judged_by_the_pixels_that_it_visits_in_any_case() -> None:
    side_px, rng = 160, np.random.default_rng(0)
    truth = (0.05 + 0.95 * draw(10**15 + 9001, (side_px, side_px), "cells")).astype(np.float32)
    for damage in (None, Damage(critical_dose_e_per_nm2=4)):
        exposed = Exposed.once(truth, 10.0, rng, damage)
        watch = SpecimenWatch(truth.shape)
        for done in range(1, 4):
            change = watch.take(exposed.electrons.astype(np.float64), exposed.dwell_ns.astype(np.float64))
            dwell = BENCH.planned(POLICIES["variance"], exposed, BENCH.restore(exposed), done)
            # An instrument that dwells for a pass or not at all: where less is wanted, some pixels are left out.
            order = thresholds(dwell.shape)
            exposed.scan(np.where(dwell >= DWELL_NS, dwell, np.where(dwell > order * DWELL_NS, DWELL_NS, 0)), rng)
        assert change is not None and change.kind == ("" if damage is None else "fades")


def test_a_region_that_was_named_before_is_watched_alone() -> None:
    shape, total, region = (128, 128), start((128, 128)), (32, 32, 48, 48)
    watch, inside = SpecimenWatch(shape, Focused.reach(region)), np.zeros(shape)
    inside[28:84, 28:84] = DWELL_NS
    scanned(watch, np.full(shape, 20.0), np.full(shape, float(DWELL_NS)), total)
    assert scanned(watch, np.full(shape, 20.0), inside, total) is None  # 4 px of the margin were left out
    inside[24:88, 24:88] = DWELL_NS
    found = scanned(watch, np.full(shape, 16.0), inside, total)
    assert found is not None and found.fades


def test_too_few_pixels_and_no_dwell_say_nothing() -> None:
    for shape in ((1, 1), (16, 32), (31, 33)):
        watch, total = SpecimenWatch(shape), start(shape)
        for _ in range(3):
            watch.look(np.ones(shape, np.float32))
            assert scanned(watch, np.full(shape, 20.0), np.full(shape, float(DWELL_NS)), total) is None
    watch, total = SpecimenWatch((64, 64)), start((64, 64))
    assert watch.take(total[0], total[1]) is None and watch.take(total[0], total[1]) is None


def test_a_field_without_signal_is_no_fading_one() -> None:
    shape, total = (64, 64), start((64, 64))
    watch = SpecimenWatch(shape)
    for _ in range(3):
        watch.look(np.zeros(shape, np.float32))
        found = scanned(watch, np.zeros(shape), np.full(shape, float(DWELL_NS)), total)
    assert found is not None and found.text == ""


def test_lost_pixels_are_borne_and_a_few_groups_are_enough() -> None:
    shape, total = (160, 160), start((160, 160))
    watch, dwell = SpecimenWatch(shape), np.full((160, 160), float(DWELL_NS))
    scanned(watch, np.full(shape, 10.0), dwell, total)
    dwell[7, 3:20] = 0
    found = scanned(watch, np.full(shape, 9.0), dwell, total)
    assert found is not None and found.fades and GROUPS == 64


if __name__ == "__main__":
    count = int(sys.argv[1])
    for name in ("gain", "variance", "uniform", "outlier"):
        for level in (2.0, 20.0):
            for share in (1.0, 0.25):
                all_said = [session(name, number=n, counts=level, coverage=share) for n in range(count)]
                alarms = sum(any(one is not None and one.text for one in said) for said in all_said)
                falls = [in_errors(said[-1]) for said in all_said if said[-1] is not None]
                spread = f"{np.mean(falls):+.2f} ± {np.std(falls):.2f} errors" if falls else "not judged"
                print(
                    f"{name:9s} {level:4g} counts, coverage {share:g}: {alarms} of {count} alarm, {spread}", flush=True
                )
