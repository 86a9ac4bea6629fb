"""What the catalogue knows of a session: one row, one value."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from scanmend.sessions.about import KEEP, Note


class SessionState(StrEnum):
    """How a recorded session stands."""

    OPEN = "open"
    """A service is writing it."""
    ENDED = "ended"
    """It has its receipt, and its journal is whole as far as its headers tell."""
    UNFINISHED = "unfinished"
    """It has no receipt, and nobody is writing it: the service was cut off, and may take it up again."""
    DAMAGED = "damaged"
    """Something that was recorded is gone or cannot be read; `misses` says what."""


class SessionSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A recorded session; None stands for what is not known."""

    name: str
    """Name of its folder."""
    session_id: int | None
    state: SessionState
    ended: bool
    """Whether it has its receipt."""
    reason: str
    """How it ended: finished, stopped, aborted, abandoned, service_stopped or recovered; empty before."""
    balanced: bool | None
    """Whether its receipt's account balances."""
    start_unix_ns: int | None
    """When it was opened, nanoseconds since 1970."""
    end_unix_ns: int | None
    """When it ended; None before."""
    last_unix_ns: int | None
    """When the last thing was recorded."""
    client: str
    width_px: int | None
    height_px: int | None
    pixel_size_nm: float | None
    beam_current_pa: float | None
    beam_energy_kev: float | None
    mode: str
    channels: tuple[str, ...]
    policy: str
    """The rescan policy; empty where none was asked for."""
    model_asked: str
    """What the session asked for, often `auto`."""
    models: tuple[str, ...]
    """Those that restored frames of it, as the journal names them; of recordings before that, empty."""
    passes: int
    frames: int
    """Numbers that were used: those of END, or up to the highest that came."""
    frames_received: int
    frames_durable: int | None
    """Those that the receipt calls durable; None before there is one."""
    frames_on_disk: int
    """Those that the journal holds."""
    gaps: int
    """Frames that were numbered and never came."""
    rejected: int
    """Frames that the service would not take."""
    dropped_by_client: int
    """Frames that the client had to discard before they had a number."""
    payload_bytes: int
    """Bytes of samples."""
    size_bytes: int
    """Room that the folder takes on the disk."""
    dose_e_per_nm2: float | None
    """Averaged over the field."""
    dose_max_e_per_nm2: float | None
    """Of the pixel with the most; None before there is a receipt."""
    budget_e_per_nm2: float | None
    misses: tuple[str, ...]
    """What is missing or wrong, a sentence each; empty for a session that is whole."""
    exports: tuple[str, ...]
    """Files that it was exported to, as far as they are known."""
    tags: tuple[str, ...]
    notes: tuple[Note, ...]

    @property
    def width_nm(self) -> float | None:
        """Width of the field in nanometres."""
        return None if self.width_px is None or self.pixel_size_nm is None else self.width_px * self.pixel_size_nm

    @property
    def height_nm(self) -> float | None:
        """Height of the field in nanometres."""
        return None if self.height_px is None or self.pixel_size_nm is None else self.height_px * self.pixel_size_nm

    @property
    def kept(self) -> bool:
        """Whether somebody wants it to be kept for good."""
        return KEEP in self.tags
