"""What the rescan benchmark found: paired differences to uniform passes of the same dose, with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from scanmend.bench.rescan import EXTRA_PASSES, ONE_SHOT, TWICE, UNIFORM, Judged
from scanmend_models.quality.bootstrap import paired

EMPTINESS = ((0.0, 0.2, "0 to 20 %"), (0.2, 0.5, "20 to 50 %"), (0.5, 0.8, "50 to 80 %"), (0.8, 1.1, "80 to 100 %"))
"""Pictures are told apart by how much of them is empty, since the gain depends on it."""

Key = tuple[str, int, float, int, str]


def results(judged: Sequence[Judged]) -> list[dict[str, object]]:
    """Paired differences to uniform by policy, dose and passes, with intervals over sources."""
    rows: list[dict[str, object]] = []
    by_key = {(one.picture, one.seed, one.counts_per_px, one.passes, one.policy): one for one in judged}
    for policy in dict.fromkeys(one.policy for one in judged):
        for counts in dict.fromkeys(one.counts_per_px for one in judged):
            for passes in EXTRA_PASSES:
                mine = [o for o in judged if (o.policy, o.counts_per_px, o.passes) == (policy, counts, passes)]
                if policy != UNIFORM and mine:
                    rows.append({"policy": policy, "counts_per_px": counts, "passes": passes, **_gain(mine, by_key)})
    return rows


def _gain(mine: Sequence[Judged], by_key: Mapping[Key, Judged]) -> dict[str, object]:
    """Means over pictures of what a policy gains; each picture's draws of the noise are averaged first."""

    def beside(one: Judged, policy: str) -> Mapping[str, float] | None:
        found = by_key.get((one.picture, one.seed, one.counts_per_px, one.passes, policy))
        return None if found is None else found.scores

    gains: dict[str, list[float]] = {}
    oracle: list[float] = []
    twice: list[float] = []
    ssim, rmse = [], []
    for one in mine:
        uniform = beside(one, UNIFORM)
        if uniform is None:
            continue
        gains.setdefault(one.picture, []).append(one.scores["psnr_db"] - uniform["psnr_db"])
        ssim.append(one.scores["ssim"] - uniform["ssim"])
        rmse.append(np.log(one.scores["rmse_percent"] / uniform["rmse_percent"]))
        for other, collected in ((ONE_SHOT, oracle), (TWICE, twice)):
            scores = beside(one, other)
            if scores is not None:
                collected.append(scores["psnr_db"] - uniform["psnr_db"])
    about = {one.picture: one for one in mine}
    by_picture = {name: float(np.mean(values)) for name, values in gains.items()}
    interval = paired(list(by_picture.values()), [about[name].group for name in by_picture])
    doubling = float(np.mean(twice))
    return {
        "gain_db_mean": round(interval.mean, 4),
        "gain_db_low": round(interval.by_group[0], 4),
        "gain_db_high": round(interval.by_group[1], 4),
        "worst_db": round(min(by_picture.values()), 4),
        "of_oracle": round(interval.mean / float(np.mean(oracle)), 3) if oracle else None,
        # What uniform gains by doubling its dose sets the scale: decibels are nearly linear in the logarithm of dose.
        "dose_saving": round(2 ** (interval.mean / doubling), 3) if doubling > 0 else None,
        "ssim_gain": round(float(np.mean(ssim)), 4),
        "rmse_ratio": round(float(np.exp(np.mean(rmse))), 4),
        "by_kind_db": _means({name: about[name].kind for name in by_picture}, by_picture),
        "by_emptiness_db": _means({name: _emptiness(about[name]) for name in by_picture}, by_picture),
        "pictures": len(by_picture),
    }


def _means(of: Mapping[str, str], gains: Mapping[str, float]) -> dict[str, float]:
    sorted_out: dict[str, list[float]] = {}
    for name, gain in gains.items():
        sorted_out.setdefault(of[name], []).append(gain)
    return {kind: round(float(np.mean(values)), 4) for kind, values in sorted(sorted_out.items())}


def _emptiness(one: Judged) -> str:
    return next(name for low, high, name in EMPTINESS if low <= one.empty_share < high)
