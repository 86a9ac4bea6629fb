"""A board on which each process notes that it is alive, and which process it is.

Layout: 64 bytes (magic ``SMBEAT01``, number of cells u64), then a cell of 64 bytes a process: beat u64
(CLOCK_MONOTONIC in nanoseconds, which all processes of a machine share; 0 = never), pid u64, name (48 bytes, zero
padded). Beat and pid are written by one aligned 8-byte store each, so a reader never sees half of one.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from scanmend.errors import ConfigurationError, InvalidInput
from scanmend.ipc._mapping import Mapping

_MAGIC = b"SMBEAT01"
_CELL_BYTES = 64
_CELL_WORDS = _CELL_BYTES // 8
_NAME_BYTES = 48


class HeartbeatBoard:
    """Beats and process ids by name; made by `create` (owner) or `attach` (everybody else).

    Args:
        mapping: The mapped file.
        names: The processes, in the order of their cells.
        owner: Whether `close` removes the file.
        clock_ns: Monotonic nanoseconds; tests give their own.
    """

    def __init__(self, mapping: Mapping, names: Sequence[str], *, owner: bool, clock_ns: Callable[[], int]) -> None:
        self._mapping = mapping
        # Native 64-bit words: each assignment below is a single aligned store. (struct would write bytes.)
        self._words = mapping.memory.cast("Q")
        self._cells = {name: (1 + i) * _CELL_WORDS for i, name in enumerate(names)}
        self._owner = owner
        self._clock_ns = clock_ns

    @classmethod
    def create(
        cls, path: Path, names: Sequence[str], *, clock_ns: Callable[[], int] = time.monotonic_ns
    ) -> HeartbeatBoard:
        """Make a board with a cell for each name.

        Raises:
            InvalidInput: No names, the same one twice, or one that is empty or longer than 48 bytes.
            ConfigurationError: The file exists or cannot be made.
        """
        encoded = [name.encode() for name in names]
        if not names or len(set(names)) != len(names) or not all(0 < len(e) <= _NAME_BYTES for e in encoded):
            raise InvalidInput(
                f"These names cannot stand on a heartbeat board: {list(names)}.",
                mend="Give each process one name of 1 to 48 bytes.",
            )
        mapping = Mapping(path, create_bytes=_CELL_BYTES * (1 + len(names)))
        for i, name in enumerate(encoded):
            start = (1 + i) * _CELL_BYTES + 16
            mapping.memory[start : start + len(name)] = name
        mapping.memory[8:16] = len(names).to_bytes(8, "little")
        mapping.memory[:8] = _MAGIC
        return cls(mapping, names, owner=True, clock_ns=clock_ns)

    @classmethod
    def attach(cls, path: Path, *, clock_ns: Callable[[], int] = time.monotonic_ns) -> HeartbeatBoard:
        """Join a board.

        Raises:
            ConfigurationError: No board there, or not one of this version.
        """
        mapping = Mapping(path)
        memory = mapping.memory
        count = int.from_bytes(memory[8:16], "little")
        if memory[:8] != _MAGIC or memory.nbytes != _CELL_BYTES * (1 + count):
            mapping.close()
            raise ConfigurationError(
                "The file is not a heartbeat board of this version.", mend="Run the same version of every process."
            )
        starts = [(1 + i) * _CELL_BYTES + 16 for i in range(count)]
        names = [bytes(memory[s : s + _NAME_BYTES]).rstrip(b"\0").decode() for s in starts]
        return cls(mapping, names, owner=False, clock_ns=clock_ns)

    @property
    def names(self) -> tuple[str, ...]:
        """The processes on the board."""
        return tuple(self._cells)

    def beat(self, name: str) -> None:
        """Note that the calling process is alive under this name."""
        cell = self._cell(name)
        self._words[cell + 1] = os.getpid()
        self._words[cell] = self._clock_ns()

    def age_s(self, name: str) -> float:
        """Seconds since the last beat; infinite when there never was one."""
        beat_ns = self._words[self._cell(name)]
        # Another core's clock read may be a hair behind the store it sees: never a negative age.
        return max(0, self._clock_ns() - beat_ns) / 1e9 if beat_ns else math.inf

    def pid(self, name: str) -> int | None:
        """The process that beat last under this name; None when none has."""
        return self._words[self._cell(name) + 1] or None

    def clear(self, name: str) -> None:
        """Forget a process that has ended, so that its successor starts with an infinite age."""
        cell = self._cell(name)
        self._words[cell] = 0
        self._words[cell + 1] = 0

    def close(self) -> None:
        """Let go of the board, and remove the file if this process made it; safe to call twice."""
        if not self._mapping.closed:
            self._words.release()
            self._mapping.close()
            if self._owner:
                self._mapping.unlink()

    def _cell(self, name: str) -> int:
        if name not in self._cells or self._mapping.closed:
            raise InvalidInput(
                f"{name!r} is not on the heartbeat board ({', '.join(self._cells)}).",
                mend="Use one of the names that the supervisor put there.",
            )
        return self._cells[name]

    def __enter__(self) -> HeartbeatBoard:
        """Use it in a `with` block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()
