"""From a frame to the next plan: how long a microscope waits for a proposal, through the running service.

Each turn scans the whole field once more, and is timed from the moment its last samples are handed to the client
until the proposal is there. The first turns of a session are not counted.
"""

from __future__ import annotations

import secrets
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from scanmend.bench.stream import running
from scanmend.client import Client
from scanmend.errors import ScanmendError
from scanmend.field import Channel, Field
from scanmend.plan import ScanPlan
from scanmend.settings import Settings

WARM_UP = 3
ELECTRONS = 5.0
"""Mean counts of a pixel and pass."""
DWELL_NS = 1_000_000
"""Long enough that no model is too slow for it."""


def bench_loop(
    *,
    models: Sequence[str],
    policies: Sequence[str],
    size: int = 512,
    turns: int = 40,
    threads: int = 2,
    tune_s: float = 2.0,
    data_dir: Path | None = None,
    report: Callable[[str], None] = lambda _line: None,
) -> list[dict[str, Any]]:
    """Time the loop.

    Args:
        models: Names in the catalogue.
        policies: Names of rescan policies.
        size: Side of the field in pixels.
        turns: Proposals that are timed, for each model and policy.
        threads: Of the runtime.
        tune_s: How long the engine may look for the fastest runtime.
        data_dir: Where the recordings go; a temporary folder where it is None.
        report: Gets a line a session.

    Returns:
        For each model and policy: p50 and p99 of the loop, of the restoration alone, and of what is around it.

    Raises:
        ScanmendError: The service did not start, or did not propose.
    """
    out = []
    with tempfile.TemporaryDirectory(prefix="scanmend-bench-") as temporary:
        settings = Settings(
            port=0,
            http_port=0,
            data_dir=data_dir or Path(temporary),
            threads=threads,
            tune_s=tune_s,
            export_when_ended=False,
            log_level="error",
        )
        with running(settings) as address:
            for model in models:
                for policy in policies:
                    loop_ms, restore_ms = _session(address, model, policy, size, turns)
                    whole_ms = _quantiles(loop_ms)
                    around = [whole - alone for whole, alone in zip(loop_ms, restore_ms, strict=True)]
                    out.append(
                        {
                            "model": model,
                            "policy": policy,
                            "shape": [size, size],
                            "turns": turns,
                            "loop_ms": whole_ms,
                            "restore_ms": _quantiles(restore_ms),
                            "around_ms": _quantiles(around),
                        }
                    )
                    report(f"{model} {policy}: p50 {whole_ms['p50']:.1f} ms")
    return out


def _session(address: str, model: str, policy: str, size: int, turns: int) -> tuple[list[float], list[float]]:
    rng = np.random.default_rng(1)
    plan = ScanPlan.raster((size, size), DWELL_NS)
    loop_ms, restore_ms = [], []
    with (
        Client(address) as client,
        client.session(
            f"bench-{secrets.token_hex(6)}",
            Field(shape=(size, size), pixel_size_nm=1.0, beam_current_pa=1.0),
            channels=[Channel(name="HAADF")],
            mode="exposure",
            model=model,
            rescan=policy,
            hold_timeout_s=60.0,
        ) as session,
    ):
        for turn in range(WARM_UP + turns):
            samples = rng.poisson(ELECTRONS, plan.points).astype(np.uint16)
            begun = time.perf_counter()
            session.send_samples(plan, samples, pass_index=turn, chunk_points=plan.points)
            proposal = session.next_proposal(timeout_s=60.0)
            elapsed_ms = 1e3 * (time.perf_counter() - begun)
            restored = session.receive(timeout_s=60.0)
            if proposal is None or restored is None:
                raise ScanmendError("The service did not propose within a minute.", mend="Look at its log.")
            session.decline(proposal, "timing only")
            if turn >= WARM_UP:
                loop_ms.append(elapsed_ms)
                restore_ms.append(restored.restore_ms)
    return loop_ms, restore_ms


def _quantiles(values: list[float]) -> dict[str, float]:
    return {
        "p50": round(statistics.median(values), 2),
        "p99": round(float(np.percentile(values, 99)), 2),
    }
