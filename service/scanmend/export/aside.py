"""A file, or a folder, that has its name only when it is whole.

It is written under a hidden name in the same folder, synced, and renamed. An export that was killed leaves what is
hidden behind; the next one of the same name writes over it. A lock on it keeps two exports apart.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from scanmend.errors import ExportError, InvalidInput

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextmanager
def written_aside(target: Path, *, force: bool = False) -> Iterator[Path]:
    """Give the name under which to write; when the block ends well, the file gets its own name, else it is removed.

    Args:
        target: The final name.
        force: Whether a file of that name may be replaced.

    Raises:
        InvalidInput: There is such a file, and `force` is False; or it is a folder.
        ExportError: The folder cannot be written, the disk is full, or another export is writing the same file.
    """
    check_target(target, force=force)
    aside = target.with_name(f".{target.name}.part")
    fd = _open_locked(aside, target)
    try:
        yield aside
        os.fsync(fd)
        check_target(target, force=force)
        os.replace(aside, target)
        _sync_folder(target.parent)
    except BaseException as error:
        with suppress(OSError):
            aside.unlink()
        if isinstance(error, OSError):
            raise export_error(error, target) from error
        raise
    finally:
        os.close(fd)


@contextmanager
def folder_written_aside(target: Path, *, force: bool = False) -> Iterator[Path]:
    """The same for a folder of files, each of which is synced before the folder gets its name.

    What it replaces stays under a hidden name, `.NAME.old`, until the new one has its name.

    Args:
        target: The final name.
        force: Whether a Zarr folder of that name may be replaced; no other one ever is.

    Raises:
        InvalidInput: There is something of that name, and `force` is False or it is no Zarr folder.
        ExportError: The place cannot be written, the disk is full, or another export is writing the same folder.
    """
    check_folder_target(target, force=force)
    aside, old = (target.with_name(f".{target.name}.{end}") for end in ("part", "old"))
    fd = _open_locked_folder(aside, target)
    try:
        yield aside
        _sync_tree(aside)
        check_folder_target(target, force=force)
        if target.exists():
            shutil.rmtree(old, ignore_errors=True)
            os.rename(target, old)
        os.rename(aside, target)
        _sync_folder(target.parent)
        shutil.rmtree(old, ignore_errors=True)
    except BaseException as error:
        shutil.rmtree(aside, ignore_errors=True)
        if isinstance(error, OSError):
            raise export_error(error, target) from error
        raise
    finally:
        os.close(fd)


def check_folder_target(target: Path, *, force: bool) -> None:
    """As `check_target`, for a Zarr folder: with `force` one that is there is replaced, any other thing never is."""
    if os.path.lexists(target):
        if target.is_symlink() or not (target / ".zgroup").is_file():
            raise InvalidInput(f"{target} is there, and is no Zarr folder.", mend="Name another one with --out.")
        if not force:
            raise InvalidInput(f"{target} is there already.", mend="Name another one with --out, or say --force.")
    check_place(target)


def check_target(target: Path, *, force: bool) -> None:
    """See, before any work is done, that the file may be written.

    Raises:
        InvalidInput: There is one of that name already.
        ExportError: Its folder is missing or cannot be written.
    """
    if target.is_dir():
        raise InvalidInput(f"{target} is a folder.", mend="Name a file with --out.")
    if not force and os.path.lexists(target):
        raise InvalidInput(f"{target} is there already.", mend="Name another file with --out, or say --force.")
    check_place(target)


def check_place(target: Path) -> None:
    """See that the folder of `target` is there and can be written; raises ExportError."""
    if not target.parent.is_dir():
        raise ExportError(f"There is no folder {target.parent}.", mend="Make it, or name another with --out.")
    if not os.access(target.parent, os.W_OK | os.X_OK):
        raise ExportError(f"The folder {target.parent} cannot be written.", mend="Name another one with --out.")


def export_error(error: OSError, target: Path) -> ExportError:
    """An error of the disk, in words."""
    cut_short = error.errno is None and "requested and" in str(error)  # numpy's tofile keeps the reason to itself
    if error.errno in _FULL or cut_short:
        return ExportError(
            f"There is no room for {target}.",
            mend="Free some space or name another disk with --out; nothing half written is left.",
        )
    reason = error.strerror or str(error)
    return ExportError(f"{target} cannot be written: {reason}.", mend="Look at the disk, or name another with --out.")


def _open_locked(aside: Path, target: Path) -> int:
    while True:
        try:
            fd = os.open(aside, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise export_error(error, target) from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_same(fd, aside):  # else the export that held it has renamed it in between: this is its result
                os.ftruncate(fd, 0)
                return fd
        except BlockingIOError as error:
            os.close(fd)
            raise ExportError(
                f"Another export is writing {target}.", mend="Wait for it, or name another file with --out."
            ) from error
        except OSError as error:
            os.close(fd)
            raise export_error(error, target) from error
        os.close(fd)


def _open_locked_folder(aside: Path, target: Path) -> int:
    """An empty hidden folder with a lock on it; what an export that was killed left there is removed."""
    try:
        with suppress(FileExistsError):
            aside.mkdir()
        fd = os.open(aside, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise export_error(error, target) from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not _is_same(fd, aside):  # the export that held it has renamed it in between
            raise BlockingIOError
        for left in aside.iterdir():
            shutil.rmtree(left) if left.is_dir() and not left.is_symlink() else left.unlink()
    except BlockingIOError as error:
        os.close(fd)
        raise ExportError(
            f"Another export is writing {target}.", mend="Wait for it, or name another one with --out."
        ) from error
    except OSError as error:
        os.close(fd)
        raise export_error(error, target) from error
    return fd


def _sync_tree(folder: Path) -> None:
    """Sync every file under a folder, and every folder."""
    for place, _folders, files in os.walk(folder):
        for name in files:
            fd = os.open(os.path.join(place, name), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)
        _sync_folder(Path(place))


def _is_same(fd: int, path: Path) -> bool:
    try:
        found = os.stat(path, follow_symlinks=False)
    except FileNotFoundError:
        return False
    mine = os.fstat(fd)
    return (found.st_dev, found.st_ino) == (mine.st_dev, mine.st_ino)


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
