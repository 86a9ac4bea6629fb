"""The receipt beside a journal: a folder without one is a session that has not ended."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from scanmend.errors import RecordingError
from scanmend.record.folder import RECEIPT_NAME, session_path
from scanmend.wire.messages import Receipt


def write_receipt(folder: Path, receipt: Receipt) -> None:
    """Leave the receipt beside the journal, whole or not at all.

    Args:
        folder: The data folder.
        receipt: The account of a session that has ended.

    Raises:
        RecordingError: The disk refused it.
    """
    path = session_path(folder, receipt.session) / RECEIPT_NAME
    aside = path.with_name(f".{RECEIPT_NAME}.{os.getpid()}")
    data = msgspec.json.format(msgspec.json.encode(receipt), indent=2)
    try:
        fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(fd)
        aside.rename(path)
    except OSError as error:
        raise RecordingError(
            f"The receipt of session {receipt.session} could not be written: {error.strerror}.",
            mend="The journal is whole; free some space in the recordings folder.",
        ) from error
