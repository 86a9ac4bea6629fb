"""Which sessions somebody looks for."""

from __future__ import annotations

from dataclasses import dataclass

from scanmend.sessions.summary import SessionState, SessionSummary


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What sessions must have in common; what is None or empty is not asked for."""

    since_unix_ns: int | None = None
    """They began at this time or later."""
    until_unix_ns: int | None = None
    """They began at this time or earlier."""
    field_nm: tuple[float, float] | None = None
    """The longer side of the field lies between these."""
    dose_max_e_per_nm2: float | None = None
    """Their mean dose is known, and at most this."""
    model: str = ""
    """This model restored them, or they asked for it."""
    tag: str = ""
    state: SessionState | None = None
    text: str = ""
    """Each word stands somewhere in name, client, channels, policy, tags or notes, in any case of letters."""

    def matches(self, session: SessionSummary) -> bool:
        """Whether a session has all of it; a value that is not known matches no question about it."""
        start, dose = session.start_unix_ns, session.dose_e_per_nm2
        return (
            (self.since_unix_ns is None or (start is not None and start >= self.since_unix_ns))
            and (self.until_unix_ns is None or (start is not None and start <= self.until_unix_ns))
            and (self.dose_max_e_per_nm2 is None or (dose is not None and dose <= self.dose_max_e_per_nm2))
            and (self.field_nm is None or self._fits(session, self.field_nm))
            and (not self.model or self.model in (session.model_asked, *session.models))
            and (not self.tag or self.tag in session.tags)
            and (self.state is None or session.state is self.state)
            and self._says(session)
        )

    def _fits(self, session: SessionSummary, span_nm: tuple[float, float]) -> bool:
        width, height = session.width_nm, session.height_nm
        return width is not None and height is not None and span_nm[0] <= max(width, height) <= span_nm[1]

    def _says(self, session: SessionSummary) -> bool:
        parts = (session.name, session.client, session.policy, *session.channels, *session.tags)
        text = "\n".join((*parts, *(note.text for note in session.notes))).casefold()
        return all(word in text for word in self.text.casefold().split())
