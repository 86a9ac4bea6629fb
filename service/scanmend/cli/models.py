"""`scanmend models`: which there are, how good they are, whether their files can be believed, how fast they run."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import msgspec

from scanmend.cli import EXIT_FAILED
from scanmend.engine.catalogue import PASS_THROUGH, Catalogue, Manifest
from scanmend.engine.restorer import FOR_LOOKING, RUNTIMES, Restorer, ranked
from scanmend.engine.timing import time_candidates
from scanmend.errors import ModelError

HELP = "Show the models of the catalogue: list them, show a card, verify the files, measure their speed."

TUNE_S = 2.0
"""How long `verify` lets the gate for faster arithmetic take, a model."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the four words."""
    parser.add_argument("--catalogue", type=Path, help="folder of models; those that ship with Scanmend by default")
    words = parser.add_subparsers(dest="word", required=True, metavar="list|show|verify|bench")
    listing = words.add_parser("list", help="a line a model, the one that auto likes best first")
    show = words.add_parser("show", help="a model's card: trained on what, how good, where it fails")
    show.add_argument("name")
    verify = words.add_parser("verify", help="check hashes, golden answers and fidelity on this machine")
    verify.add_argument("names", nargs="*", metavar="NAME", help="all where none is given")
    bench = words.add_parser("bench", help="milliseconds a frame, by size and by what executes it")
    bench.add_argument("names", nargs="*", metavar="NAME", help="all but identity where none is given")
    bench.add_argument("--sizes", type=int, nargs="+", default=[256, 512, 1024], help="sides of a frame in pixels")
    bench.add_argument("--seconds", type=float, default=2.0, help="about how long a size is measured, a model")
    for part in (verify, bench):
        part.add_argument("--threads", type=int, default=2, help="threads of the runtime")
    for part in (listing, show, verify, bench):
        part.add_argument("--json", action="store_true", help="print one JSON document")


def run(arguments: argparse.Namespace) -> int:
    """Do what the word says."""
    catalogue = Catalogue(arguments.catalogue)
    match arguments.word:
        case "list":
            return _list(catalogue, as_json=arguments.json)
        case "show":
            return _show(catalogue, arguments.name, as_json=arguments.json)
        case "verify":
            return _verify(catalogue, arguments)
        case _:
            return _bench(catalogue, arguments)


def _order(catalogue: Catalogue) -> list[str]:
    names = ranked(catalogue)
    return names + [name for name in catalogue.names() if name not in names]


def _list(catalogue: Catalogue, *, as_json: bool) -> int:
    rows: list[dict[str, Any]] = []
    for name in _order(catalogue):
        try:
            manifest = catalogue.load(name).manifest
        except ModelError as error:
            rows.append({"name": name, "problem": error.message})
            continue
        rows.append(
            {
                "name": name,
                "version": manifest.version,
                "kind": manifest.kind,
                "purpose": manifest.purpose,
                "rank": manifest.rank,
                "calibrated": manifest.calibration is not None,
                "size_mb": round((catalogue.folder / manifest.file).stat().st_size / 1e6, 2),
                "summary": manifest.summary,
            }
        )
    if as_json:
        print(json.dumps({"catalogue": str(catalogue.folder), "models": rows}, ensure_ascii=False))
        return 0
    for row in rows:
        if "problem" in row:
            print(f"{row['name']:<10} not usable: {row['problem']}")
            continue
        sure = "to look at" if row["purpose"] == "looking" else "calibrated" if row["calibrated"] else ""
        about = f"{row['version']:<7} {row['kind']:<9} {row['size_mb']:5.1f} MB  {sure:<10}"
        print(f"{row['name']:<10} {about} {row['summary']}")
    return 0


def _show(catalogue: Catalogue, name: str, *, as_json: bool) -> int:
    manifest = catalogue.load(name).manifest
    if as_json:
        print(json.dumps(msgspec.to_builtins(manifest), ensure_ascii=False))
        return 0
    print(f"{manifest.name} {manifest.version}, {manifest.kind}, {manifest.licence}\n{manifest.summary}\n")
    if manifest.purpose == "looking":
        print(f"This is {FOR_LOOKING}.\n")
    print(f"Trained on: {manifest.trained_on}\n\n{manifest.card.strip()}\n")
    for line in _ranges(manifest):
        print(line)
    print(f"File: {catalogue.folder / manifest.file}\nsha256: {manifest.sha256}")
    return 0


def _ranges(manifest: Manifest) -> list[str]:
    lines = []
    if manifest.domain:
        lines.append("The light is green within the range of its training:")
        lines += [f"  {name:<10} {low:.3g} to {high:.3g}" for name, (low, high) in manifest.domain.items()]
    if manifest.calibration is not None:
        table = manifest.calibration
        lines.append(f"Sigma is calibrated on {table.pictures} pictures that it was not trained on:")
        free = zip(table.noise_free.coverage, table.noise_free.factor, strict=True)
        lines.append("  without noise, coverage × factor: " + ", ".join(f"{c:.3g} × {f:.3g}" for c, f in free))
        for coverage, row in zip(table.noisy.coverage, table.noisy.factor, strict=True):
            pairs = zip(table.noisy.electrons, row, strict=True)
            words = ", ".join(f"{electrons:.3g} × {factor:.3g}" for electrons, factor in pairs)
            lines.append(f"  coverage {coverage:.3g}, electrons × factor: {words}")
    return [*lines, ""] if lines else []


def _verify(catalogue: Catalogue, arguments: argparse.Namespace) -> int:
    results = []
    for name in arguments.names or _order(catalogue):
        result: dict[str, Any] = {"name": name, "ok": False}
        try:
            restorer = Restorer.load(
                name, threads=arguments.threads, runtimes=RUNTIMES, tune_s=TUNE_S, catalogue=catalogue.folder
            )
            info = restorer.info
            result |= {"ok": True, "provider": info.provider, "precision": info.precision, "tuned_ms": info.tuned_ms}
            restorer.close()
        except ModelError as error:
            result |= {"problem": error.message, "mend": error.mend}
        results.append(result)
        if not arguments.json:
            if result["ok"]:
                how = f"{result['provider']} in {result['precision']}"
                print(f"{name:<10} in order: its file, its golden answer, and {how}")
            else:
                print(f"{name:<10} NOT in order: {result['problem']} {result['mend']}", file=sys.stderr)
    if arguments.json:
        print(json.dumps({"models": results}, ensure_ascii=False))
    return 0 if all(result["ok"] for result in results) else EXIT_FAILED


def _bench(catalogue: Catalogue, arguments: argparse.Namespace) -> int:
    results = []
    for name in arguments.names or [name for name in _order(catalogue) if name != PASS_THROUGH]:
        model = catalogue.load(name)
        for size in arguments.sizes:
            for timing in time_candidates(model, RUNTIMES, arguments.threads, (size, size), arguments.seconds):
                results.append({"name": name, "size": size, **timing})
                if not arguments.json:
                    ways = "{label:<44} p50 {p50_ms:7.1f} ms  p95 {p95_ms:7.1f} ms".format(**timing)
                    print(f"{name:<10} {size:>5}²  {ways}", flush=True)
    if arguments.json:
        print(json.dumps({"threads": arguments.threads, "results": results}))
    return 0
