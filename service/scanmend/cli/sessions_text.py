"""Tables and texts of `scanmend sessions`."""

from __future__ import annotations

from collections.abc import Sequence

from scanmend.sessions.retention import PruneReport
from scanmend.sessions.summary import SessionState, SessionSummary
from scanmend.sessions.words import count_text, size_text, time_text

WIDTH = 24
HEADINGS = ("session", "began", "state", "field", "frames", "dose e/nm²", "model", "on disk", "tags")
RIGHT = frozenset({"frames", "dose e/nm²", "on disk"})


def table(sessions: Sequence[SessionSummary]) -> str:
    """A line a session, and under it what it misses."""
    rows = [HEADINGS, *map(_cells, sessions)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    lines = [_line(HEADINGS, widths)]
    for session, row in zip(sessions, rows[1:], strict=True):
        lines.append(_line(row, widths))
        lines += [f"    {missing}" for missing in session.misses]
    return "\n".join(lines)


def totals(sessions: Sequence[SessionSummary], of: int) -> str:
    """How many there are, and what needs somebody's attention."""
    size = size_text(sum(session.size_bytes for session in sessions))
    some = f" of {of}" if len(sessions) != of else ""
    counted = ((state, sum(s.state is state for s in sessions)) for state in SessionState)
    states = [f"{number} {state}" for state, number in counted if number and state is not SessionState.ENDED]
    return f"{len(sessions)}{some} {'session' if of == 1 else 'sessions'}, {size}" + "".join(f", {s}" for s in states)


def details(session: SessionSummary) -> str:
    """Everything that the catalogue knows of a session."""
    about_end = f"{session.reason or 'not ended'}" + ("" if session.balanced is not False else ", does not balance")
    rows = [
        ("Session", f"{session.name}, {session.state}"),
        ("Misses", "\n".join(session.misses)),
        ("Id", "?" if session.session_id is None else f"{session.session_id}"),
        ("Began", time_text(session.start_unix_ns)),
        ("Ended", f"{time_text(session.end_unix_ns)}, {about_end}" if session.ended else ""),
        ("Last entry", "" if session.ended else time_text(session.last_unix_ns)),
        ("Client", session.client),
        ("Field", _field(session)),
        ("Beam", _beam(session)),
        ("Mode", f"{session.mode}, channels {', '.join(session.channels)}" if session.mode else ""),
        ("Model", _models(session)),
        ("Rescan policy", session.policy),
        ("Frames", f"{session.frames} in {count_text(session.passes, 'pass', 'passes')}"),
        ("  received", f"{session.frames_received}"),
        ("  durable", "" if session.frames_durable is None else f"{session.frames_durable}"),
        ("  readable on the disk", f"{session.frames_on_disk}"),
        ("  never came", f"{session.gaps}"),
        ("  not taken", f"{session.rejected}" if session.rejected else ""),
        ("Dose", _dose(session)),
        ("Samples", size_text(session.payload_bytes)),
        ("On the disk", size_text(session.size_bytes)),
        ("Exported to", "\n".join(session.exports)),
        ("Tags", ", ".join(session.tags)),
        ("Notes", "\n".join(f"{time_text(note.unix_ns)}  {note.text}" for note in session.notes)),
    ]
    lines = []
    for name, value in rows:
        first, *rest = value.split("\n")
        if value:
            lines += [f"{name:<{WIDTH}}{first}", *(f"{'':<{WIDTH}}{line}" for line in rest)]
    return "\n".join(lines)


def pruned(report: PruneReport, *, dry_run: bool) -> str:
    """What a prune has done, or would do."""
    would = "would be removed" if dry_run else "removed"
    lines = [
        f"{each.name}: {would} ({each.why}; ended {time_text(each.end_unix_ns)}, {size_text(each.size_bytes)})"
        for each in report.removed
    ]
    lines += [f"{name}: stays, {reason}" for name, reason in report.spared]
    lines += [f"{name}: NOT removed. {reason}" for name, reason in report.failed]
    taken = f"{size_text(report.bytes_before)} before, {size_text(report.bytes_after)} {'then' if dry_run else 'now'}"
    return "\n".join([*lines, f"{count_text(len(report.removed), 'session')} {would}; recordings take {taken}."])


def _cells(session: SessionSummary) -> tuple[str, ...]:
    frames = f"{session.frames_received}"
    if session.frames_received != session.frames:
        frames += f" of {session.frames}"
    return (
        session.name,
        time_text(session.start_unix_ns),
        session.state,
        _field(session, short=True),
        frames,
        "?" if session.dose_e_per_nm2 is None else f"{session.dose_e_per_nm2:.4g}",
        ", ".join(session.models) or session.model_asked or "?",
        size_text(session.size_bytes),
        ", ".join(session.tags),
    )


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    parts = [
        cell.rjust(width) if heading in RIGHT else cell.ljust(width)
        for heading, cell, width in zip(HEADINGS, cells, widths, strict=True)
    ]
    return "  ".join(parts).rstrip()


def _field(session: SessionSummary, *, short: bool = False) -> str:
    if session.width_nm is None or session.height_nm is None:
        return "?"
    pixels = f"{session.width_px} × {session.height_px}"
    if short:
        return f"{pixels}, {session.width_nm:.4g} nm"
    return f"{pixels} pixels of {session.pixel_size_nm:.4g} nm: {session.width_nm:.4g} × {session.height_nm:.4g} nm"


def _beam(session: SessionSummary) -> str:
    current = "current not known" if session.beam_current_pa is None else f"{session.beam_current_pa:.4g} pA"
    energy = "energy not known" if session.beam_energy_kev is None else f"{session.beam_energy_kev:.4g} keV"
    return f"{current}, {energy}"


def _models(session: SessionSummary) -> str:
    asked = f"{session.model_asked} was asked for" if session.model_asked else ""
    return ", ".join([*session.models, asked] if asked else session.models)


def _dose(session: SessionSummary) -> str:
    if session.dose_e_per_nm2 is None:
        return "not known"
    parts = [f"{session.dose_e_per_nm2:.4g} e/nm² over the field"]
    if session.dose_max_e_per_nm2 is not None:
        parts.append(f"{session.dose_max_e_per_nm2:.4g} at most")
    if session.budget_e_per_nm2 is not None:
        parts.append(f"budget {session.budget_e_per_nm2:.4g}")
    return ", ".join(parts)
