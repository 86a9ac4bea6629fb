"""The tokens' files: made at the first start, readable by their owner alone, replaced whole."""

from __future__ import annotations

import hmac
import os
import secrets
import stat
from enum import StrEnum
from pathlib import Path

from scanmend.errors import ConfigurationError

FILE_NAME = "access-token"
"""The file of the token that may do everything."""
_MAX_BYTES = 256
_MIN_CHARACTERS = 32


class Role(StrEnum):
    """What the holder of a token may do."""

    READ = "read"
    """See everything."""
    OPERATE = "operate"
    """See everything, command microscopes, change what is recorded about recordings."""


FILE_NAMES = {Role.OPERATE: FILE_NAME, Role.READ: "read-token"}
"""In the data folder."""


def load_or_make(data_dir: Path, role: Role = Role.OPERATE) -> str:
    """The token of a role, made if there is none yet.

    Args:
        data_dir: The folder that holds it; made if it is missing.
        role: Whose token.

    Raises:
        ConfigurationError: The file cannot be made or read, is a link, belongs to somebody else, or others may
            read it.
    """
    path = data_dir / FILE_NAMES[role]
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        if not os.path.lexists(path):
            return _make(path, replace=False)
    except FileExistsError:
        pass  # another process was faster
    except OSError as error:
        raise _not_written(data_dir, error) from error
    return load(path)


def rotate(data_dir: Path, role: Role) -> str:
    """Replace the token of a role; a running service takes the new one, and only that, within a second.

    Args:
        data_dir: The service's data folder.
        role: Whose token.

    Returns:
        The new token.

    Raises:
        ConfigurationError: There is no such folder, or it cannot be written.
    """
    if not data_dir.is_dir():
        raise ConfigurationError(
            f"There is no data folder {data_dir}.", mend="Name the service's with --data-dir or SCANMEND_DATA_DIR."
        )
    try:
        return _make(data_dir / FILE_NAMES[role], replace=True)
    except OSError as error:
        raise _not_written(data_dir, error) from error


def _make(path: Path, *, replace: bool) -> str:
    """Write a new token aside, whole and synced, and give it its name."""
    aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    token = secrets.token_urlsafe(32)
    fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(fd, "w") as file:
            os.fchmod(file.fileno(), 0o600)  # open's mode is narrowed by the umask, and could be 0o400
            file.write(token + "\n")
            file.flush()
            os.fsync(file.fileno())
        if replace:
            os.replace(aside, path)
            return token
        os.link(aside, path)  # fails where there is one already, unlike a rename
    except BaseException:
        os.unlink(aside)
        raise
    os.unlink(aside)
    return token


def _not_written(data_dir: Path, error: OSError) -> ConfigurationError:
    return ConfigurationError(
        f"The access token cannot be written to {data_dir}: {error.strerror}.",
        mend="Choose a data_dir that the service's user may write to.",
    )


def load(path: Path) -> str:
    """Read a token's file.

    Raises:
        ConfigurationError: It cannot be read, is a link, belongs to somebody else, or others may read it.
    """
    mend = f"Remove {path}; a new token is then made."
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
