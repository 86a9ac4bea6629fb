"""The journal's writer: takes entries at once, makes them durable in its own thread, tells when they are.

One thread a session, and not one for all: a microscope runs one session, two at the most, a thread that waits in
fdatasync costs nothing, and a session on a slow or full disk must not hold up another.

::

    OPEN ──close──▶ CLOSED
      │
      └─disk error─▶ FAILED      what was durable stays so; nothing after it is ever claimed
"""

from __future__ import annotations

import logging
import os
import threading
from collections import deque
from collections.abc import Sequence
from enum import Enum

from scanmend.errors import InvalidInput, RecordingError, RecordingFull
from scanmend.record.disk import Buffer, Disk, JournalIO, recording_error
from scanmend.record.folder import SessionFolder
from scanmend.record.format import (
    ENTRY_HEADER_BYTES,
    MAX_BODY_BYTES,
    SEGMENT_HEADER_BYTES,
    EntryFlag,
    EntryKind,
    stored_bytes,
)
from scanmend.record.pending import PendingEntry
from scanmend.record.segment import OpenSegment
from scanmend.record.settings import JournalSettings

log = logging.getLogger(__name__)


class JournalState(Enum):
    """Where a journal is in its life."""

    OPEN = "open"
    FAILED = "failed"
    CLOSED = "closed"


