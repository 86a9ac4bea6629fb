"""The folder that a running service keeps its shared memory and sockets in.

``/dev/shm/scanmend-<random>``, mode 0700, made and removed by the supervisor. A service that was killed cannot
remove its folder; the next one that starts does. Whether the owner still lives is asked in two ways that must
agree: a lock on the file ``owner``, which the kernel drops when the owner dies, and the pid with its start time
in that file (a pid alone may have been given to another process since).
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import secrets
import shutil
import stat
import tempfile
import time
from pathlib import Path

from scanmend.errors import ConfigurationError

log = logging.getLogger(__name__)

PREFIX = "scanmend-"
_OWNER = "owner"
_GRACE_S = 60.0


class RunDir:
    """A run folder that this process owns.

    Args:
        path: The folder.
        lock_fd: The locked descriptor of its ``owner`` file.
    """

    def __init__(self, path: Path, lock_fd: int) -> None:
        self.path = path
        self._lock_fd = lock_fd

    @classmethod
    def create(cls, base: Path | None = None) -> RunDir:
        """Make a run folder.

        Args:
            base: Where; by default /dev/shm, or the temporary folder where there is none.

        Raises:
            ConfigurationError: The place cannot be written.
        """
        home = default_base() if base is None else base
        path = home / f"{PREFIX}{secrets.token_hex(8)}"
        try:
            path.mkdir(mode=0o700)
            path.chmod(0o700)  # mkdir's mode is narrowed by the umask
            fd = os.open(path / _OWNER, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.write(fd, json.dumps({"pid": os.getpid(), "start_ticks": start_ticks(os.getpid())}).encode())
        except OSError as error:
            raise ConfigurationError(
                f"No run folder can be made in {home}: {error.strerror}.",
                mend="Let the service's user write to /dev/shm.",
            ) from error
        return cls(path, fd)

    def remove(self) -> None:
        """Remove the folder with all that is in it; safe to call twice."""
        if self._lock_fd >= 0:
            shutil.rmtree(self.path, ignore_errors=True)
            os.close(self._lock_fd)
            self._lock_fd = -1

    def __enter__(self) -> RunDir:
        """Use it in a `with` block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Remove it."""
        self.remove()


def default_base() -> Path:
    """/dev/shm where it can be written, else the folder for temporary files."""
    shm = Path("/dev/shm")
    return shm if shm.is_dir() and os.access(shm, os.W_OK | os.X_OK) else Path(tempfile.gettempdir())


def start_ticks(pid: int) -> int | None:
    """When a process started, in clock ticks since boot (field 22 of /proc/PID/stat); None when there is none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The second field is the program's name in parentheses and may hold anything, spaces included.
    fields = text[text.rindex(")") + 2 :].split()
    return None if fields[0] in "ZX" else int(fields[19])


def remove_stale_run_dirs(base: Path | None = None) -> list[Path]:
    """Remove the run folders of this user whose owner is dead.

    Returns:
        What was removed.
    """
    removed = []
    for path in sorted((default_base() if base is None else base).glob(f"{PREFIX}*")):
        with contextlib.suppress(FileNotFoundError):  # another service may be tidying up as well
            if _is_stale(path):
                shutil.rmtree(path, ignore_errors=True)
                removed.append(path)
                log.info("removed the run folder of a service that had died")
    return removed


def _is_stale(path: Path) -> bool:
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        return False
    try:
        fd = os.open(path / _OWNER, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return time.time() - found.st_mtime > _GRACE_S  # else it may be in the making
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        owner = json.loads(os.read(fd, 4096) or b"{}")
        pid, ticks = owner.get("pid"), owner.get("start_ticks")
    except BlockingIOError:
        return False
    except (ValueError, AttributeError):
        return time.time() - found.st_mtime > _GRACE_S
    finally:
        os.close(fd)
    return not (isinstance(pid, int) and start_ticks(pid) == ticks)
