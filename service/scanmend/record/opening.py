"""Beginning a session's journal, and going on with one after its writer has died."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from scanmend.errors import DamagedRecording, RecordingError
from scanmend.record.disk import Disk, JournalIO, recording_error, write_all
from scanmend.record.folder import SessionFolder, session_path
from scanmend.record.format import EntryFlag
from scanmend.record.report import Entry, ScanReport
from scanmend.record.scan import Scan
from scanmend.record.segment import pack_seal
from scanmend.record.segment_file import SegmentFile
from scanmend.record.settings import JournalSettings
from scanmend.record.writer import JournalWriter

log = logging.getLogger(__name__)


def create_journal(
    data_dir: Path,
    name: str,
    session_id: int,
    *,
    settings: JournalSettings | None = None,
    io: JournalIO | None = None,
) -> JournalWriter:
    """Begin the journal of a new session in ``<data_dir>/sessions/<name>``.

    It waits for the disk (a folder and one segment are made durable): a few milliseconds on a healthy one.

    Raises:
        InvalidInput: The name cannot be one.
        RecordingError: The session has a journal already; `reopen_for_append` continues it.
        RecordingFull: Less room than planned, or none for the first segment.
        RecordingNotWritable: The folder cannot be written, or another writer has it.
    """
    with ExitStack() as undo:
        folder = undo.enter_context(SessionFolder.make(data_dir, name))
        folder.lock()
        if folder.segments():
            raise RecordingError(
                f"Session {name!r} has a recording already.", mend="Use another name, or continue that session."
            )
        writer = JournalWriter(folder, session_id, settings=settings, io=io)
        undo.pop_all()
    return writer


def reopen_for_append(
    data_dir: Path,
    name: str,
    *,
    settings: JournalSettings | None = None,
    io: JournalIO | None = None,
    each: Callable[[Entry, memoryview, memoryview], None] | None = None,
) -> tuple[JournalWriter, ScanReport]:
    """Go on with a session's journal, closed or not: a torn tail is cut off, indexes continue in a new segment.

    Everything is read and checked first, so it takes as long as reading the recording does. When it returns, every
    entry that it read is durable, also those that the dead writer had not synced yet.

    Args:
        data_dir: The data folder.
        name: The session.
        settings: Sizes of what is written from now on.
        io: The disk; tests give another.
        each: Called with every good entry, its head and its tail, in order: what a caller needs to take the session
            up again, without reading it twice.

    Returns:
        The writer, and what was found before anything was changed.

    Raises:
        RecordingError: There is no such recording.
        DamagedRecording: Not one segment header can be read, so it is unknown whose recording this is.
        RecordingFull: No room for another segment.
        RecordingNotWritable: The folder cannot be written, or another writer has it.
    """
    disk: JournalIO = io or Disk()
    with ExitStack() as undo:
        folder = undo.enter_context(SessionFolder.open(session_path(data_dir, name)))
        folder.lock()
        with Scan(folder) as found:
            for entry in found:
                if each is not None:
                    each(entry, *found.body(entry))
            report = found.report
        if report.session_id is None:
            raise DamagedRecording(
                f"No segment of session {name!r} can be read.",
                mend="Move its folder away and start the session again; what is in the folder cannot be continued.",
            )
        try:
            first_segment = _tidy(folder, report, disk)
        except OSError as error:
            raise recording_error(error, "be made ready for more") from error
        writer = JournalWriter(
            folder,
            report.session_id,
            settings=settings,
            io=io,
            first_segment=first_segment,
            first_index=report.next_index,
        )
        undo.pop_all()
    if report.tail.torn_bytes or report.damages:
        log.warning(
            "recording of session %s continued behind entry %d: %d torn bytes cut off, %d entries lost",
            name,
            report.next_index - 1,
            report.tail.torn_bytes,
            report.entries_lost,
        )
    return writer, report


def _tidy(folder: SessionFolder, report: ScanReport, io: JournalIO) -> int:
    """Cut the torn tail off and seal it; the number of the segment that comes next. May raise OSError.

    A segment whose header cannot be read stays where it is, for whoever can make more of it.
    """
    tail = report.tail
    for number in reversed(folder.segments()):
        if number <= tail.segment or not _is_blank(folder, number):
            break
        folder.remove_segment(number)  # it was being made when the power went
    _make_durable(folder, report, io)
    io.sync(folder.fd, metadata=True)
    return folder.segments()[-1] + 1


def _is_blank(folder: SessionFolder, number: int) -> bool:
    file = SegmentFile(folder, number)
    try:
        return file.used_from(0) == 0
    finally:
        file.close()


def _make_durable(folder: SessionFolder, report: ScanReport, io: JournalIO) -> None:
    """Cut and seal the last segment where that is not done, and sync it in any case.

    Its writer may have died between the seal and the fdatasync. Every segment before it was synced before the next
    one was made.
    """
    tail = report.tail
    file = SegmentFile(folder, tail.segment)
    header = file.header
    file.close()
    if header is None:
        raise DamagedRecording("A segment's header vanished while it was read.", mend="Look at the disk.")
    fd = folder.open_segment(tail.segment, writable=True)
    try:
        if not tail.sealed:
            io.truncate(fd, tail.offset)
            seal = pack_seal(report.next_index, EntryFlag.RECOVERED, header.salt)
            write_all(io, fd, [seal], tail.offset)
        io.sync(fd)
    finally:
        os.close(fd)
