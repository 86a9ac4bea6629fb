"""The figures of the rescan benchmark as tables of `docs/rescan.md`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"
"""What stands between is made anew; everything else in the file is kept."""


def tables(
    found: Sequence[dict[str, Any]], *, model: str, pictures: int, seeds: int, critical_passes: float | None = None
) -> str:
    """Give the tables, as Markdown.

    Args:
        found: What `results` gave.
        model: The restorer behind every policy.
        pictures: How many.
        seeds: Draws of the noise for each.
        critical_passes: Passes after which the specimens had faded to 1/e, if they did.
    """
    fading = "" if critical_passes is None else f" The specimens fade to 1/e in {critical_passes:g} passes."
    lines = [
        f"{pictures} pictures, {seeds} draw{'s' if seeds > 1 else ''} of the noise each, restored by `{model}`. "
        "PSNR over that of uniform passes of the same dose, intervals of 95 % from drawing whole sources anew; SSIM "
        "over theirs, and RMSE as a share of theirs; the oracle is the one-shot one." + fading,
    ]
    for counts in sorted({row["counts_per_px"] for row in found}):
        for passes in sorted({row["passes"] for row in found}):
            lines += ["", f"### {counts:g} counts a pixel and pass, {passes} more pass{'es' if passes > 1 else ''}", ""]
            lines += ["| policy | gain, dB | interval | worst picture | of the oracle | dose saved | SSIM | RMSE |"]
            lines += ["|---|---|---|---|---|---|---|---|"]
            for row in found:
                if (row["counts_per_px"], row["passes"]) == (counts, passes):
                    saving = f"× {row['dose_saving']:.2f}" if row["dose_saving"] else ""
                    of_oracle = "" if row["of_oracle"] is None else f"{row['of_oracle']:.2f}"
                    lines.append(
                        f"| {row['policy']} | {row['gain_db_mean']:+.2f} "
                        f"| {row['gain_db_low']:+.2f} … {row['gain_db_high']:+.2f} | {row['worst_db']:+.2f} "
                        f"| {of_oracle} | {saving} | {row['ssim_gain']:+.3f} | × {row['rmse_ratio']:.3f} |"
                    )
    lines += ["", *_apart(found, "By kind of specimen", "by_kind_db")]
    lines += ["", *_apart(found, "By how much of the field is empty", "by_emptiness_db")]
    return "\n".join(lines)


def _apart(found: Sequence[dict[str, Any]], heading: str, key: str) -> list[str]:
    """The table of the lowest dose and the most passes, with the pictures told apart."""
    kinds = list(dict.fromkeys(kind for row in found for kind in row[key]))
    counts, passes = min(row["counts_per_px"] for row in found), max(row["passes"] for row in found)
    lines = [f"### {heading}: {counts:g} counts, {passes} more passes, dB", ""]
    lines += ["| policy | " + " | ".join(kinds) + " |", "|---" * (len(kinds) + 1) + "|"]
    for row in found:
        if (row["counts_per_px"], row["passes"]) == (counts, passes):
            cells = " | ".join(f"{row[key][kind]:+.2f}" if kind in row[key] else "" for kind in kinds)
            lines.append(f"| {row['policy']} | {cells} |")
    return lines


def write(path: Path, text: str) -> None:
    """Put the figures into the document; it is made where there is none."""
    before = path.read_text(encoding="utf-8") if path.exists() else f"# Rescans\n\n{BEGIN}\n{END}\n"
    if BEGIN not in before or END not in before:
        before += f"\n{BEGIN}\n{END}\n"
    head, tail = before.split(BEGIN)[0], before.split(END)[1]
    path.write_text(f"{head}{BEGIN}\n{text}\n{END}{tail}", encoding="utf-8")
