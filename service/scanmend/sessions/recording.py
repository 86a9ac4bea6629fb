"""A recording as it is sent again: its opening, its plans, and its frames with the times at which they were scanned."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path
from types import TracebackType
from typing import Self

from scanmend.errors import DamagedRecording, PlanError, ProtocolError, RecordingError
from scanmend.record import Entry, EntryKind, JournalReader
from scanmend.sessions.tally import ANY_SIZE, count
from scanmend.wire.header import FrameHeader, xxh3
from scanmend.wire.messages import Hello, Plan, decode_client


@dataclass(frozen=True, slots=True)
class Shot:
    """A recorded frame and when it is due."""

    entry: Entry
    header: FrameHeader
    after_s: float
    """Seconds after the first frame, as it was scanned."""


class Recording:
    """A recording that is to be sent again; finished or not. Use it in a `with` block.

    Args:
        path: The session's folder.

    Raises:
        DamagedRecording: Its opening cannot be read.
        RecordingError: There is no recording, or nothing in it to send.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        hello = count(path).opening
        if hello is None:
            raise DamagedRecording(
                f"The opening of session {path.name} cannot be read: its field and channels are not known.",
                mend="What frames are there can still be read, as docs/recording.md shows.",
            )
        self.hello: Hello = hello
        self.unreadable = 0
        self._reader = JournalReader(path)
        try:
            self._reader.hold()
            self.shots = self._frames()
        except BaseException:
            self._reader.close()
            raise
        if not self.shots:
            self.close()
            raise RecordingError(f"Session {path.name} has no frames.", mend="Choose another; see `scanmend sessions`.")

    @property
    def largest_bytes(self) -> int:
        """Payload of the largest frame."""
        return max(shot.header.payload_bytes for shot in self.shots)

    def steps(self) -> Iterator[Plan | Shot]:
        """Plans and frames as they are sent: frames in the order of their numbers, each plan before its frames."""
        plans = {entry.seq: entry for entry in self._reader.entries(kinds=(EntryKind.PLAN,))}
        waiting = sorted(plans.values(), key=lambda entry: entry.index, reverse=True)
        told: set[int] = set()
        for shot in self.shots:
            while waiting and waiting[-1].index < shot.entry.index:
                yield from self._plan(waiting.pop(), told)
            late = plans.get(shot.header.plan_id)
            if late is not None:
                yield from self._plan(late, told)
            yield shot

    def payload(self, shot: Shot) -> memoryview | None:
        """The samples of a frame; None where they are damaged, which is counted."""
        try:
            payload = self._reader.read(shot.entry)[1]
        except DamagedRecording:
            self.unreadable += 1
            return None
        if xxh3(payload) != shot.header.payload_xxh3:
            self.unreadable += 1
            return None
        return payload

    def close(self) -> None:
        """Close the files."""
        self._reader.close()

    def __enter__(self) -> Self:
        """Use it in a `with` block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the files."""
        self.close()

    def _plan(self, entry: Entry, told: set[int]) -> Iterator[Plan]:
        if entry.seq in told:
            return
        told.add(entry.seq)
        try:
            message = decode_client(self._reader.read(entry)[0])
        except (DamagedRecording, ProtocolError, PlanError):
            return  # its frames are left out
        if isinstance(message, Plan):
            yield message

    def _frames(self) -> list[Shot]:
        found: dict[int, tuple[Entry, FrameHeader]] = {}
        for entry in self._reader.entries(kinds=(EntryKind.FRAME,)):
            try:
                header = FrameHeader.unpack(self._reader.head(entry), max_payload_bytes=ANY_SIZE)
            except ProtocolError:
                self.unreadable += 1
                continue
            found.setdefault(header.seq, (entry, header))
        pairs = [found[seq] for seq in sorted(found)]
        times_ns = [header.acquired_unix_ns for _, header in pairs]
        if 0 in times_ns or any(later < earlier for earlier, later in pairwise(times_ns)):
            # The instrument gave no times, or its clock was set meanwhile: when they were recorded is the next best.
            times_ns = list(accumulate((entry.header.unix_ns for entry, _ in pairs), max))
        return [
            Shot(entry, header, (at_ns - times_ns[0]) / 1e9)
            for (entry, header), at_ns in zip(pairs, times_ns, strict=True)
        ]
