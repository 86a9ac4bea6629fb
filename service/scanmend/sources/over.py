"""Series that are over, so that what is left of one in some queue is not taken for a new one."""

from __future__ import annotations

from scanmend.sources.problems import Code, Problem
from scanmend.sources.series import too_many

KEPT = 256
"""Series remembered."""


class Over:
    """The last series, and what it is when more of one comes."""

    def __init__(self) -> None:
        self._codes: dict[str, Code | None] = {}

    def __contains__(self, series: str) -> bool:
        return series in self._codes

    def add(self, series: str, code: Code | None) -> None:
        """Remember a series; `code` is None where somebody stopped it here, so that it may well go on."""
        self._codes[series] = code
        while len(self._codes) > KEPT:
            del self._codes[next(iter(self._codes))]

    def begins_anew(self, series: str) -> None:
        """The name is used once more, by an instrument that was started anew."""
        self._codes.pop(series, None)

    def problem(self, series: str) -> Problem | None:
        """What it is that more of a series came; None where that is no problem."""
        code = self._codes.get(series, Code.LEFTOVER)
        if code is Code.TOO_MANY:
            return too_many(series)
        text = f"Points of series {series} came after its end, or without being asked for."
        return None if code is None else Problem(code, text, "They were left out.")
