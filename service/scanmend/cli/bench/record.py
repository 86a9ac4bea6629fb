"""`scanmend bench record`: the journal beside plain writes, and the way of a frame with and without it."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from scanmend.cli.bench.shared import add_json, add_size, add_threads, say

HELP = "the journal beside plain writes, and the way of a frame with and without it"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the options."""
    parser.add_argument("--models", nargs="+", default=["identity"], help="models to measure the way of a frame with")
    add_size(parser, 512, of="a frame")
    parser.add_argument("--rounds", type=int, default=7, help="turns of each contender")
    parser.add_argument("--frames", type=int, default=256, help="frames in a turn")
    add_threads(parser, 1)
    parser.add_argument("--data-dir", type=Path, help="a folder on the disk to be measured; one for temporary files")
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run it and print its table."""
    from scanmend.bench.record import LEAST_RATE, MOST_LATENCY, bench_recording

    journal, paths = bench_recording(
        models=arguments.models,
        size=arguments.size,
        rounds=arguments.rounds,
        frames=arguments.frames,
        threads=arguments.threads,
        data_dir=arguments.data_dir,
        report=say,
    )
    if arguments.json:
        print(json.dumps({"journal": journal.figures(), "frame_path": [one.summary() for one in paths]}, indent=2))
        return 0
    rate = journal.figures()["ratio_to_plain"]
    verdict = "reached" if rate["median"] >= LEAST_RATE else "missed"
    print(f"\nrecording over write + fdatasync: {_spread(rate)}; at least {LEAST_RATE}: {verdict}")
    for one in (path.summary() for path in paths):
        verdict = "reached" if one["p99_ratio"]["median"] <= MOST_LATENCY else "missed"
        print(f"p99 of a frame's way with recording over that without, {one['model']}, {one['size']}²: ", end="")
        print(f"{_spread(one['p99_ratio'])}; at most {MOST_LATENCY}: {verdict}")
        for name, text in (("without_ms", "without"), ("recorded_ms", "recorded")):
            print(f"  {text:<9}" + "{p50:7.2f} ms p50 {p99:8.2f} ms p99".format(**one[name]))
    return 0


def _spread(values: dict[str, float]) -> str:
    return "{median:.2f} ({min:.2f} to {max:.2f})".format(**values)
