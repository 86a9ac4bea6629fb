"""`scanmend bench`: figures as ratios against a floor, or against other methods, measured in one run."""

from __future__ import annotations

import argparse
from importlib import import_module
from typing import cast

from scanmend.cli import Command

HELP = "Measure the service against the least that any such service does, or models against other methods, in one run."

BENCHES = ("stream", "restore", "rescan", "loop", "record", "export", "page", "ingest")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the benchmarks."""
    kinds = parser.add_subparsers(dest="bench", required=True, metavar="BENCH")
    for name in BENCHES:
        module = _module(name)
        module.add_arguments(kinds.add_parser(name, help=module.HELP))


def run(arguments: argparse.Namespace) -> int:
    """Run the benchmark and print its table."""
    return _module(arguments.bench).run(arguments)


def _module(name: str) -> Command:
    return cast(Command, import_module(f"{__name__}.{name}"))
