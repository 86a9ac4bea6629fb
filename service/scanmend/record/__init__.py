"""The journal of a session: everything that came and went, on disk before it is acknowledged as durable.

`create_journal` and `reopen_for_append` give a `JournalWriter`; `scan` says what a journal holds and what of it is
damaged; `JournalReader` reads single frames, also while the journal grows. `docs/recording.md` has the format.
"""

from __future__ import annotations

from scanmend.record.disk import Disk, JournalIO
from scanmend.record.folder import RECEIPT_NAME, SessionFolder, session_path
from scanmend.record.format import EntryKind
from scanmend.record.notes import (
    ApprovalNote,
    ModelNote,
    Note,
    ProblemNote,
    RecordNote,
    StartNote,
    TermsNote,
    read_note,
    write_note,
)
from scanmend.record.opening import create_journal, reopen_for_append
from scanmend.record.reader import JournalReader, Place
from scanmend.record.receipt import write_receipt
from scanmend.record.report import Damage, Entry, ScanReport, Tail, TailState
from scanmend.record.scan import Scan, scan
from scanmend.record.settings import JournalSettings
from scanmend.record.writer import JournalState, JournalWriter

__all__ = [
    "RECEIPT_NAME",
    "ApprovalNote",
    "Damage",
    "Disk",
    "Entry",
    "EntryKind",
    "JournalIO",
    "JournalReader",
    "JournalSettings",
    "JournalState",
    "JournalWriter",
    "ModelNote",
    "Note",
    "Place",
    "ProblemNote",
    "RecordNote",
    "Scan",
    "ScanReport",
    "SessionFolder",
    "StartNote",
    "Tail",
    "TailState",
    "TermsNote",
    "create_journal",
    "read_note",
    "reopen_for_append",
    "scan",
    "session_path",
    "write_note",
    "write_receipt",
]
