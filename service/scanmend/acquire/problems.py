"""What an operator must know: one line each, counted, until it is over."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from scanmend.ipc.console import ProblemInfo

MAX_PROBLEMS = 64
"""Most problems that are kept; the oldest goes first."""


@dataclass(slots=True)
class _Entry:
    info: ProblemInfo
    seen_mono_s: float


@dataclass(slots=True)
class Problems:
    """The list; a problem that is not raised again disappears after a while.

    Args:
        keep_s: How long after its last occurrence a problem is shown.
    """

    keep_s: float = 60.0
    _entries: dict[tuple[str, str], _Entry] = field(default_factory=dict)

    def raise_(
        self,
        code: str,
        text: str,
        *,
        now_mono_s: float,
        now_unix_ns: int,
        mend: str = "",
        session: str = "",
        level: Literal["warning", "error"] = "error",
    ) -> None:
        """Note a problem; the same code for the same session is counted, and shows the newest text."""
        key = (code, session)
        before = self._entries.get(key)
        info = ProblemInfo(
            level=level,
            code=code,
            text=text,
            mend=mend,
            since_unix_ns=before.info.since_unix_ns if before else now_unix_ns,
            session=session,
            count=before.info.count + 1 if before else 1,
        )
        self._entries[key] = _Entry(info, now_mono_s)
        if len(self._entries) > MAX_PROBLEMS:
            del self._entries[min(self._entries, key=lambda k: self._entries[k].seen_mono_s)]

    def clear(self, code: str, session: str = "") -> None:
        """The problem is over."""
        self._entries.pop((code, session), None)

    def current(self, now_mono_s: float) -> list[ProblemInfo]:
        """What is still a problem, errors first, then the oldest first."""
        self._entries = {k: e for k, e in self._entries.items() if now_mono_s - e.seen_mono_s <= self.keep_s}
        return sorted((e.info for e in self._entries.values()), key=lambda p: (p.level != "error", p.since_unix_ns))
