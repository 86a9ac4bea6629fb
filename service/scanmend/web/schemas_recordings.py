"""What the routes of recorded sessions take and answer with."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict
from pydantic import Field as Member

from scanmend.sessions.about import MAX_TEXT
from scanmend.sessions.summary import SessionState

ExportKind = Literal["nexus", "tiff", "npz", "png", "csv", "zarr", "movie"]
ExportPicture = Literal["data", "restored", "sigma"]
By = Member("", max_length=64, description="For the log.", examples=["Ada, night shift"])


class _View(BaseModel):
    model_config = ConfigDict(frozen=True)


class _Wish(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RecordingView(_View):
    """A recorded session; null stands for what is not known."""

    name: str = Member(examples=["grid-3_hole-7"])
    session_id: str | None
    state: SessionState = Member(
        description="open: a service writes it. ended: it has its receipt. unfinished: it has none, and nobody writes "
        "it. damaged: something that was recorded is gone."
    )
    reason: str = Member(description="How it ended; empty before.", examples=["finished"])
    balanced: bool | None = Member(description="Whether its receipt's account balances.")
    began_unix_s: float | None
    ended_unix_s: float | None
    client: str
    shape: tuple[int, int] | None = Member(description="(ny, nx) in pixels.")
    pixel_size_nm: float | None
    beam_current_pa: float | None
    beam_energy_kev: float | None
    mode: str
    channels: list[str]
    policy: str = Member(description="The rescan policy; empty where none was asked for.")
    model_asked: str
    models: list[str] = Member(description="Those that restored frames of it while it ran.")
    passes: int
    frames: int = Member(description="Numbers that were used.")
    frames_on_disk: int
    missing: int = Member(description="Frames that were numbered and never came.")
    rejected: int
    dropped_by_client: int
    sample_bytes: int
    size_bytes: int = Member(description="Room that it takes on the disk.")
    dose_e_per_nm2: float | None
    dose_max_e_per_nm2: float | None
    budget_e_per_nm2: float | None
    misses: list[str] = Member(description="What is missing or wrong, a sentence each.")
    exported: list[str] = Member(description="Files that it was exported to, as far as they are known.")
    tags: list[str]
    note: str = Member(description="The newest note; empty where there is none.")
    thumbnail: str = Member(description="Where its small picture is.")


class RecordingList(_View):
    """Recorded sessions, the one that began last first."""

    recordings: list[RecordingView]
    next: str | None = Member(description="The `cursor` of the next page; null on the last one.")
    found: int = Member(description="How many there are on all pages.")
    of: int = Member(description="How many are recorded in all.")
    remarks: list[str] = Member(
        description="What is to be said about the catalogue itself, such as that it was damaged and is made anew."
    )


class NoteView(_View):
    """A remark that somebody made."""

    at_unix_s: float
    text: str


class RecordingFile(_View):
    """A file in the session's folder."""

    name: str
    bytes: int


class RecordingDetail(RecordingView):
    """A recorded session with all that belongs to it."""

    notes: list[NoteView] = Member(description="Oldest first.")
    files: list[RecordingFile]
    receipt: dict[str, Any] | None = Member(
        description="The account as docs/protocol.md has it; null where the session has not ended."
    )
    replay: ReplayView | None = Member(description="The last replay of it since the service started.")


class RecordingChange(_Wish):
    """What is said about a recording; what is left out stays."""

    tags: list[str] | None = Member(
        None,
        max_length=100,
        description="All its tags from now on: each 1 to 64 letters, digits, '_', '.', ':' and '-'. `keep` protects "
        "it from being removed.",
        examples=[["gold", "keep"]],
    )
    note: str | None = Member(
        None, max_length=MAX_TEXT, description="A note to be added.", examples=["drifted to the left after pass 3"]
    )
    by: str = By


class DownloadWish(_Wish):
    """What file is to be made of a recording."""

    to: ExportKind = Member("nexus", description="Kind of file; docs/files.md has them.")
    picture: ExportPicture | None = Member(
        None, description="For tiff, png and movie: what they show; null for what such a file shows by itself."
    )
    model: str | None = Member(
        None,
        max_length=32,
        pattern=r"^[a-z0-9][a-z0-9_-]*$",
        description="Restores; `none` leaves restored pictures out.",
    )


class DownloadView(_View):
    """A file that waits for whoever has its address."""

    address: str = Member(description="Where it is fetched, once, without a token.")
    file: str = Member(description="Under which name it is saved.", examples=["grid-3_hole-7.nxs"])
    bytes: int
    good_for_s: float = Member(description="How long the address is good.")


class ReplayWish(_Wish):
    """How a recording is sent through the service again."""

    speed: Annotated[float, Member(gt=0, le=1e6)] | Literal["max"] = Member(
        1.0, description="How much faster than it was scanned; max: as fast as the service takes it."
    )
    model: str | None = Member(
        None, max_length=32, pattern=r"^[a-z0-9][a-z0-9_-]*$", description="null: the one that it asked for."
    )
    by: str = By


class ReplayView(_View):
    """A replay."""

    recording: str
    session: str = Member(description="The new session, which shows on the page like any other.")
    state: Literal["running", "done", "failed", "stopped"]
    began_unix_s: float
    ended_unix_s: float | None
    by: str
    result: dict[str, Any] | None = Member(
        description="What `scanmend replay --json` printed; null while it runs, and where it failed."
    )
    problem: str = Member(description="Why it failed; empty otherwise.")


RecordingDetail.model_rebuild()
