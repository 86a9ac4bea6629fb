"""What the keeper is doing, as it leaves it in `RUN_DIR/keeper.json` for whoever shows it.

The file is written aside and renamed at every change and every few seconds: a reader finds the old or the new, whole.
The keeper is the process that exports what has ended, closes what was cut off, and makes room (`docs/sessions.md`).
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Literal

import msgspec

from scanmend.ipc.console import ProblemInfo

FILE_NAME = "keeper.json"
MAX_FILE_BYTES = 1 << 20
MOST_NAMES = 100
"""Names that a list of the status holds at most; the numbers beside them count all."""

KeeperState = Literal["starting", "idle", "exporting", "closing", "pruning"]
Waits = Literal["", "recording", "room", "retry"]


class Unfinished(msgspec.Struct, frozen=True, kw_only=True):
    """A recording without a receipt, found when the keeper started, or later."""

    name: str
    held: bool
    """Whether acquire has it open: its client may come back; else the keeper closes it when its time has come."""
    misses: tuple[str, ...] = ()
    """What is missing in it, a sentence each."""


class KeeperError(msgspec.Struct, frozen=True, kw_only=True):
    """Something that did not go well."""

    at_unix_ns: int
    doing: Literal["export", "close", "prune", "look"]
    session: str
    text: str
    given_up: bool = False
    """Whether it is not tried again before the service starts anew."""


class KeeperStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The keeper, as it sees itself; None stands for what is not known."""

    pid: int
    at_unix_ns: int
    state: KeeperState = "starting"
    session: str = ""
    """The session that is exported, closed or removed."""
    waits_for: Waits = ""
    """Why an export makes no headway: sessions record heavily, the disk has no room, or a failed one waits."""
    queue: tuple[str, ...] = ()
    """Sessions that wait for their export, the next one first; the first `MOST_NAMES`."""
    queued: int = 0
    exported: int = 0
    """Since the keeper started, as the two below."""
    closed: int = 0
    removed: int = 0
    unfinished: tuple[Unfinished, ...] = ()
    errors: tuple[KeeperError, ...] = ()
    """The last ones, oldest first."""
    problems: tuple[ProblemInfo, ...] = ()
    """What an operator must know and do something about."""
    exports_folder: str = ""
    free_bytes: int | None = None
    """Room on the disk of the recordings."""
    total_bytes: int | None = None
    recording_bytes_per_s: float = 0.0
    """What acquire writes to the disk just now."""
    full_in_s: float | None = None
    """When the disk of the recordings is full at the rate of the last minutes; None where it does not fill."""
    recordings_bytes: int | None = None
    """Room that all recordings take, at the last look."""
    quota_bytes: int | None = None
    """`retention_bytes` of the settings."""

    @property
    def quota_used(self) -> float | None:
        """Share of the quota that recordings take, 1 for all of it; None without a quota."""
        if self.quota_bytes is None or self.recordings_bytes is None:
            return None
        return self.recordings_bytes / max(1, self.quota_bytes)

    def age_s(self, now_unix_ns: int | None = None) -> float:
        """Seconds since this was written; a keeper that lives writes every 5 s, later on a busy machine."""
        return ((time.time_ns() if now_unix_ns is None else now_unix_ns) - self.at_unix_ns) / 1e9


_decoder = msgspec.json.Decoder(KeeperStatus)


def read_keeper_status(run_dir: Path) -> KeeperStatus | None:
    """What the keeper said last; None where it never did, or in words of another version."""
    try:
        with (run_dir / FILE_NAME).open("rb") as file:
            return _decoder.decode(file.read(MAX_FILE_BYTES))
    except (OSError, msgspec.DecodeError):
        return None


def write_keeper_status(run_dir: Path, status: KeeperStatus) -> None:
    """Leave a status for the readers.

    Raises:
        OSError: The run folder has gone, or is full.
    """
    aside = run_dir / f".{FILE_NAME}.{os.getpid()}"
    aside.write_bytes(msgspec.json.encode(status))
    aside.rename(run_dir / FILE_NAME)
