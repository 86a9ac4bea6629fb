"""Writes docs/quality.md: tables from the figures, a picture of drawn specimens; what people wrote stays as it is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from scanmend_models.data.pictures import draw
from scanmend_models.quality.bootstrap import paired
from scanmend_models.quality.evaluation import Contender, Row, differences, means
from scanmend_models.quality.lattices import LatticeScore
from scanmend_models.quality.tasks import Table, Task, tasks

Picture = NDArray[np.float32]

BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"
"""What stands between is made anew; everything else in the file is kept."""

BARS: dict[str, Sequence[str]] = {
    "jittered grid 1/20": ("biharmonic",),
    "random 25 %": ("biharmonic", "plug-and-play"),
    "spiral 1/20": ("linear",),
    "jittered grid 1/100": ("biharmonic",),
    "2 counts a pixel": ("non-local means", "total variation", "wavelet"),
    "5 counts a pixel": ("non-local means", "total variation", "wavelet"),
    "20 counts a pixel": ("non-local means", "total variation", "wavelet"),
}
"""What a learned model is compared with; of several the one with the best mean."""

SHOWN = (
    ("nanoparticles", 11, "jittered grid 1/20"),
    ("cells", 3, "spiral 1/20"),
    ("lattice", 5, "2 counts a pixel"),
)
SIDE_PX = 192
COLUMNS = ("raw", "restored", "confidence", "truth", "error")


def comparisons(rows: Sequence[Row], learned: Sequence[str]) -> list[dict[str, object]]:
    """Paired differences in PSNR of every learned model and push-pull to the bars of every task."""
    found: list[dict[str, object]] = []
    for task, bars in BARS.items():
        for method in (*learned, "pushpull"):
            gained, groups = differences(rows, task, method, bars)
            if gained:
                one = paired(gained, groups)
                found.append(
                    {
                        "task": task,
                        "method": method,
                        "bars": list(bars),
                        "mean_db": one.mean,
                        "by_picture_db": one.by_picture,
                        "by_group_db": one.by_group,
                        "worst_db": min(gained),
                        "won": sum(difference > 0 for difference in gained),
                        "pictures": len(gained),
                    }
                )
    return found


def figures(rows: Sequence[Row], lattices: Sequence[LatticeScore], learned: Sequence[str]) -> str:
    """The part of the document that follows from the figures."""
    mean = means(rows)
    pictures, groups = len({row.picture for row in rows}), len({row.group for row in rows})
    seeds = len({row.seed for row in rows})
    table_of = {row.task: row.table for row in rows}
    lines = [
        f"{pictures} pictures of {groups} sources, {seeds} draw{'s' if seeds > 1 else ''} of masks and noise each; "
        "means over all. PSNR in dB for a range of 1.",
        "",
    ]
    for table, title in (
        (Table.SPARSE, "Sparse scans without noise"),
        (Table.DOSE, "All pixels, few electrons"),
    ):
        names = [name for name in mean if table_of[name] is table]
        lines += [f"### {title}", "", *_psnr_table(mean, names), ""]
    lines += ["### The same dose", "", *_equal_dose(mean), ""]
    lines += ["### Against the bars", "", *_comparison_table(rows, learned), ""]
    lines += ["### How sure", "", *_sigma_table(mean, [*learned, "pushpull"]), ""]
    lines += ["### Lattices", "", *_lattice_table(lattices), ""]
    return "\n".join(lines)


def _psnr_table(mean: dict[str, dict[str, dict[str, float]]], names: list[str]) -> list[str]:
    methods = list(dict.fromkeys(method for name in names for method in mean[name]))
    lines = ["| method | " + " | ".join(names) + " | ms |", "|---" * (len(names) + 2) + "|"]
    for method in methods:
        cells = []
        for name in names:
            scores = mean[name].get(method)
            if scores is None:
                cells.append("")
                continue
            cells.append(
                f"{scores['psnr_db']:.2f} / {scores['ssim']:.3f} / {scores['rmse_percent']:.2f} "
                f"/ {scores['rmse_blurred_percent']:.2f}"
            )
        times = [mean[name][method]["elapsed_ms"] for name in names if "elapsed_ms" in mean[name].get(method, ())]
        lines.append(f"| {method} | " + " | ".join(cells) + f" | {f'{np.median(times):.0f}' if times else ''} |")
    head = (
        "PSNR / SSIM / RMSE in % of the range / RMSE in % against a blurred truth. The time of a frame is what it was "
        "on a machine that may have had other work; `scanmend models bench` measures it properly."
    )
    return [head, "", *lines]


def _equal_dose(mean: dict[str, dict[str, dict[str, float]]]) -> list[str]:
    sparse = next(name for name in mean if "times the dwell" in name)
    lines = [f"| model | 5 counts a pixel, all pixels | {sparse}, same dose |", "|---|---|---|"]
    for method, scores in mean[sparse].items():
        full = mean["5 counts a pixel"][method]
        lines.append(f"| {method} | {full['psnr_db']:.2f} | {scores['psnr_db']:.2f} |")
    return lines


def _comparison_table(rows: Sequence[Row], learned: Sequence[str]) -> list[str]:
    lines = [
        "Difference in PSNR, picture by picture; 95 % intervals from drawing pictures, and whole sources, anew.",
        "",
        "| task | model | over the best of | mean | by pictures | by sources | worst picture | won |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for one in comparisons(rows, learned):
        by_picture, by_group = one["by_picture_db"], one["by_group_db"]
        lines.append(
            f"| {one['task']} | {one['method']} | {', '.join(one['bars'])} | {one['mean_db']:+.2f} "  # type: ignore[arg-type]
            f"| {by_picture[0]:+.2f} … {by_picture[1]:+.2f} | {by_group[0]:+.2f} … {by_group[1]:+.2f} "  # type: ignore[index]
            f"| {one['worst_db']:+.2f} | {one['won']} of {one['pictures']} |"
        )
    return lines


def _sigma_table(mean: dict[str, dict[str, dict[str, float]]], methods: Sequence[str]) -> list[str]:
    lines = [
        "Share of pixels within the nominal intervals; area under the sparsification error (AUSE, 0 is perfect) of the "
        "errors that the model itself makes, ranked by its own sigma, by push-pull's sigma, and by the distance to the "
        "nearest sample; median milliseconds a frame.",
        "",
        "| task | model | 68 % | 90 % | 95 % | AUSE | by push-pull's sigma | by distance | ms |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for task, by_method in mean.items():
        for method in methods:
            scores = by_method.get(method)
            if scores is None or "within_68" not in scores:
                continue
            inside = " | ".join(f"{100 * scores[f'within_{name}']:.1f}" for name in ("68", "90", "95"))
            others = (f"{scores[name]:.3f}" if name in scores else "" for name in ("ause_classical", "ause_distance"))
            lines.append(
                f"| {task} | {method} | {inside} | {scores['ause']:.3f} | {' | '.join(others)} "
                f"| {scores['elapsed_ms']:.0f} |"
            )
    return lines


def _lattice_table(lattices: Sequence[LatticeScore]) -> list[str]:
    lines = [
        "Drawn oxide crystals, 25 pm a pixel: where columns are found in the answer against where in the truth, "
        "vacancies of the truth that the answer fills in, and whole columns that it shows as vacant.",
        "",
        "| exposure | model | position, pm | vacancies filled in | whole columns shown as vacant |",
        "|---|---|---|---|---|",
    ]
    for one in lattices:
        lines.append(
            f"| {one.task} | {one.method} | {one.position_pm:.1f} | {100 * one.filled_in:.0f} % of {one.vacancies} "
            f"| {100 * one.invented:.1f} % of {one.columns} |"
        )
    return lines


def write(path: Path, text: str, contender: Contender) -> None:
    """Put the figures into the document, and the picture beside it.

    Args:
        path: The document; made where there is none.
        text: What `figures` gave.
        contender: The model that the picture shows.
    """
    before = path.read_text(encoding="utf-8") if path.exists() else f"# Quality\n\n{BEGIN}\n{END}\n"
    if BEGIN not in before or END not in before:
        before += f"\n{BEGIN}\n{END}\n"
    head, tail = before.split(BEGIN)[0], before.split(END)[1]
    picture = path.with_suffix(".png")
    words = f"![raw, restored, confidence, truth and error of three drawn specimens]({picture.name})\n\n"
    words += f"Drawn specimens, restored by {contender.name}: " + "; ".join(
        f"{kind}, {task}" for kind, _, task in SHOWN
    )
    words += ". Confidence: bright is unsure; error: bright is wrong; both on one scale within a row."
    path.write_text(f"{head}{BEGIN}\n{text}\n{words}\n{END}{tail}", encoding="utf-8")
    sheet(contender).save(picture, optimize=True)


def sheet(contender: Contender) -> Image.Image:
    """Draw raw, restored, confidence, truth and error of `SHOWN`, a row each."""
    gap, head = 6, 18
    size = (len(COLUMNS) * (SIDE_PX + gap) - gap, len(SHOWN) * (SIDE_PX + gap) - gap + head)
    page = Image.new("L", size, 255)
    pen = ImageDraw.Draw(page)
    for column, name in enumerate(COLUMNS):
        pen.text((column * (SIDE_PX + gap) + 4, 3), name, fill=0)
    for row, (kind, seed, wanted) in enumerate(SHOWN):
        truth = draw(seed, (SIDE_PX, SIDE_PX), kind)
        task = next(task for task in tasks(truth, seed) if task.name == wanted)
        for column, picture in enumerate(_panels(task, contender)):
            grey = Image.fromarray((255 * np.clip(picture, 0, 1)).astype(np.uint8))
            page.paste(grey, (column * (SIDE_PX + gap), row * (SIDE_PX + gap) + head))
    return page


def _panels(task: Task, contender: Contender) -> list[Picture]:
    answer = contender.run(task.asked)
    estimate, sigma = answer["estimate"][0, 0], answer["sigma"][0, 0]
    error = np.abs(estimate - task.truth)
    top = max(float(np.percentile(np.concatenate([sigma.ravel(), error.ravel()]), 99)), 1e-6)
    return [task.asked["values"][0, 0], estimate, sigma / top, task.truth, error / top]
