"""What the keeper says of itself, read once a second in a thread."""

from __future__ import annotations

import asyncio
from pathlib import Path

from scanmend.ipc.console import ProblemInfo
from scanmend.ipc.keeper_status import KeeperStatus, read_keeper_status
from scanmend.web.schemas_service import KeeperErrorView, KeeperView

LOOK_S = 1.0
SILENT_S = 60.0
"""A keeper that lives writes every 5 s; on a busy machine it may be late."""


class KeeperWatch:
    """The keeper of a run folder.

    Args:
        run_dir: Where it leaves its status.
    """

    def __init__(self, run_dir: Path) -> None:
        self._run_dir = run_dir
        self._task: asyncio.Task[None] | None = None
        self.status: KeeperStatus | None = None
        """What it said last; None where it never did."""

    @property
    def silent(self) -> bool:
        """Whether it has said nothing for a long time."""
        return self.status is not None and self.status.age_s() > SILENT_S

    def view(self) -> KeeperView | None:
        """Its status for the API; None where there is none."""
        status = self.status
        if status is None:
            return None
        return KeeperView(
            state="silent" if self.silent else status.state,
            at_unix_s=status.at_unix_ns / 1e9,
            session=status.session,
            waits_for=status.waits_for,
            queued=status.queued,
            queue=list(status.queue),
            exported=status.exported,
            closed=status.closed,
            removed=status.removed,
            unfinished=[each.name for each in status.unfinished],
            errors=[
                KeeperErrorView(
                    at_unix_s=error.at_unix_ns / 1e9,
                    doing=error.doing,
                    session=error.session,
                    text=error.text,
                    given_up=error.given_up,
                )
                for error in status.errors
            ],
            exports_folder=status.exports_folder,
            free_bytes=status.free_bytes,
            total_bytes=status.total_bytes,
            full_in_s=status.full_in_s,
            recordings_bytes=status.recordings_bytes,
            quota_bytes=status.quota_bytes,
            quota_used=status.quota_used,
        )

    def problems(self) -> list[ProblemInfo]:
        """What an operator must know of it."""
        if self.status is None:
            return []
        if self.silent:
            since_unix_ns = self.status.at_unix_ns
            return [
                ProblemInfo(
                    level="warning",
                    code="keeper_silent",
                    text="The keeper is silent: sessions that end are not exported, and no room is made.",
                    mend="The supervisor starts it again when it has died; read the service's log.",
                    since_unix_ns=since_unix_ns,
                )
            ]
        return list(self.status.problems)

    def start(self) -> None:
        """Begin to look."""
        self._task = asyncio.create_task(self._watch(), name="keeper")

    async def close(self) -> None:
        """Stop looking; safe to call twice."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def look(self) -> None:
        """Read what it says now."""
        self.status = await asyncio.to_thread(read_keeper_status, self._run_dir)

    async def _watch(self) -> None:
        while True:
            await self.look()
            await asyncio.sleep(LOOK_S)
