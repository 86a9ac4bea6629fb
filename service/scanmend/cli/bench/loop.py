"""`scanmend bench loop`: time from a frame to the next plan, through the running service."""

from __future__ import annotations

import argparse
import json

from scanmend.cli.bench.shared import add_data_dir, add_json, add_size, add_threads, say

HELP = "time from a frame to the next plan, through the running service"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the options."""
    parser.add_argument("--models", nargs="+", default=["pushpull", "live", "quality"], help="models to measure with")
    parser.add_argument("--policies", nargs="+", default=["variance"], help="rescan policies to measure with")
    add_size(parser, 512, of="the field")
    parser.add_argument("--turns", type=int, default=40, help="proposals that are timed")
    add_threads(parser, 2)
    add_data_dir(parser, "where the recordings go")
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run it and print its table."""
    from scanmend.bench.loop import bench_loop

    results = bench_loop(
        models=arguments.models,
        policies=arguments.policies,
        size=arguments.size,
        turns=arguments.turns,
        threads=arguments.threads,
        data_dir=arguments.data_dir,
        report=say,
    )
    if arguments.json:
        print(json.dumps({"results": results}, indent=2))
        return 0
    print(f"{'model':<10} {'policy':<12} {'frame to proposal':>22} {'restoration':>22} {'around it':>22}")
    for one in results:
        cells = (
            f"{one[name]['p50']:8.1f} / {one[name]['p99']:.1f} ms" for name in ("loop_ms", "restore_ms", "around_ms")
        )
        print(f"{one['model']:<10} {one['policy']:<12} " + " ".join(f"{cell:>22}" for cell in cells))
    return 0
