"""What the benchmarks share: options that mean the same in each, and how one tells how far it is."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def add_size(parser: argparse.ArgumentParser, default: int, *, of: str) -> None:
    """Add `--size`."""
    parser.add_argument("--size", type=int, default=default, help=f"side of {of} in pixels")


def add_threads(parser: argparse.ArgumentParser, default: int) -> None:
    """Add `--threads`."""
    parser.add_argument("--threads", type=int, default=default, help="threads of the runtime")


def add_data_dir(parser: argparse.ArgumentParser, what: str) -> None:
    """Add `--data-dir`, for benchmarks that make a folder where none is named."""
    parser.add_argument("--data-dir", type=Path, help=f"{what}; a temporary folder by default")


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add `--json`."""
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def say(line: str) -> None:
    """Tell how far a benchmark is, beside its result."""
    print(line, file=sys.stderr, flush=True)
