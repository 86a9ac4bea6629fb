"""Which reader opens a file: one of this package, or RosettaSciIO in a process of its own."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from scanmend.errors import InvalidInput, MissingExtra
from scanmend.sources.files.hdf5 import Hdf5Reader
from scanmend.sources.files.mib import MibReader
from scanmend.sources.files.piped import PipedReader
from scanmend.sources.files.signals import Reader
from scanmend.sources.files.tiff import TiffReader

OWN: dict[str, Callable[[Path], Reader]] = {
    **dict.fromkeys((".tif", ".tiff"), TiffReader),
    **dict.fromkeys((".h5", ".hdf5", ".hspy", ".emd", ".nxs"), Hdf5Reader),
    ".mib": MibReader,
}
"""Formats that need no other program, by the end of the file's name."""

SCRIPT = Path(__file__).with_name("readers") / "read_with_rosettasciio.py"

ENVIRONMENT = "SCANMEND_READER_PYTHON"
"""Variable with the Python that has RosettaSciIO, for those who do not want to name it each time."""

PATIENCE_S = 60.0


def open_file(path: Path, reader: str = "", reader_python: str = "") -> Reader:
    """Open a file for replay.

    Args:
        path: The file.
        reader: A command that reads it, as docs/adapters.md describes; the path comes behind it.
        reader_python: A Python with the package rosettasciio, which then reads it.

    Raises:
        InvalidInput: The file is not there, or cannot be read.
        MissingExtra: It needs RosettaSciIO, and no Python that has it was found.
    """
    if not path.is_file():
        raise InvalidInput(f"There is no file {path}.", mend="Give the path of one file.")
    if path.stat().st_size == 0:
        raise InvalidInput(f"{path} is empty.", mend="Copy it again from where it was made.")
    if reader:
        return PipedReader(shlex.split(reader), path)
    own = OWN.get(path.suffix.lower())
    if own is not None and not reader_python:
        return own(path)
    return PipedReader([_python(reader_python, path), "-I", str(SCRIPT)], path)


def _python(given: str, path: Path) -> str:
    """A Python that has RosettaSciIO."""
    tried = [given] if given else [os.environ.get(ENVIRONMENT, ""), sys.executable, "python3"]
    for python in dict.fromkeys(word for word in tried if word):
        if _has_rosettasciio(python):
            return python
    raise MissingExtra(
        f"{path.name} is read by RosettaSciIO, which {given or 'no Python that was tried'} does not have.",
        mend=f"Run `pip install rosettasciio` anywhere, and give that Python by --reader-python or {ENVIRONMENT}.",
    )


def _has_rosettasciio(python: str) -> bool:
    look = "import importlib.util, sys; sys.exit(importlib.util.find_spec('rsciio') is None)"
    try:
        done = subprocess.run([python, "-I", "-c", look], capture_output=True, timeout=PATIENCE_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