class JournalWriter:
    """Appends entries to a session's journal; `append` belongs to one loop, the disk to a thread of its own.

    Use `create_journal` or `reopen_for_append` to make one.

    Args:
        folder: The session's folder, locked; it belongs to the writer from now on.
        session_id: As on the wire.
        settings: Sizes.
        io: The disk; tests give another.
        first_segment: Number of the first segment to write.
        first_index: Index of the first entry.

    Raises:
        RecordingFull: Less room than planned, or none for the first segment.
        RecordingNotWritable: The folder cannot be written.
    """

    def __init__(
        self,
        folder: SessionFolder,
        session_id: int,
        *,
        settings: JournalSettings | None = None,
        io: JournalIO | None = None,
        first_segment: int = 0,
        first_index: int = 0,
    ) -> None:
        self.settings = settings or JournalSettings()
        self.session_id = session_id
        self._folder = folder
        self._io: JournalIO = io or Disk()
        self._check_room()
        try:
            self._segment = self._new_segment(first_segment, first_index, 0)
        except OSError as error:
            raise recording_error(error, "make its first segment") from error
        self._next_index = first_index
        self._durable_index = first_index - 1
        self._written_index = first_index - 1
        self._queue: deque[PendingEntry] = deque()
        self._held_bytes = 0
        self._changed = threading.Condition()
        self._closing = False
        self._state = JournalState.OPEN
        self._failure: RecordingError | None = None
        self.wakeup_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        """Becomes readable when `durable_index` moved or the journal failed; then call `clear_wakeup`."""
        self._thread = threading.Thread(target=self._run, name=f"journal-{session_id:x}", daemon=True)
        self._thread.start()

    # ---- what the loop asks, never waiting for the disk -------------------------------------------------------

    @property
    def state(self) -> JournalState:
        """Open, failed or closed."""
        return self._state

    @property
    def failure(self) -> RecordingError | None:
        """Why it failed, or None."""
        return self._failure

    @property
    def durable_index(self) -> int:
        """Every entry up to this index survives a power cut; one less than the first index when none does."""
        return self._durable_index

    @property
    def written_index(self) -> int:
        """Every entry up to this index survives the death of this process and can be read by another one."""
        return self._written_index

    @property
    def next_index(self) -> int:
        """The index that the next entry will get."""
        return self._next_index

    @property
    def queued_bytes(self) -> int:
        """Bytes that were appended and are not durable yet."""
        return self._held_bytes

    @property
    def room_bytes(self) -> int:
        """How many bytes may be appended now, entry headers counted."""
        return max(0, self.settings.queue_bytes - self._held_bytes)

    def has_room(self, body_bytes: int) -> bool:
        """Whether an entry with such a body may be appended now; never for one larger than the whole queue."""
        return self._state is JournalState.OPEN and stored_bytes(body_bytes) <= self.room_bytes

    def append(self, kind: EntryKind, seq: int, parts: Sequence[Buffer], *, tail_xxh3: int | None = None) -> int:
        """Queue an entry; it is recorded when `durable_index` reaches the index that is returned.

        Args:
            kind: What it is.
            seq: Its place in the session's stream.
            parts: The body; the parts are not copied and must not change until the entry is durable.
            tail_xxh3: xxh3-64 of all parts after the first, when it is known and verified already.

        Returns:
            The entry's index.

        Raises:
            RecordingError: The journal failed or is closed (its failure says why), or there is no room: the
                caller must ask `has_room` first and hold credit back.
            InvalidInput: A body above 1 GiB, or one that is larger than the whole queue.
        """
        entry = PendingEntry.of(kind, seq, parts, tail_xxh3)
        body_bytes, stored = entry.body_bytes, entry.stored_bytes
        if body_bytes > MAX_BODY_BYTES or stored > self.settings.queue_bytes or kind is EntryKind.SEAL:
            raise InvalidInput(
                f"An entry of {body_bytes} bytes cannot be recorded.",
                mend=f"Send frames below {min(MAX_BODY_BYTES, self.settings.queue_bytes) // 2**20} MiB.",
            )
        with self._changed:
            if self._failure is not None:
                raise self._failure
            if self._state is not JournalState.OPEN or self._closing:
                raise RecordingError("The journal is closed.", mend="Open the session again to append to it.")
            if self._held_bytes + stored > self.settings.queue_bytes:
                raise RecordingError(
                    f"The journal's queue of {self.settings.queue_bytes // 2**20} MiB is full.",
                    mend="Ask has_room before append, and hold credit back until it is true.",
                )
            entry.index = self._next_index
            self._next_index += 1
            self._held_bytes += stored
            self._queue.append(entry)
            self._changed.notify_all()
        return entry.index

    def clear_wakeup(self) -> None:
        """Make `wakeup_fd` unreadable until there is news again; read `durable_index` after it, not before."""
        try:
            os.eventfd_read(self.wakeup_fd)
        except BlockingIOError:
            return  # no news since the last time

    def flush(self, timeout_s: float = 30.0) -> int:
        """Wait until everything appended so far is durable.

        Returns:
            The durable index.

        Raises:
            RecordingError: The journal failed, or the disk took longer than `timeout_s`.
        """
        with self._changed:
            wanted = self._next_index - 1
            reached = self._changed.wait_for(
                lambda: self._failure is not None or self._durable_index >= wanted, timeout_s
            )
            if self._failure is not None:
                raise self._failure
            if not reached:
                raise _too_slow(timeout_s)
            return self._durable_index

    def close(self, timeout_s: float = 30.0) -> None:
        """Write what is queued, seal the journal and end the thread; safe to call twice, also after a failure.

        Raises:
            RecordingError: The disk took longer than `timeout_s`, or failed on the way (a failure that was there
                before `close` is not raised again).
        """
        known = self._failure
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            raise _too_slow(timeout_s)
        if self.wakeup_fd >= 0:
            os.close(self.wakeup_fd)
            self.wakeup_fd = -1
        self._folder.close()
        if self._failure is not None and known is None:
            raise self._failure

    # ---- the thread -------------------------------------------------------------------------------------------

    def _run(self) -> None:
        doing = "write"
        try:
            while batch := self._take():
                self._commit(batch)
                batch.clear()  # lets the frames' memory go while the thread waits
            doing = "seal its last segment"
            self._segment.seal(self._next_index, EntryFlag.LAST_SEGMENT)
            self._end(None)
        except OSError as error:
            # After a failed fdatasync the kernel may have dropped the dirty pages: it is never tried again.
            self._end(recording_error(error, doing))
        finally:
            if self._state is JournalState.OPEN:  # a mistake of ours; the hook for threads reports it
                self._end(RecordingError("The journal's thread ended by a fault.", mend="Report it with the log."))

    def _take(self) -> list[PendingEntry]:
        """The next batch; empty when the journal is to be closed and nothing is left."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._closing)
            batch: list[PendingEntry] = []
            size = 0
            while self._queue and (not batch or size + self._queue[0].stored_bytes <= self.settings.batch_bytes):
                batch.append(self._queue.popleft())
                size += batch[-1].stored_bytes
            return batch

    def _commit(self, batch: list[PendingEntry]) -> None:
        """Write a batch, one fdatasync for as much of it as goes into one segment."""
        start = 0
        while start < len(batch):
            buffers: list[Buffer] = []
            room = self._segment.room_bytes
            stop = start
            while stop < len(batch) and batch[stop].stored_bytes <= room:
                room -= batch[stop].stored_bytes
                batch[stop].add_to(buffers, self._segment.salt)
                stop += 1
            if buffers:
                self._segment.write(buffers)
                self._written_index = batch[stop - 1].index
            if stop < len(batch):
                following = batch[stop]
                self._segment.seal(following.index, 0)
                self._publish(batch[start:stop])
                self._segment = self._new_segment(self._segment.number + 1, following.index, following.stored_bytes)
            else:
                self._segment.sync()
                self._publish(batch[start:stop])
            start = stop

    def _publish(self, entries: list[PendingEntry]) -> None:
        """Say that these entries are durable."""
        if not entries:
            return
        with self._changed:
            self._durable_index = entries[-1].index
            self._held_bytes -= sum(entry.stored_bytes for entry in entries)
            self._changed.notify_all()
        os.eventfd_write(self.wakeup_fd, 1)

    def _end(self, failure: RecordingError | None) -> None:
        with self._changed:
            self._failure = failure
            self._state = JournalState.CLOSED if failure is None else JournalState.FAILED
            self._queue.clear()
            self._changed.notify_all()
        self._segment.abandon()
        os.eventfd_write(self.wakeup_fd, 1)
        if failure is not None:
            log.error("recording stopped behind entry %d: %s", self._durable_index, failure)

    def _new_segment(self, number: int, first_index: int, entry_bytes: int) -> OpenSegment:
        wanted = SEGMENT_HEADER_BYTES + entry_bytes + ENTRY_HEADER_BYTES
        return OpenSegment(
            self._folder,
            self._io,
            session_id=self.session_id,
            number=number,
            first_index=first_index,
            segment_bytes=max(self.settings.segment_bytes, -(-wanted // 4096) * 4096),
        )

    def _check_room(self) -> None:
        wanted = max(self.settings.planned_bytes, self.settings.segment_bytes) + self.settings.reserve_bytes
        free = self._io.free_bytes(self._folder.fd)
        if free < wanted:
            raise RecordingFull(
                f"The recording folder has {free // 2**20} MiB free, the session may need {wanted // 2**20} MiB.",
                mend="Free space, name another recording folder (data_dir), or record a shorter session.",
            )


def _too_slow(timeout_s: float) -> RecordingError:
    return RecordingError(
        f"The disk did not take the recording within {timeout_s:g} s.",
        mend="Use a faster disk for data_dir, or look for what else keeps it busy.",
    )
