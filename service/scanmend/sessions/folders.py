"""Finding sessions in a data folder, who writes them just now, and having the folder to oneself for a moment."""

from __future__ import annotations

import contextlib
import difflib
import fcntl
import json
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

from scanmend.errors import InvalidInput, RecordingError
from scanmend.ipc.rundir import PREFIX, default_base, start_ticks
from scanmend.record import session_path
from scanmend.wire.messages import check_session_name

SESSIONS = "sessions"
PATIENCE_S = 10.0
"""Another command that changes the data folder has this long to be done."""

_LOCK = re.compile(r"\d+: FLOCK +\S+ +\S+ +-?\d+ +[0-9a-f]+:[0-9a-f]+:(\d+) ")


def session_folders(data_dir: Path) -> list[Path]:
    """The folders of all sessions, by name; whatever cannot be one is passed over.

    Raises:
        RecordingError: There is no such data folder, or it cannot be read.
    """
    try:
        with os.scandir(data_dir / SESSIONS) as entries:
            names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        if data_dir.is_dir():
            return []  # nothing was recorded yet
        raise _no_folder(data_dir) from None
    except OSError as error:
        raise RecordingError(
            f"The recordings in {data_dir} cannot be read: {error.strerror}.", mend="Run this as the service's user."
        ) from error
    return [data_dir / SESSIONS / name for name in sorted(names) if may_be_session(name)]


def find_session(data_dir: Path, name: str) -> Path:
    """The folder of a session.

    Raises:
        InvalidInput: No session can have, or has, this name; the text names those that are spelt alike.
        RecordingError: There is no such data folder.
    """
    path = session_path(data_dir, name)
    if path.is_dir() and not path.is_symlink():
        return path
    names = [folder.name for folder in session_folders(data_dir)]
    lower = name.lower()
    near = [other for other in names if other.lower().startswith(lower)][:3]
    near += [other for other in difflib.get_close_matches(name, names, n=3, cutoff=0.6) if other not in near]
    meant = f"Did you mean {' or '.join(near[:3])}? " if near else ""
    raise InvalidInput(
        f"There is no session {name} in {data_dir}.", mend=f"{meant}`scanmend sessions` lists those that there are."
    )


def held_inodes() -> frozenset[int]:
    """Inodes of the files and folders on which some process holds a lock: an open session's folder is one of them.

    The kernel's list is read, and no lock is tried: a listing that held the lock for a moment could turn away the
    service that wants it. Device numbers are not compared, since some file systems give another one to `stat`.
    A lock taken in another container may not be in the list; acts that matter therefore take the lock themselves.
    """
    try:
        text = Path("/proc/locks").read_text()
    except OSError:
        return frozenset()
    return frozenset(int(match[1]) for match in map(_LOCK.match, text.splitlines()) if match)


def services_on(data_dir: Path) -> list[int]:
    """Process ids of the running services of this user that record into a data folder."""
    wanted = data_dir.resolve()
    found = []
    for run_dir in default_base().glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):  # another user's, or just going away
            owner = json.loads((run_dir / "owner").read_bytes())
            pid = int(owner["pid"])
            if start_ticks(pid) != owner["start_ticks"]:
                continue
            folder = Path(json.loads((run_dir / "settings.json").read_bytes())["data_dir"])
            if (Path(f"/proc/{pid}/cwd").readlink() / folder).resolve() == wanted:
                found.append(pid)
    return sorted(found)


@contextlib.contextmanager
def alone(data_dir: Path, patience_s: float = PATIENCE_S) -> Iterator[None]:
    """Keep other commands from changing tags, catalogue or folders meanwhile; the service is not held up by it.

    Raises:
        RecordingError: There is no such folder, or another command does not come to its end.
    """
    try:
        fd = os.open(data_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise _no_folder(data_dir) from None
    except OSError as error:
        raise RecordingError(
            f"The data folder {data_dir} cannot be opened: {error.strerror}.", mend="Name another with --data-dir."
        ) from error
    deadline_s = time.monotonic() + patience_s
    try:
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() > deadline_s:
                    raise RecordingError(
                        f"Another command has been changing {data_dir} for {patience_s:.0f} s.",
                        mend="Wait until it is done, or end it, and try again.",
                    ) from error
                time.sleep(0.02)
        yield
    finally:
        os.close(fd)


def _no_folder(data_dir: Path) -> RecordingError:
    return RecordingError(
        f"There is no data folder {data_dir}.", mend="Name the service's with --data-dir or SCANMEND_DATA_DIR."
    )


def may_be_session(name: str) -> bool:
    """Whether a session's folder can have this name."""
    try:
        check_session_name(name)
    except InvalidInput:
        return False
    return True
