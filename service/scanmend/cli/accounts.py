"""A session's account in plain words, and the progress line, for commands that run the simulated microscope."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TextIO

WIDTH = 26


def account_text(report: Mapping[str, Any]) -> str:
    """A table of a session's end.

    Args:
        report: As `scanmend_sim.report.Report.to_json` gives it.
    """
    receipt = report["receipt"]
    passed = ", ".join(f"{n} {reason.replace('_', ' ')}" for reason, n in receipt["passed_through"].items())
    rejected = ", ".join(f"{n} {code.replace('_', ' ')}" for code, n in receipt["rejected"].items())
    dropped = ", ".join(f"{n} {policy.replace('_', ' ')}" for policy, n in receipt["dropped"].items())
    executed = ", ".join(f"{n} {status}" for status, n in receipt["executed"].items())
    problems = ", ".join(f"{n} {code.replace('_', ' ')}" for code, n in receipt.get("problems", {}).items())
    faults = ", ".join(f"{n} {fault.replace('_', ' ')}" for fault, n in report["faults"].items() if n)
    latency = report["latency_ms"]
    rows = [
        ("Session", f"{receipt['session']}, {receipt['reason']}, {_number(report['elapsed_s'])} s"),
        ("Specimen", _several(report["specimens"])),
        ("Frames sent", f"{receipt['count']} in {report['passes']} passes, {_number(report['frames_per_s'])} a second"),
        ("On the disk", f"{receipt['durable']}" if receipt["recording"] else "not recorded"),
        ("Restored", f"{receipt['restored_out']}{restored_by(report['restored_by'])}"),
        ("Passed through as they came", f"{report['frames_passed_through']}" + (f": {passed}" if passed else "")),
        ("Answered with a later frame", dropped),
        ("Rejected", rejected),
        ("Missing", f"{receipt['gaps']}"),
        ("Came twice, damaged, resent", f"{receipt['duplicates']}, {receipt['damaged']}, {report['resent']}"),
        ("Faults put in", faults),
        ("Problems it reported", problems),
        ("Latency", ", ".join(f"{name} {_number(ms)} ms" for name, ms in latency.items()) or "none"),
        ("PSNR", f"{_db(report['psnr_input'])} as sampled, {_db(report['psnr_restored'])} restored"),
        ("Rescans", f"{receipt['proposals']} proposed: {executed}" if receipt["proposals"] else ""),
        ("Dose", _dose(receipt)),
        ("The account balances", "yes" if receipt["balanced"] else "NO"),
    ]
    return "\n".join(f"{name:<{WIDTH + 3}}{value}" for name, value in rows if value)


def restored_by(models: list[Mapping[str, Any]]) -> str:
    """Which models restored, the one of most frames first."""
    if len(models) == 1:
        return f" by {models[0]['model']} ({models[0]['provider']})"
    most_first = sorted(models, key=lambda one: -int(one["frames"]))
    told = ", ".join(f"{one['frames']} by {one['model']} ({one['provider']})" for one in most_first)
    return f": {told}" if told else ""


def _dose(receipt: Mapping[str, Any]) -> str:
    mean, most, budget = (receipt[f"{name}_e_per_nm2"] for name in ("dose", "dose_max", "budget"))
    if mean is None:
        return "not known"
    parts = [f"{_number(mean)} e/nm² over the field"]
    if most is not None:
        parts.append(f"{_number(most)} at most")
    if budget is not None:
        parts.append(f"budget {_number(budget)}")
    return ", ".join(parts)


def _number(value: float | None) -> str:
    return "?" if value is None else f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"


def _db(value: float | None) -> str:
    return "?" if value is None else f"{value:.1f} dB"


def _several(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


class ProgressLine:
    """One line of a terminal that is written again and again; nothing where the stream is not a terminal."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.shown = stream.isatty()
        self._length = 0

    def show(self, text: str) -> None:
        """Write the line."""
        if self.shown:
            self._stream.write("\r" + text.ljust(self._length))
            self._stream.flush()
            self._length = len(text)

    def clear(self) -> None:
        """Make room for other text."""
        if self.shown and self._length:
            self._stream.write("\r" + " " * self._length + "\r")
            self._stream.flush()
            self._length = 0


def progress_text(progress: Any) -> str:
    """A line about a `scanmend_sim.report.Progress`."""
    planned = f"/{progress.passes_planned}" if progress.passes_planned else ""
    rate = progress.frames_sent / progress.elapsed_s if progress.elapsed_s > 0 else math.nan
    parts = [f"{progress.scenario}: pass {progress.passes}{planned}", f"{rate:.1f} frames/s"]
    parts.append(f"{progress.restored} restored")
    if progress.passed_through:
        parts.append(f"{progress.passed_through} passed through")
    if progress.round_trip_ms:
        parts.append(f"{progress.round_trip_ms['p50']:.0f} ms")
    if progress.quality is not None:
        parts.append(f"{progress.quality.psnr_input:.1f} → {progress.quality.psnr_restored:.1f} dB")
    parts.append(f"{_number(progress.dose_e_per_nm2)} e/nm²")
    if progress.executed:
        parts.append(f"{progress.executed} rescans")
    if progress.paused:
        parts.append(f"held: {progress.paused}")
    return " · ".join(parts)
