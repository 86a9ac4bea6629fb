"""A recorded session as an export reads it: what was said, and frame after frame, each checked as it is read."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Lock

import numpy as np
import numpy.typing as npt

from scanmend.errors import InvalidInput, ProtocolError, RecordingError
from scanmend.export.said import Problems, Said
from scanmend.field import Channel
from scanmend.frame import Frame
from scanmend.plan import ScanPlan
from scanmend.record import Entry, EntryKind, JournalReader, ModelNote
from scanmend.wire.header import FrameHeader
from scanmend.wire.messages import Enough, Executed, Mode, Proposal, Receipt

_AHEAD_BYTES = 1 << 16
"""Frames of at least this size are read by a thread ahead of need; for smaller ones handing over costs more."""


@dataclass(frozen=True, slots=True)
class RecordedFrame:
    """A frame of the recording."""

    header: FrameHeader
    samples: npt.NDArray[np.generic]
    """`(channels, points)` in visiting order, exactly as the microscope sent them; read-only."""
    recorded_unix_ns: int
    """When the journal was handed it, in nanoseconds since 1970."""

    @property
    def frame(self) -> Frame:
        """The same in the words of the vocabulary."""
        header = self.header
        return Frame(
            plan_id=header.plan_id,
            samples=self.samples,
            pass_index=header.pass_index,
            first_point=header.first_point,
            end_of_pass=header.end_of_pass,
            acquired_unix_ns=header.acquired_unix_ns,
            dropped_before=header.dropped_before,
        )


class RecordedSession:
    """The recording of a session, opened for export; use it in a `with` block.

    It may be finished, cut off, damaged, or still growing: what is there when it is opened is what is exported.
    Memory stays small whatever the length: two frames and a few plans at a time, and 16 bytes a frame.

    Args:
        folder: The session's folder.

    Raises:
        RecordingError: There is no recording, or no HELLO can be read in it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.problems = Problems()
        self.damaged_seqs: set[int] = set()
        """Frames that were found, and could not be read when they were asked for."""
        self.last_unix_ns = 0
        """When the last entry was recorded."""
        self._seqs, self._indexes = array("Q"), array("Q")
        self._lost: list[tuple[int, int]] = []
        self._said = Said(self._body, self.problems)
        self._reading = Lock()
        """Held while the reader is used: frames are read ahead by a thread."""
        self._reader = JournalReader(folder)
        try:
            self._reader.hold()
            self.entries = len(self._reader)
            self._take_in()
            seal = self._reader.seal
            self.sealed = seal is not None
            """Whether the journal's last segment ended in order: its writer did not die."""
            if not self.entries and self._reader.session_id is None:
                raise RecordingError(
                    f"There is no recording in {folder}.", mend="Name a session, or the folder that holds its journal."
                )
            hello = self._said.hello
            if hello is None:
                raise RecordingError(
                    f"The recording in {folder.name!r} holds no session: its HELLO is missing or damaged.",
                    mend="Restore the first segment from a copy.",
                )
        except BaseException:
            self._reader.close()
            raise
        self.hello = hello
        for first, end in self._lost:
            self.problems.add(f"journal entries {first} to {end - 1} are damaged or missing")
        for first, end in self.missing_seqs:
            self.problems.add(f"frames {first} to {end - 1} are not in the recording")

    def _take_in(self) -> None:
        """Go through the headers of all entries: remember where frames are, and what was said."""
        expected = 0
        for entry in self._reader.entries():
            if entry.index > expected:
                self._lost.append((expected, entry.index))
            expected = entry.index + 1
            self.last_unix_ns = max(self.last_unix_ns, entry.header.unix_ns)
            if entry.kind is EntryKind.FRAME:
                self._seqs.append(entry.seq)
                self._indexes.append(entry.index)
            else:
                self._said.take(entry)
        seal = self._reader.seal
        if seal is not None and seal.index > expected:
            self._lost.append((expected, seal.index))

    # What was said --------------------------------------------------------------------------------------------------

    @property
    def opened_unix_ns(self) -> int:
        """When the session was opened, in nanoseconds since 1970."""
        return self._said.opened_unix_ns

    @property
    def receipt(self) -> Receipt | None:
        """The session's account; None where it has not ended."""
        return self._said.receipt

    @property
    def executed(self) -> list[Executed]:
        """What the client said about proposals."""
        return self._said.executed

    @property
    def enough(self) -> list[tuple[int, Enough]]:
        """The service's word that no plan follows: when, in nanoseconds since 1970, and what."""
        return self._said.enough

    @property
    def models(self) -> list[ModelNote]:
        """Models that restored frames of the session while it ran."""
        return self._said.models

    @property
    def plan_ids(self) -> list[int]:
        """The plans that the client announced, in that order."""
        return self._said.plan_ids

    def plan(self, plan_id: int) -> ScanPlan | None:
        """A plan that the client announced, checked for this field; None where it is lost."""
        return self._said.plan(plan_id, self.hello.field)

    def proposals(self) -> Iterator[tuple[int, Proposal]]:
        """The plans that were proposed, one at a time: when, in nanoseconds since 1970, and what."""
        return self._said.proposals()

    # What is known before a frame is read ---------------------------------------------------------------------------

    @property
    def finished(self) -> bool:
        """Whether the session came to its end, with its account."""
        return self.receipt is not None

    @property
    def entries_lost(self) -> int:
        """Journal entries that are known to have been there and are gone."""
        return sum(end - first for first, end in self._lost)

    @property
    def frame_count(self) -> int:
        """Frames that the journal names; some of them may turn out to be damaged."""
        return len(self._seqs)

    @property
    def last_seq(self) -> int:
        """The highest sequence number of a frame; -1 where there is none."""
        return max(self._seqs, default=-1)

    @property
    def missing_seqs(self) -> list[tuple[int, int]]:
        """Sequence numbers without a frame, as ranges `(first, last + 1)`: rejected, lost before, or damaged.

        Up to the receipt's count where there is a receipt, else up to the highest number seen.
        """
        seqs = np.unique(np.frombuffer(self._seqs, dtype=np.uint64)).astype(np.int64)
        end = self.receipt.count if self.receipt is not None else int(seqs[-1]) + 1 if seqs.size else 0
        bounds = np.concatenate(([-1], seqs, [max(end, int(seqs[-1]) + 1 if seqs.size else 0)]))
        return [(int(bounds[i]) + 1, int(bounds[i + 1])) for i in np.flatnonzero(np.diff(bounds) > 1)]

    @property
    def channel_index(self) -> int:
        """Which channel is restored."""
        names = [channel.name for channel in self.hello.channels]
        wanted = self.hello.restore_channel
        return names.index(wanted) if wanted in names else 0

    @property
    def channel(self) -> Channel:
        """The channel that is restored."""
        return self.hello.channels[self.channel_index]

    @property
    def adds_up(self) -> bool:
        """Whether all passes are one exposure (mode `exposure`), and not a picture each."""
        return self.hello.mode is Mode.EXPOSURE

    # Frames ---------------------------------------------------------------------------------------------------------

    def frames(self, first_seq: int = 0, end_seq: int = 1 << 64) -> Iterator[RecordedFrame]:
        """The frames in the order of acquisition, that is of their sequence numbers.

        A frame that cannot be read, or does not fit the session, is left out, counted and named in `problems`. While
        a large frame is worked on, a thread reads and checks the next one.

        Args:
            first_seq: Where to begin.
            end_seq: Where to stop; this one is not given any more.
        """
        seqs = np.frombuffer(self._seqs, dtype=np.uint64)
        indexes = np.frombuffer(self._indexes, dtype=np.uint64)
        _, order = np.unique(seqs, return_index=True)
        wanted = (int(indexes[at]) for at in order if first_seq <= int(seqs[at]) < end_seq)
        entries = (self._entry(index) for index in wanted)
        for entry, read in _ahead(entries, self._frame):
            try:
                yield read()
            except (RecordingError, ProtocolError, InvalidInput) as error:
                if entry.seq not in self.damaged_seqs:
                    self.damaged_seqs.add(entry.seq)
                    self.problems.add(f"frame {entry.seq}: {error}")

    def _entry(self, index: int) -> Entry:
        with self._reading:
            return next(self._reader.entries(index))

    def _frame(self, entry: Entry) -> RecordedFrame:
        with self._reading:
            head, tail = self._reader.read(entry)
        header = FrameHeader.unpack(head, max_payload_bytes=len(tail))
        return RecordedFrame(header, self._samples(header, tail), entry.header.unix_ns)

    def _samples(self, header: FrameHeader, payload: memoryview) -> npt.NDArray[np.generic]:
        channels = self.hello.channels
        if header.channels != len(channels) or header.dtype != channels[0].dtype:
            raise InvalidInput(
                f"It has {header.channels} channels of {header.dtype}, the session {len(channels)} of "
                f"{channels[0].dtype}.",
                mend="It is left out.",
            )
        return np.frombuffer(payload, dtype=channels[0].numpy_dtype).reshape(header.channels, header.points)

    def _body(self, entry: Entry) -> bytes:
        with self._reading:
            head, tail = self._reader.read(entry)
        return bytes(head) + bytes(tail)

    def close(self) -> None:
        """Close the files; a frame that is being read ahead is waited for."""
        with self._reading:
            self._reader.close()

    def __enter__(self) -> RecordedSession:
        """Use it in a `with` block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()


def _ahead(
    entries: Iterable[Entry], read: Callable[[Entry], RecordedFrame]
) -> Iterator[tuple[Entry, Callable[[], RecordedFrame]]]:
    """Each entry with what gives its frame; a large frame is being read while the one before it is worked on."""
    with ThreadPoolExecutor(1, "read-ahead") as thread:
        held: tuple[Entry, Future[RecordedFrame]] | None = None
        for entry in entries:
            coming = thread.submit(read, entry) if entry.header.tail_bytes >= _AHEAD_BYTES else None
            if held is not None:
                yield held[0], held[1].result
                held = None
            if coming is None:
                yield entry, partial(read, entry)
            else:
                held = entry, coming
        if held is not None:
            yield held[0], held[1].result
