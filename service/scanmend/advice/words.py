"""The verdict in plain words, and the table under it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Literal

from scanmend.advice.compare import Comparison, Outcome
from scanmend.advice.figures import Interval

WORTH_SAYING_DB = 0.1
"""Nobody sees a smaller difference, however sure it is."""

Standing = Literal["better", "worse", "tie", "no matter"]


def standing(gain_db: Interval) -> Standing:
    """What a difference is called: a tie where its interval includes 0, no matter where it is very small."""
    if gain_db.holds_zero:
        return "tie"
    if abs(gain_db.mean) < WORTH_SAYING_DB:
        return "no matter"
    return "better" if gain_db.mean > 0 else "worse"


def winner(comparison: Comparison) -> Outcome:
    """The strategy to take: the simplest that no other one beats beyond doubt; simpler ones come first."""
    base = comparison.base
    better = [outcome for outcome in comparison.feasible[1:] if standing(comparison.gain_db(outcome, base)) == "better"]
    best = max(better, key=lambda outcome: outcome.mean(lambda trial: trial.judged.psnr_db), default=base)
    return next((one for one in better if standing(comparison.gain_db(best, one)) != "better"), best)


def verdict(comparison: Comparison) -> list[str]:
    """Sentences, the most important first: who wins, the others, what a sparse scan buys, and what was left out."""
    return [*_who_wins(comparison), *_others(comparison), *_reminders(comparison)]


def number(value: float, digits: int = 3) -> str:
    """A figure with so many digits, and never with an exponent that a reader has to work out."""
    return f"{value:.{digits}g}" if 1e-4 < abs(value) < 10**digits else f"{value:.0f}" if value else "0"


def _dose(value: float) -> str:
    return f"{number(value, 4)} e/nm²"


def _db(gain: Interval, *, by: bool = False) -> str:
    """`0.4 dB (0.2 to 0.6)`; without its sign, turned where it is negative, with `by`."""
    if by and gain.mean < 0:
        gain = Interval(-gain.mean, -gain.high, -gain.low)
    digits = 1 if abs(gain.mean) >= 1 else 2
    mean, low, high = (_signed(value, digits) for value in (gain.mean, gain.low, gain.high))
    sign = "" if by or mean.startswith("−") else "+"
    return f"{sign}{mean} dB ({low} to {high})"


def _signed(value: float, digits: int) -> str:
    """With a minus that is as wide as a plus, and none before 0."""
    rounded = round(value, digits) + 0.0  # turns −0.0 into 0.0
    return f"{rounded:.{digits}f}".replace("-", "−")


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _error(outcome: Outcome) -> str:
    return f"{number(100 * outcome.mean(lambda trial: trial.judged.rmse_share))} %"


def _who_wins(comparison: Comparison) -> list[str]:
    question, base, best = comparison.question, comparison.base, winner(comparison)
    lines = []
    where = f"At {_dose(question.budget_e_per_nm2)}"
    if comparison.cut(best):
        spent = f"{best.title} spends {_dose(best.dose_e_per_nm2)} of the {_dose(question.budget_e_per_nm2)}"
        if question.time_s is not None:
            where = f"In {question.time_s:g} s"
            lines.append(f"The time is too short for the dose: in {question.time_s:g} s {spent}.")
        else:
            lines.append(f"Whole dwell times do not use the budget up: {spent}.")
    error = f"the error to expect is {_error(best)} of the picture's range"
    rivals = [outcome for outcome in comparison.feasible if outcome is not base]
    ties = [one for one in rivals if standing(comparison.gain_db(one, base)) in ("tie", "no matter")]
    if best is not base:
        gain = _db(comparison.gain_db(best, base), by=True)
        lines.insert(
            0, f"{where} {best.title} wins: it gains {gain} over {base.title}; {error}, rather than {_error(base)}."
        )
    elif not rivals:
        lines.insert(0, f"{where} only {base.title} fits; {error}.")
    elif ties:
        simplest = ", which is the simplest" if base.name == "dense" else ""
        lines.insert(0, f"{where} nothing is clearly better than {base.title}{simplest}; {error}.")
    else:
        lines.insert(0, f"{where} {base.title} wins; {error}.")
    return lines


def _others(comparison: Comparison) -> list[str]:
    base, best = comparison.base, winner(comparison)
    lines = []
    for outcome in comparison.outcomes:
        if outcome in (base, best):
            continue
        title = _capital(outcome.title)
        if not outcome.feasible:
            lines.append(f"{title} is not feasible. {outcome.reason}")
            continue
        gain = comparison.gain_db(outcome, base)
        match standing(gain):
            case "better":
                level = standing(comparison.gain_db(outcome, best))
                alike = ", which is level with the winner" if level in ("tie", "no matter") else ""
                lines.append(f"{title} gains {_db(gain, by=True)} over {base.title}{alike}.")
            case "worse":
                lines.append(f"{title} is {_db(gain, by=True)} worse than {base.title}.")
            case "tie":
                lines.append(f"{title} ties with {base.title}: {_db(gain)}.")
            case "no matter":
                lines.append(f"{title} differs from {base.title} by {_db(gain)}, too little to matter.")
    return lines


def _reminders(comparison: Comparison) -> list[str]:
    """What single pixels get, and what a sparse scan is good for."""
    lines = []
    best = winner(comparison)
    dense = next((outcome for outcome in comparison.feasible if outcome.name == "dense"), None)
    if best.dose_max_e_per_nm2 > 1.5 * comparison.question.budget_e_per_nm2:
        instead = " Where no place may have more than the budget, scan evenly." if dense is not None else ""
        lines.append(
            f"The budget is a mean over the field: with {best.title}, single pixels get up to "
            f"{_dose(best.dose_max_e_per_nm2)}.{instead}"
        )
    sparse = [outcome for outcome in comparison.feasible if outcome.name.startswith("sparse")]
    for outcome in sparse:
        visited = outcome.mean(lambda trial: trial.coverage)
        if outcome.coverage is not None and visited < 0.95 * outcome.coverage:
            lack = "time" if comparison.question.time_s is not None and comparison.cut(outcome) else "dose"
            lines.append(f"For lack of {lack}, {outcome.title} has become one of {number(100 * visited, 2)} % of them.")
    if not sparse:
        return lines
    if dense is None:
        return [
            *lines,
            "A sparse scan buys time, not dose; here it fits where a raster does not.",
        ]
    if best not in sparse:
        most = max(sparse, key=lambda outcome: outcome.dose_max_e_per_nm2)
        times = most.dose_max_e_per_nm2 / dense.dose_max_e_per_nm2
        lines.append(
            "A sparse scan buys neither dose nor dose rate: with the same electrons it saves no beam time, "
            f"and the pixels that it visits get up to {times:.0f} times as many each. It is quicker only with the "
            "raster's dwell at fewer pixels, which is a lower dose too, and a worse picture."
        )
    return lines


def specimens(comparison: Comparison, *, drawn: bool, kinds_named: bool) -> list[str]:
    """What the figures are for, and by how much they differ between kinds.

    Args:
        comparison: The figures.
        drawn: Whether the pictures were drawn by the simulator, and are none of the user's.
        kinds_named: Whether the user chose the kind.
    """
    if not drawn:
        return [
            "The figures are for the picture that was given, taken as the truth: noise in it counts as structure, and "
            "what is true of it is true of your sample as far as the two are alike."
        ]
    kinds = list(dict.fromkeys(comparison.groups))
    text = f"The figures are for drawn specimens ({', '.join(kinds)}), not for your sample."
    if len(kinds) > 1:
        told = ", ".join(filter(None, (_by_kind(comparison, prefix) for prefix in ("adaptive", "sparse"))))
        text += f" Kinds differ: against {comparison.base.title}, {told}." if told else ""
    how = "--image FILE" if kinds_named else "--specimen NAME, or better --image FILE"
    return [f"{text} For your own, give {how}."]


def _by_kind(comparison: Comparison, prefix: str) -> str:
    rivals = [one for one in comparison.feasible if one.name.startswith(prefix) and one is not comparison.base]
    if not rivals:
        return ""
    best = max(rivals, key=lambda outcome: outcome.mean(lambda trial: trial.judged.psnr_db))
    gains = sorted(comparison.gain_by_group(best, comparison.base).items(), key=lambda item: item[1])
    (worst_kind, worst), (best_kind, most) = gains[0], gains[-1]
    low, high = (text if text.startswith("−") else f"+{text}" for text in (_signed(worst, 2), _signed(most, 2)))
    return f"{best.title} stands at {low} dB ({worst_kind}) to {high} dB ({best_kind})"


def table(comparison: Comparison) -> str:
    """A line a strategy."""
    rows = [("", "dose", "most a px", "time", "sampled", "error", "model's sigma", "PSNR", "against")]
    rows.append(("", "e/nm²", "e/nm²", "s", "%", "% of range", "% of range", "dB", comparison.base.name))
    for outcome in comparison.outcomes:
        if not outcome.feasible:
            rows.append((outcome.name, "not feasible", "", "", "", "", "", "", ""))
            continue
        error = comparison.of(outcome, lambda trial: 100 * trial.judged.rmse_share)
        psnr = comparison.of(outcome, lambda trial: trial.judged.psnr_db)
        gain = "" if outcome is comparison.base else _db(comparison.gain_db(outcome, comparison.base))
        rows.append(
            (
                outcome.name,
                number(outcome.dose_e_per_nm2, 4) + ("*" if comparison.cut(outcome) else ""),
                number(outcome.dose_max_e_per_nm2, 4),
                number(outcome.time_s),
                f"{100 * outcome.mean(lambda trial: trial.coverage):.0f}",
                f"{error.mean:.1f} ({error.low:.1f} to {error.high:.1f})",
                f"{100 * outcome.mean(lambda trial: trial.judged.sigma_share):.1f}",
                f"{psnr.mean:.1f} ({psnr.low:.1f} to {psnr.high:.1f})",
                gain,
            )
        )
    return _aligned(rows)


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[column]) for row in rows if row[1] != "not feasible") for column in range(len(rows[0]))]
    widths[0] = max(len(row[0]) for row in rows)
    lines = []
    for row in rows:
        first = row[0].ljust(widths[0])
        if row[1] == "not feasible":
            lines.append(f"{first}  not feasible")
        else:
            cells = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
            lines.append("  ".join([first, *cells]).rstrip())
    return "\n".join(lines)


def strategies_json(comparison: Comparison) -> list[dict[str, Any]]:
    """The figures for programs, an object a strategy; see `docs/adviser.md`."""
    rows: list[dict[str, Any]] = []
    base = comparison.base
    for outcome in comparison.outcomes:
        row: dict[str, Any] = {"name": outcome.name, "feasible": outcome.feasible, "reason": outcome.reason}
        row["needs_s"] = outcome.needs_s
        figures: dict[str, Any] | None = None
        if outcome.feasible:
            gain = None if outcome is base else comparison.gain_db(outcome, base)
            figures = {
                "dose_e_per_nm2": outcome.dose_e_per_nm2,
                "dose_max_e_per_nm2": outcome.dose_max_e_per_nm2,
                "whole_budget": not comparison.cut(outcome),
                "time_s": outcome.time_s,
                "passes": outcome.passes,
                "coverage": outcome.mean(lambda trial: trial.coverage),
                "dwell_ns": outcome.mean(lambda trial: trial.dwell_ns),
                "rmse_share": asdict(comparison.of(outcome, lambda trial: trial.judged.rmse_share)),
                "psnr_db": asdict(comparison.of(outcome, lambda trial: trial.judged.psnr_db)),
                "sigma_share": outcome.mean(lambda trial: trial.judged.sigma_share),
                "gain_db": None if gain is None else asdict(gain),
                "standing": "base" if gain is None else standing(gain),
                "gain_db_by_kind": {} if gain is None else comparison.gain_by_group(outcome, base),
                "caution": outcome.caution,
            }
        rows.append({**row, "figures": figures})
    return rows
