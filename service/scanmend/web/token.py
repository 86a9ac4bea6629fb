"""The access token: made at the first start, kept in a file that only its owner can read, compared in constant time."""

from __future__ import annotations

import hmac
import os
import secrets
import stat
from pathlib import Path

from scanmend.errors import ConfigurationError

FILE_NAME = "access-token"
_MAX_BYTES = 256
_MIN_CHARACTERS = 32


def load_or_make(data_dir: Path) -> str:
    """The service's token, made if there is none yet.

    Args:
        data_dir: The folder that holds it; made if it is missing.

    Raises:
        ConfigurationError: The file cannot be made or read, is a link, belongs to somebody else, or others may
            read it.
    """
    path = data_dir / FILE_NAME
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return _read(path)
    except OSError as error:
        raise ConfigurationError(
            f"The access token cannot be written to {data_dir}: {error.strerror}.",
            mend="Choose a data_dir that the service's user may write to.",
        ) from error
    token = secrets.token_urlsafe(32)
    with os.fdopen(fd, "w") as file:
        os.fchmod(file.fileno(), 0o600)  # open's mode is narrowed by the umask, and could be 0o400
        file.write(token + "\n")
        file.flush()
        os.fsync(file.fileno())
    return token


def _read(path: Path) -> str:
    mend = f"Remove {path}; a new token is made at the next start."
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise ConfigurationError(f"The access token cannot be read: {error.strerror}.", mend=mend) from error
    with os.fdopen(fd, "rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.getuid():
            raise ConfigurationError("The access token is not a file of the service's own user.", mend=mend)
        if found.st_mode & 0o077:
            raise ConfigurationError("Others on this machine may read the access token.", mend=mend)
        token = file.read(_MAX_BYTES).decode("ascii", "replace").strip()
    if len(token) < _MIN_CHARACTERS or not token.isascii() or not token.isprintable():
        raise ConfigurationError("The access token's file holds no token.", mend=mend)
    return token


def same(given: str, token: str) -> bool:
    """Whether a token that somebody gave is the right one; takes the same time for every wrong one."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), token.encode())
