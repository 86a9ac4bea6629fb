"""What was commanded, by whom and when: `commands.jsonl` in the data folder, one JSON object a line.

The file is bounded: at `MOST_BYTES` it becomes `commands.1.jsonl`, and the one of this name before is gone. A line that
was torn by a crash is passed over. Where the disk takes nothing, commands go on, and are kept in memory alone.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from bisect import bisect_left
from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from scanmend.web.schemas_commands import CommandEntry, CommandList

log = logging.getLogger(__name__)

FILE_NAME = "commands.jsonl"
BEFORE_NAME = "commands.1.jsonl"
MOST_BYTES = 1 << 20
MOST_KEPT = 20_000
"""Entries in memory; both files together hold fewer."""


class CommandLog:
    """The commands of all sessions; used from one event loop.

    Args:
        data_dir: The folder of its files.
        most_bytes: Size at which a file is put aside.
    """

    def __init__(self, data_dir: Path, *, most_bytes: int = MOST_BYTES) -> None:
        self._path, self._before = data_dir / FILE_NAME, data_dir / BEFORE_NAME
        self._most_bytes = most_bytes
        self._entries = [*_read(self._before), *_read(self._path)]
        self._last = max((entry.number for entry in self._entries), default=0)
        self._writing = asyncio.Lock()
        self._complained = False

    async def add(
        self,
        *,
        session: str,
        action: str,
        by: str,
        role: str,
        result: str,
        details: Mapping[str, str | int | float | bool | None],
    ) -> CommandEntry:
        """Note a command with what came of it."""
        self._last += 1
        entry = CommandEntry(
            number=self._last,
            at_unix_s=time.time(),
            session=session,
            action=action,
            by=by,
            role=role,
            result=result,
            details=dict(details),
        )
        self._entries.append(entry)
        del self._entries[:-MOST_KEPT]
        async with self._writing:
            try:
                await asyncio.to_thread(self._write, entry.model_dump_json() + "\n")
                self._complained = False
            except OSError as error:
                if not self._complained:
                    log.error("commands cannot be noted in %s: %s", self._path, error.strerror)
                self._complained = True
        return entry

    def newest(self, limit: int, before: int | None = None) -> CommandList:
        """The newest commands.

        Args:
            limit: Most of them.
            before: Only those with a number below this.
        """
        end = len(self._entries)
        if before is not None:
            end = bisect_left(self._entries, before, key=lambda entry: entry.number)
        begin = max(0, end - limit)
        found = self._entries[begin:end][::-1]
        return CommandList(commands=found, next=found[-1].number if found and begin else None)

    def _write(self, line: str) -> None:
        fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "ab") as file:
            if file.tell() + len(line) > self._most_bytes and file.tell():
                os.replace(self._path, self._before)
                return self._write(line)
            file.write(line.encode())
            file.flush()
            os.fsync(file.fileno())


def _read(path: Path) -> list[CommandEntry]:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return []
    except OSError as error:
        log.error("the commands of before cannot be read from %s: %s", path, error.strerror)
        return []
    with os.fdopen(fd, "rb") as file:
        lines = file.read(4 * MOST_BYTES).splitlines()
    found: list[CommandEntry] = []
    for line in lines:
        try:
            entry = CommandEntry.model_validate_json(line)
        except ValidationError:
            continue
        if not found or entry.number > found[-1].number:
            found.append(entry)
    return found
