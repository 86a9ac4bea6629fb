"""`scanmend bench ingest`: the largest rate of an instrument's stream, beside programs of others."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from scanmend.cli.bench.shared import add_data_dir, add_json, add_size, say

HELP = "the largest rate of an instrument's stream, beside programs of others"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the options."""
    parser.add_argument("--peers", type=Path, default=Path(".venv/peers"), help="environments of `make peers`")
    paths = ("dectris", "epics")
    parser.add_argument("--paths", nargs="+", default=list(paths), choices=paths, help="the instruments; both")
    add_size(parser, 256, of="an image")
    parser.add_argument("--seconds", type=float, default=60.0, help="length of the turn in which nothing may be missed")
    parser.add_argument("--trial-s", type=float, default=5.0, help="length of the turns that search the rate")
    add_data_dir(parser, "of the service")
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run it and print its table."""
    from scanmend.bench.ingest import bench_ingest

    found = bench_ingest(
        peers=arguments.peers,
        paths=arguments.paths,
        side=arguments.size,
        seconds=arguments.seconds,
        trial_s=arguments.trial_s,
        data_dir=arguments.data_dir,
        report=say,
    )
    if arguments.json:
        print(json.dumps(found, indent=2))
        return 0
    load = found["load_before"][0]
    print(f"{found['side']}² u16, nothing missed for {found['seconds']:.0f} s; load of the machine before: {load:.1f}")
    for one in found["results"]:
        verdict = "reached" if one["reached"] else "missed"
        for name in ("floor", "ours"):
            print(f"  {one['path']:<8} {one[name]['rate']:8.0f} images/s  {one[name]['about']}")
        print(f"  {'':<8} {one['ratio']:8.2f} of it; at least {one['aim']}: {verdict}")
    return 0
