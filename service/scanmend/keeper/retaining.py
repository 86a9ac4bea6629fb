"""Applies the limits of retention, and says what stays although they ask for it."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable

from scanmend.ipc.console import ProblemInfo
from scanmend.sessions import Limits, PruneReport, prune
from scanmend.settings import Settings

log = logging.getLogger(__name__)

EVERY_S = 300.0
"""The limits are applied so often, and after each export."""


class Retaining:
    """Removes what the settings no longer keep.

    Args:
        settings: The service's.
        unix_ns: The time of day.
        beat: Called now and then; what it raises ends the work.
    """

    def __init__(self, settings: Settings, unix_ns: Callable[[], int], beat: Callable[[], None]) -> None:
        self._settings = settings
        self._limits = Limits(most_bytes=settings.retention_bytes, most_days=settings.retention_days)
        self._unix_ns = unix_ns
        self._beat = beat
        self._said: frozenset[tuple[str, str]] = frozenset()
        self.last: PruneReport | None = None
        """What the last look found."""

    def run(self, busy: frozenset[str]) -> PruneReport:
        """Bring the catalogue up to date, and remove what must go; without limits, nothing must.

        Args:
            busy: The session that is exported or closed just now.

        Raises:
            RecordingError: The data folder cannot be read, or a command is changing it.
        """
        report = prune(
            self._settings.data_dir,
            self._limits,
            self._unix_ns(),
            even_unexported=self._settings.retention_unexported,
            busy=busy,
            by="keeper",
            beat=self._beat,
        )
        for name, why in sorted(set(report.spared) - self._said):
            log.info("session %s stays although a limit asks for it: %s", name, why)
        self._said = frozenset(report.spared)
        self.last = report
        return report

    def problems(self) -> list[ProblemInfo]:
        """What an operator must know of the last look."""
        report, most = self.last, self._limits.most_bytes
        found = []
        if report is not None and most is not None and report.bytes_after > most:
            why = Counter(reason for _, reason in report.spared)
            reasons = ", ".join(f"{number} because {reason}" for reason, number in why.most_common())
            found.append(
                ProblemInfo(
                    level="warning",
                    code="quota_over",
                    text=f"Recordings take {report.bytes_after / 1e9:,.2f} GB, more than the {most / 1e9:,.2f} GB that "
                    f"they may, and none of them may be removed{f': {reasons}' if reasons else ''}.",
                    mend="Export them, take the tag keep away, or raise SCANMEND_RETENTION_BYTES.",
                )
            )
        found += [
            ProblemInfo(level="warning", code="not_removed", text=text, session=name)
            for name, text in (report.failed if report is not None else ())[:5]
        ]
        return found
