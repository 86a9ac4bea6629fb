"""Segment after segment: what the journal's thread does with a batch of entries."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from scanmend.errors import RecordingFull
from scanmend.record.disk import Buffer, JournalIO
from scanmend.record.folder import SessionFolder
from scanmend.record.format import ENTRY_HEADER_BYTES, SEGMENT_HEADER_BYTES, EntryFlag
from scanmend.record.pending import PendingEntry
from scanmend.record.segment import OpenSegment
from scanmend.record.settings import JournalSettings


class SegmentChain:
    """Writes batches into segments and begins a new one when the last is full; for one thread.

    Args:
        folder: The session's folder.
        io: The disk.
        settings: Sizes.
        session_id: As on the wire.
        number: Number of the first segment to write.
        first_index: Index of the first entry.

    Raises:
        RecordingFull: Less room on the disk than planned.
        OSError: From the disk.
    """

    def __init__(
        self,
        folder: SessionFolder,
        io: JournalIO,
        settings: JournalSettings,
        *,
        session_id: int,
        number: int,
        first_index: int,
    ) -> None:
        self._folder = folder
        self._io = io
        self._settings = settings
        self._session_id = session_id
        self.written_index = first_index - 1
        """Index of the last entry that the kernel has."""
        self._check_room()
        self._segment = self._begin(number, first_index, 0)

    def commit(self, batch: Sequence[PendingEntry]) -> Iterator[tuple[int, int]]:
        """Write a batch, one fdatasync for as much of it as goes into one segment.

        Yields:
            The index of the last entry that has just become durable, and the bytes that became so. May raise OSError;
            what was not yielded is not durable then.
        """
        start = 0
        while start < len(batch):
            stop = self._write_what_fits(batch, start)
            if stop == len(batch):
                self._segment.sync()
                yield _last_and_bytes(batch[start:stop])
            else:
                following = batch[stop]
                self._segment.seal(following.index, 0)  # which syncs
                if stop > start:
                    yield _last_and_bytes(batch[start:stop])
                self._segment = self._begin(self._segment.number + 1, following.index, following.stored_bytes)
            start = stop

    def seal(self, next_index: int) -> None:
        """End the journal in order. May raise OSError."""
        self._segment.seal(next_index, EntryFlag.LAST_SEGMENT)

    def abandon(self) -> None:
        """Close the file as it is; safe to call twice."""
        self._segment.abandon()

    def _write_what_fits(self, batch: Sequence[PendingEntry], start: int) -> int:
        """Write the entries from `start` on that the segment has room for; the position behind the last."""
        buffers: list[Buffer] = []
        room = self._segment.room_bytes
        stop = start
        while stop < len(batch) and batch[stop].stored_bytes <= room:
            room -= batch[stop].stored_bytes
            batch[stop].add_to(buffers, self._segment.salt)
            stop += 1
        if buffers:
            self._segment.write(buffers)
            self.written_index = batch[stop - 1].index
        return stop

    def _begin(self, number: int, first_index: int, entry_bytes: int) -> OpenSegment:
        least = SEGMENT_HEADER_BYTES + entry_bytes + ENTRY_HEADER_BYTES
        return OpenSegment(
            self._folder,
            self._io,
            session_id=self._session_id,
            number=number,
            first_index=first_index,
            segment_bytes=max(self._settings.segment_bytes, least),
            gather_bytes=self._settings.batch_bytes,
        )

    def _check_room(self) -> None:
        sizes = self._settings
        wanted = max(sizes.planned_bytes, sizes.segment_bytes) + sizes.reserve_bytes
        free = self._io.free_bytes(self._folder.fd)
        if free < wanted:
            raise RecordingFull(
                f"The recording folder has {free // 2**20} MiB free, the session may need {wanted // 2**20} MiB.",
                mend="Free space, name another recording folder (data_dir), or record a shorter session.",
            )


def _last_and_bytes(entries: Sequence[PendingEntry]) -> tuple[int, int]:
    return entries[-1].index, sum(entry.stored_bytes for entry in entries)
