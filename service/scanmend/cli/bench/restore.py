"""`scanmend bench restore`: how good the models are, beside classical methods on the same samples."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from scanmend.cli.bench.shared import add_json, add_threads, say

HELP = "how good the models are, beside classical methods on the same samples"

CLASSICAL = "pushpull"
"""Whose sigma the trained models' own is compared with."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the options."""
    parser.add_argument("--images", type=Path, required=True, help="folder of pictures that are taken as the truth")
    parser.add_argument("--models", nargs="+", help="models to measure; all but identity by default")
    parser.add_argument("--pictures", type=int, help="at most so many pictures")
    parser.add_argument("--seeds", type=int, default=3, help="draws of masks and noise for each picture")
    add_threads(parser, 2)
    parser.add_argument("--cache", type=Path, help="file that keeps what was measured, for the next run")
    parser.add_argument("--docs", type=Path, help="write the tables and a picture into this document")
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run it and print its table."""
    # Slow imports, and extras that only this command needs.
    from scanmend.bench.restore import contenders
    from scanmend_models.quality.document import comparisons, figures, write
    from scanmend_models.quality.evaluation import Cache, evaluate, means
    from scanmend_models.quality.lattices import lattice_test
    from scanmend_models.quality.truths import read_truths

    threads = arguments.threads
    models = contenders(arguments.models, threads)
    learned = [one.name for one in models if one.learned]
    best = models[0]
    rows = evaluate(
        read_truths(arguments.images, arguments.pictures),
        models,
        seeds=arguments.seeds,
        cache=Cache(arguments.cache),
        denoiser=best,
        classical=next((one for one in models if one.name == CLASSICAL), None) or contenders([CLASSICAL], threads)[0],
        report=say,
    )
    lattices = lattice_test(models)
    text = figures(rows, lattices, learned)
    if arguments.docs:
        write(arguments.docs, text, best)
    if arguments.json:
        found = {
            "pictures": len({row.picture for row in rows}),
            "groups": len({row.group for row in rows}),
            "seeds": arguments.seeds,
            "models": {one.name: one.sha256 for one in models},
            "tasks": means(rows),
            "comparisons": comparisons(rows, learned),
            "lattices": [{name: getattr(one, name) for name in one.__slots__} for one in lattices],
        }
        print(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        print(text)
    return 0
