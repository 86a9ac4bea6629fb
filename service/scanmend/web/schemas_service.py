"""What the routes of tokens, history and the keeper take and answer with."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict
from pydantic import Field as Member

from scanmend.web.token import Role


class _View(BaseModel):
    model_config = ConfigDict(frozen=True)


class RotateWish(BaseModel):
    """Whose token is to be replaced."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    role: Role


class TokenView(_View):
    """A new token; the old one is dead."""

    role: Role
    token: str = Member(examples=["Jx3vN0bq…"])
    file: str = Member(description="Where it lies.", examples=["scanmend-data/read-token"])


class HistorySample(_View):
    """One second of a session."""

    unix_s: float
    p50_ms: float | None = Member(description="From a frame's arrival to its answer, over the last 512 frames.")
    p95_ms: float | None
    frames_in: float = Member(description="Frames received a second.")
    frames_out: float = Member(description="Frames answered a second, restored or passed through.")
    queued: int = Member(description="Frames received and not yet answered.")
    dropped: float = Member(description="Frames a second that were not restored by themselves, or discarded before.")
    missing: int = Member(description="Sequence numbers that have not come, at that time.")


class HistoryView(_View):
    """How a session went, a sample a second, the oldest first; kept for ten minutes in the web process's memory."""

    session: str
    samples: list[HistorySample]


class KeeperErrorView(_View):
    """Something that the keeper could not do."""

    at_unix_s: float
    doing: str
    session: str
    text: str
    given_up: bool


class KeeperView(_View):
    """The process that exports what has ended, closes what was cut off, and makes room."""

    state: Literal["starting", "idle", "exporting", "closing", "pruning", "silent"] = Member(
        description="silent: it has said nothing for a minute."
    )
    at_unix_s: float = Member(description="When it said so.")
    session: str = Member(description="The session that it works on.")
    waits_for: str = Member(description="Why an export makes no headway; empty where it does.")
    queued: int = Member(description="Sessions that wait for their export.")
    queue: list[str] = Member(description="The first of them.")
    exported: int = Member(description="Since it started, as the next two.")
    closed: int
    removed: int
    unfinished: list[str] = Member(description="Recordings without a receipt.")
    errors: list[KeeperErrorView] = Member(description="The last ones, oldest first.")
    exports_folder: str
    free_bytes: int | None
    total_bytes: int | None
    full_in_s: float | None = Member(description="When the disk is full at the rate of the last minutes.")
    recordings_bytes: int | None
    quota_bytes: int | None
    quota_used: float | None = Member(description="Share of the quota that recordings take.")
