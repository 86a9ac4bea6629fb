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

from scanmend.errors import InvalidInput, RecordingError
from scanmend.record.chain import SegmentChain
from scanmend.record.disk import Buffer, Disk, JournalIO, recording_error
from scanmend.record.folder import SessionFolder
from scanmend.record.format import MAX_BODY_BYTES, EntryKind, stored_bytes
from scanmend.record.pending import PendingEntry
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
        try:
            self._chain = SegmentChain(
                folder,
                io or Disk(),
                self.settings,
                session_id=session_id,
                number=first_segment,
                first_index=first_index,
            )
        except OSError as error:
            raise recording_error(error, "make its first segment") from error
        self._next_index = first_index
        self._durable_index = first_index - 1
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
        return self._chain.written_index

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
        """How many bytes of frames may be appended now, entry headers counted."""
        return max(0, self.settings.queue_bytes - self._held_bytes)

    def has_room(self, body_bytes: int) -> bool:
        """Whether a frame with such a body may be appended now; never one that is larger than the whole queue."""
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
            RecordingError: The journal failed or is closed (its failure says why), or there is no room: ask
                `has_room` before a frame and hold credit back. Other kinds may go beyond by `control_bytes`.
            InvalidInput: A body above 1 GiB, or one that is larger than the whole queue.
        """
        entry = PendingEntry.of(kind, seq, parts, tail_xxh3)
        body_bytes, stored = entry.body_bytes, entry.stored_bytes
        beyond = 0 if kind is EntryKind.FRAME else self.settings.control_bytes
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
            if self._held_bytes + stored > self.settings.queue_bytes + beyond:
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

    def finish(self) -> None:
        """Ask for the end without waiting: `wakeup_fd` tells when `state` is no longer open, then `close` is quick."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()

    def close(self, timeout_s: float = 30.0) -> None:
        """Write what is queued, seal the journal and end the thread; safe to call twice, also after a failure.

        Raises:
            RecordingError: The disk took longer than `timeout_s`, or failed on the way (a failure that was there
                before `close` is not raised again).
        """
        known = self._failure
        self.finish()
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
                for durable_index, stored in self._chain.commit(batch):
                    self._publish(durable_index, stored)
                batch.clear()  # lets the frames' memory go while the thread waits
            doing = "seal its last segment"
            self._chain.seal(self._next_index)
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

    def _publish(self, durable_index: int, stored: int) -> None:
        """Say that the entries up to this one are durable, and give their bytes back to the queue."""
        with self._changed:
            self._durable_index = durable_index
            self._held_bytes -= stored
            self._tell()

    def _end(self, failure: RecordingError | None) -> None:
        self._chain.abandon()
        with self._changed:
            self._failure = failure
            self._state = JournalState.CLOSED if failure is None else JournalState.FAILED
            self._queue.clear()
            self._tell()
        if failure is not None:
            log.error("recording stopped behind entry %d: %s", self._durable_index, failure)

    def _tell(self) -> None:
        """Wake the loop first, then whoever waits in `flush`: after a flush its wake-up is never still to come."""
        os.eventfd_write(self.wakeup_fd, 1)
        self._changed.notify_all()


def _too_slow(timeout_s: float) -> RecordingError:
    return RecordingError(
        f"The disk did not take the recording within {timeout_s:g} s.",
        mend="Use a faster disk for data_dir, or look for what else keeps it busy.",
    )
