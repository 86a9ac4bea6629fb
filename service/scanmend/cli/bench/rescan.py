"""`scanmend bench rescan`: rescan policies against a uniform pass of the same dose."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from scanmend.cli.bench.shared import add_json, add_threads, say

HELP = "rescan policies against a uniform pass of the same dose"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the options."""
    parser.add_argument("--images", type=Path, required=True, help="folder of pictures that are taken as the truth")
    parser.add_argument("--count", type=int, default=30, help="at most so many pictures")
    parser.add_argument("--seeds", type=int, default=1, help="draws of the noise for each picture")
    parser.add_argument("--policies", nargs="+", help="policies to compare with uniform passes; all, with the oracles")
    parser.add_argument("--model", default="auto", help="the restorer behind every policy")
    parser.add_argument("--critical-passes", type=float, help="passes after which a fragile specimen has faded to 1/e")
    add_threads(parser, 2)
    parser.add_argument("--cache", type=Path, help="file that keeps what was measured, for the next run")
    parser.add_argument("--docs", type=Path, help="write the tables into this document")
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run it and print its table."""
    # Slow imports, and extras that only this command needs.
    from scanmend.bench.rescan import Bench, chosen
    from scanmend.bench.rescan_document import tables, write
    from scanmend.bench.rescan_results import results
    from scanmend.engine.restorer import Restorer
    from scanmend_models.quality.evaluation import Cache
    from scanmend_models.quality.truths import read_truths

    restorer = Restorer.load(arguments.model, threads=arguments.threads, runtimes=("onnxruntime",))
    bench = Bench(restorer, chosen(arguments.policies), arguments.critical_passes, oracles=arguments.policies is None)
    judged = bench.run(
        read_truths(arguments.images, arguments.count),
        seeds=arguments.seeds,
        cache=Cache(arguments.cache),
        report=say,
    )
    found = results(judged)
    pictures = len({one.picture for one in judged})
    fading = arguments.critical_passes
    text = tables(found, model=restorer.info.name, pictures=pictures, seeds=arguments.seeds, critical_passes=fading)
    if arguments.docs:
        write(arguments.docs, text)
    if arguments.json:
        about = {"model": restorer.info.name, "sha256": restorer.info.sha256, "pictures": pictures}
        about |= {"seeds": arguments.seeds, "critical_passes": fading}
        print(json.dumps({**about, "results": found}, indent=2, ensure_ascii=False))
    else:
        print(text)
    return 0
