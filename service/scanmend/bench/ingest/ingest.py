"""`scanmend bench ingest`: paths of instruments against programs of others, at the largest rate without a miss."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

from scanmend.bench.ingest import dectris, epics
from scanmend.bench.ingest.search import Found, Reader, largest_rate
from scanmend.bench.stream import running
from scanmend.errors import ConfigurationError
from scanmend.settings import Settings

AIMS = {"dectris": 0.8, "epics": 0.9}
"""Our rate over the other's, at least."""

NEEDS = {"dectris": "libertem_live/bin/python", "epics": "pvapy/bin/pvapy-ad-sim-server"}


def bench_ingest(
    *,
    peers: Path,
    paths: list[str],
    side: int,
    seconds: float,
    trial_s: float,
    data_dir: Path | None,
    report: Callable[[str], None],
) -> dict[str, Any]:
    """Measure; everything that is written is removed again.

    Args:
        peers: Folder of the others' environments, as `make peers` makes it.
        paths: `dectris`, `epics`, or both.
        side: Of an image in pixels; images are u16.
        seconds: Length of the turn in which nothing may be missed.
        trial_s: Length of the turns that search the rate.
        data_dir: Where the service's folder is made; the one for temporary files where it is None.
        report: Gets a line a turn.

    Returns:
        For each path both readers' rates, every turn, the ratio and its aim; and the load of the machine before.

    Raises:
        ConfigurationError: An environment is not there.
        ScanmendError: A program ended, or an account does not balance.
    """
    for path in paths:
        if not (peers / NEEDS[path]).exists():
            raise ConfigurationError(f"{peers / NEEDS[path]} is not there.", mend="Make it: make peers.")
    before = os.getloadavg()
    with tempfile.TemporaryDirectory(dir=data_dir, prefix="bench-ingest-") as name, ExitStack() as stack:
        folder = Path(name)
        settings = Settings(
            port=0,
            http_port=0,
            data_dir=folder / "data",
            threads=1,
            tune_s=0,
            runtimes=("onnxruntime",),
            export_when_ended=False,
            log_level="error",
        )
        address = stack.enter_context(running(settings))
        python = (peers / "libertem_live" / "bin" / "python").absolute()
        makers: dict[str, list[AbstractContextManager[Reader]]] = {
            "dectris": [dectris.libertem(side, python, folder), dectris.ours(side, address, folder)],
            "epics": [epics.bare(side, peers, folder), epics.ours(side, address, peers, folder)],
        }
        results = []
        for path in paths:
            guess = epics.FIRST_RATE if path == "epics" else 0.0
            floor, own = (_measure(one, guess, trial_s, seconds, report) for one in makers[path])
            results.append(_result(path, floor, own))
    return {"side": side, "seconds": seconds, "load_before": before, "load_after": os.getloadavg(), "results": results}


def _measure(
    maker: AbstractContextManager[Reader], guess: float, trial_s: float, seconds: float, report: Callable[[str], None]
) -> Found:
    with maker as reader:
        if not guess:
            reader.turn(0.0, 1.0)  # the first turn also loads what is needed
            guess = reader.turn(0.0, trial_s).rate
        return largest_rate(reader, guess, trial_s, seconds, report)


def _result(path: str, floor: Found, own: Found) -> dict[str, Any]:
    ratio = own.best.rate / floor.best.rate if own.best and floor.best else 0.0
    return {
        "path": path,
        "floor": floor.to_json(),
        "ours": own.to_json(),
        "ratio": ratio,
        "aim": AIMS[path],
        "reached": ratio >= AIMS[path],
    }
