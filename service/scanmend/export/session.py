"""A recorded session as an export reads it: what was said, and frame after frame, each checked as it is read."""

from __future__ import annotations

from array import array
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from scanmend.errors import InvalidInput, ProtocolError, RecordingError
from scanmend.field import Channel
from scanmend.frame import Frame
from scanmend.plan import ScanPlan
from scanmend.record import Entry, EntryKind, JournalReader, ModelNote, read_note
from scanmend.wire.header import FrameHeader
from scanmend.wire.messages import (
    Enough,
    Executed,
    Hello,
    Mode,
    Plan,
    Proposal,
    Receipt,
    decode_client,
    decode_service,
)

MOST_PROBLEMS = 1000
"""Problems that are kept word for word; further ones are counted."""

_PLANS_KEPT = 4
"""Plans in memory at a time: each may hold millions of points."""


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


@dataclass(slots=True)
class Problems:
    """What could not be exported, in words; `MOST_PROBLEMS` of them at most, all counted."""

    texts: list[str] = field(default_factory=list)
    count: int = 0

    def add(self, text: str) -> None:
        """Remember one."""
        self.count += 1
        if len(self.texts) < MOST_PROBLEMS and text not in self.texts[-1:]:
            self.texts.append(text)


class RecordedSession:
    """The recording of a session, opened for export; use it in a `with` block.

    It may be finished, cut off, damaged, or still growing: what is there when it is opened is what is exported.
    Memory stays small whatever the length: one frame and a few plans at a time, and 16 bytes a frame.

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
        self.receipt: Receipt | None = None
        self.executed: list[Executed] = []
        self.enough: list[tuple[int, Enough]] = []
        """When it was said, in nanoseconds since 1970, and what."""
        self.models: list[ModelNote] = []
        """Models that restored frames of the session while it ran."""
        self.last_unix_ns = 0
        """When the last entry was recorded."""
        self._plans: dict[int, Entry] = {}
        self._proposals: list[Entry] = []
        self._cache: OrderedDict[int, ScanPlan] = OrderedDict()
        self._seqs, self._indexes = array("Q"), array("Q")
        self._lost: list[tuple[int, int]] = []
        hello: Hello | None = None
        self.opened_unix_ns = 0
        self._reader = JournalReader(folder)
        try:
            self.entries = len(self._reader)
            expected = 0
            for entry in self._reader.entries():
                if entry.index > expected:
                    self._lost.append((expected, entry.index))
                expected = entry.index + 1
                self.last_unix_ns = max(self.last_unix_ns, entry.header.unix_ns)
                if entry.kind is EntryKind.FRAME:
                    self._seqs.append(entry.seq)
                    self._indexes.append(entry.index)
                elif (message := self._message(entry)) is not None and hello is None:
                    hello, self.opened_unix_ns = message, entry.seq
            seal = self._reader.seal
            if seal is not None and seal.index > expected:
                self._lost.append((expected, seal.index))
            self.sealed = seal is not None
            """Whether the journal's last segment ended in order: its writer did not die."""
            if not self.entries and self._reader.session_id is None:
                raise RecordingError(
                    f"There is no recording in {folder}.", mend="Name a session, or the folder that holds its journal."
                )
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

    # Reading --------------------------------------------------------------------------------------------------------

    def frames(self, first_seq: int = 0, end_seq: int = 1 << 64) -> Iterator[RecordedFrame]:
        """The frames in the order of acquisition, that is of their sequence numbers.

        A frame that cannot be read, or does not fit the session, is left out, counted and named in `problems`.

        Args:
            first_seq: Where to begin.
            end_seq: Where to stop; this one is not given any more.
        """
        seqs = np.frombuffer(self._seqs, dtype=np.uint64)
        indexes = np.frombuffer(self._indexes, dtype=np.uint64)
        _, order = np.unique(seqs, return_index=True)
        for position in order:
            if not first_seq <= int(seqs[position]) < end_seq:
                continue
            entry = next(self._reader.entries(int(indexes[position])))
            try:
                head, tail = self._reader.read(entry)
                header = FrameHeader.unpack(head, max_payload_bytes=len(tail))
                yield RecordedFrame(header, self._samples(header, tail), entry.header.unix_ns)
            except (RecordingError, ProtocolError, InvalidInput) as error:
                if entry.seq not in self.damaged_seqs:
                    self.damaged_seqs.add(entry.seq)
                    self.problems.add(f"frame {entry.seq}: {error}")

    def plan(self, plan_id: int) -> ScanPlan | None:
        """A plan that the client announced, checked for this field; None where it is lost."""
        if plan_id in self._cache:
            self._cache.move_to_end(plan_id)
            return self._cache[plan_id]
        entry = self._plans.get(plan_id)
        message = None if entry is None else self._decoded(entry)
        if not isinstance(message, Plan):
            return None
        try:
            message.plan.validate(self.hello.field)
        except InvalidInput as error:
            self.problems.add(f"plan {plan_id}: {error}")
            del self._plans[plan_id]
            return None
        if message.plan.is_full_raster:
            message.plan.forget_pixels()
        self._cache[plan_id] = message.plan
        if len(self._cache) > _PLANS_KEPT:
            self._cache.popitem(last=False)
        return message.plan

    @property
    def plan_ids(self) -> list[int]:
        """The plans that the client announced, in that order."""
        return list(self._plans)

    def proposals(self) -> Iterator[tuple[int, Proposal]]:
        """The plans that were proposed, one at a time: when, in nanoseconds since 1970, and what."""
        for entry in self._proposals:
            message = self._decoded(entry)
            if isinstance(message, Proposal):
                yield entry.header.unix_ns, message

    def close(self) -> None:
        """Close the files."""
        self._reader.close()
        self._cache.clear()

    def __enter__(self) -> RecordedSession:
        """Use it in a `with` block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def _samples(self, header: FrameHeader, payload: memoryview) -> npt.NDArray[np.generic]:
        channels = self.hello.channels
        if header.channels != len(channels) or header.dtype != channels[0].dtype:
            raise InvalidInput(
                f"It has {header.channels} channels of {header.dtype}, the session {len(channels)} of "
                f"{channels[0].dtype}.",
                mend="It is left out.",
            )
        return np.frombuffer(payload, dtype=channels[0].numpy_dtype).reshape(header.channels, header.points)

    def _message(self, entry: Entry) -> Hello | None:
        """Take in an entry that is not a frame; gives a HELLO back."""
        if entry.kind is EntryKind.PLAN:
            self._plans.setdefault(entry.seq, entry)  # a plan is entered under its id
        elif entry.kind is EntryKind.PROPOSAL:
            self._proposals.append(entry)
        elif entry.kind is EntryKind.NOTE:
            note = read_note(self._body(entry))
            if note is not None:
                self.models.append(note)
        else:
            match self._decoded(entry):
                case Hello() as hello:
                    return hello
                case Executed() as executed:
                    self.executed.append(executed)
                case Enough() as enough:
                    self.enough.append((entry.header.unix_ns, enough))
                case Receipt() as receipt:
                    self.receipt = receipt
        return None

    def _decoded(self, entry: Entry) -> object | None:
        from_service = entry.kind in (EntryKind.PROPOSAL, EntryKind.ENOUGH, EntryKind.RECEIPT)
        body = self._body(entry)
        if not body:
            return None
        try:
            return decode_service(body) if from_service else decode_client(body)
        except (ProtocolError, InvalidInput) as error:
            self.problems.add(f"{entry.kind.name.lower()} {entry.seq}: {error}")
            return None

    def _body(self, entry: Entry) -> bytes:
        """The body of an entry; empty where it is damaged."""
        try:
            head, tail = self._reader.read(entry)
        except RecordingError as error:
            self.problems.add(f"{entry.kind.name.lower()} {entry.seq}: {error}")
            return b""
        return bytes(head) + bytes(tail)
