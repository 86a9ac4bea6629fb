"""Who may ask: the tokens of the two roles as their files hold them now, without a restart.

The files are looked at `LOOK_S` apart, in a thread: a disk that hangs must not hold the page. A token that is not in
its file any more is dead from then on, for requests and for live sockets; a file that is gone is made anew.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from dataclasses import dataclass
from pathlib import Path

from scanmend.errors import ConfigurationError
from scanmend.ipc.console import ProblemInfo
from scanmend.web.token import FILE_NAMES, Role, load_or_make, rotate, same

log = logging.getLogger(__name__)

LOOK_S = 0.25


@dataclass(frozen=True, slots=True)
class Pass:
    """What somebody who gave a token may do, and which of the role's tokens it was."""

    role: Role
    generation: int


@dataclass(slots=True)
class _Held:
    token: str | None
    """None while the file cannot be used: nobody is let in by it then."""
    mark: tuple[int, ...]
    """What the file looked like from outside when it was read."""
    generation: int = 0
    fault: ConfigurationError | None = None
    fault_since_unix_ns: int = 0


class Access:
    """The tokens of a data folder.

    Args:
        data_dir: Where they are; made where there are none.

    Raises:
        ConfigurationError: A file cannot be made or read, or others may read it.
    """

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._held: dict[Role, _Held] = {}
        for role in Role:
            token = load_or_make(data_dir, role)
            self._held[role] = _Held(token, self._mark(role))
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def admit(self, given: str) -> Pass | None:
        """What a token lets do; None for one that is not ours. Both are compared, whichever is right."""
        admitted = None
        for role in (Role.READ, Role.OPERATE):  # where both files hold one token, it operates
            held = self._held[role]
            if same(given, held.token or "") and held.token is not None:
                admitted = Pass(role, held.generation)
        return admitted

    def holds(self, admitted: Pass) -> bool:
        """Whether the token that was admitted once still lives."""
        held = self._held[admitted.role]
        return held.token is not None and held.generation == admitted.generation

    async def outlived(self, admitted: Pass) -> None:
        """Wait until the token is dead."""
        while self.holds(admitted):
            await self._changed.wait()

    async def rotate(self, role: Role) -> str:
        """Make a new token; the old one is dead when this returns.

        Raises:
            ConfigurationError: The file cannot be written.
        """
        token = await asyncio.to_thread(rotate, self._data_dir, role)
        await self._look()
        return token

    def problems(self) -> list[ProblemInfo]:
        """Token files that cannot be used."""
        return [
            ProblemInfo(
                level="error",
                code=f"token_{role}",
                text=f"Nobody can use the token of the role {role}: {held.fault.message}",
                mend=held.fault.mend,
                since_unix_ns=held.fault_since_unix_ns,
            )
            for role, held in self._held.items()
            if held.fault is not None
        ]

    def start(self) -> None:
        """Begin to look at the files."""
        self._task = asyncio.create_task(self._watch(), name="tokens")

    async def close(self) -> None:
        """Stop looking; safe to call twice."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            await self._look()

    async def _look(self) -> None:
        marks = await asyncio.to_thread(lambda: {role: self._mark(role) for role in Role})
        changed = [role for role in Role if marks[role] != self._held[role].mark]
        for role in changed:
            before = self._held[role]
            self._held[role] = await asyncio.to_thread(self._again, role, before)
            if self._held[role].token != before.token:
                log.info("the token of the role %s has changed", role)
        if changed:
            self._changed.set()
            self._changed = asyncio.Event()

    def _again(self, role: Role, before: _Held) -> _Held:
        """Read a file that looks different."""
        mark = self._mark(role)  # before it is read: a later change is then seen by the next look
        try:
            if not self._data_dir.is_dir():  # on a disk that went away, say, where none must be made
                raise ConfigurationError("The data folder has gone.", mend="Bring it back, or start the service anew.")
            token = load_or_make(self._data_dir, role)
        except ConfigurationError as error:
            log.error("%s", error)
            since_unix_ns = before.fault_since_unix_ns if before.fault is not None else time.time_ns()
            return _Held(None, mark, before.generation + 1, error, since_unix_ns)
        return _Held(token, mark, before.generation + (token != before.token))

    def _mark(self, role: Role) -> tuple[int, ...]:
        try:
            found = os.lstat(self._data_dir / FILE_NAMES[role])
        except OSError:
            return ()
        return (found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_mode, found.st_uid)
