"""What the routes of snapshots take and answer with."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict
from pydantic import Field as Member


class _View(BaseModel):
    model_config = ConfigDict(frozen=True)


class SnapshotWish(BaseModel):
    """Who takes it, and of which channel."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    by: str = Member("", max_length=64, description="For the file.", examples=["Ada, night shift"])
    channel: str = Member("", max_length=64, description="Of this channel; empty for the one that is restored.")


class SnapshotView(_View):
    """A picture that was kept, with all that was known of it."""

    name: str = Member(examples=["20260331T105243.512Z_grid-3"])
    session: str
    taken_unix_s: float
    by: str
    restored: bool = Member(description="Whether a model made the picture.")
    model: str
    sha256: str = Member(description="Of the model's file.")
    files: dict[str, str] = Member(
        description="Where each file is. png and tiff: the picture, marked if it is restored. raw_png and raw_tiff: "
        "what was measured. sigma_tiff: the picture's standard deviation, where a model made it. json: all that is "
        "known. PNGs have a scale bar; TIFFs have the pixel size, and float32 or, for whole counts, 16 bits.",
        examples=[{"png": "/api/v1/snapshots/20260331T105243.512Z_grid-3/picture.png"}],
    )


class SnapshotList(_View):
    """The snapshots, the newest first."""

    snapshots: list[SnapshotView]
    next: str | None = Member(description="The `cursor` of the next page; null on the last one.")
