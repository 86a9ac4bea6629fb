"""A movie as MP4 (H.264), by an ffmpeg that is installed beside: it runs as a program of its own.

No encoder is part of the project: the good ones are under the GPL or need licences. ffmpeg gets grey pictures through
a pipe, so that memory holds one of them.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from PIL import Image

from scanmend.errors import ConfigurationError, ExportError

_ENCODERS = ("libx264", "libopenh264", "h264_nvenc", "mpeg4")
"""In the order in which they are taken; every player knows H.264, most know MPEG-4."""


class VideoWriter:
    """Writes an MP4; use it in a `with` block.

    Args:
        path: The file, which is written over.
        fps: Pictures a second.
        comment: What the file says of itself.

    Raises:
        ConfigurationError: There is no ffmpeg, or none that can write MP4.
    """

    def __init__(self, path: Path, fps: float, comment: str) -> None:
        self._path, self._fps, self._comment = path, fps, comment
        self._program = _ffmpeg()
        self._encoder = _encoder(self._program)
        self._process: subprocess.Popen[bytes] | None = None
        self._said = tempfile.TemporaryFile()  # closed in __exit__

    def add(self, picture: Image.Image) -> None:
        """Add a grey picture; all have the size of the first.

        Raises:
            ExportError: ffmpeg failed.
        """
        if self._process is None:
            self._process = self._start(picture.size)
        pipe = self._process.stdin
        try:
            if pipe is not None:
                pipe.write(picture.tobytes())
        except BrokenPipeError as error:
            raise self._failed() from error

    def finish(self) -> None:
        """End the file.

        Raises:
            ExportError: ffmpeg failed.
        """
        if self._process is None:
            return
        try:
            if self._process.stdin is not None:
                self._process.stdin.close()
        except BrokenPipeError as error:
            raise self._failed() from error
        if self._process.wait():
            raise self._failed()

    def __enter__(self) -> VideoWriter:
        """Use it in a `with` block."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """End ffmpeg, if it still runs."""
        if self._process is not None:
            if self._process.poll() is None:
                self._process.kill()
            self._process.wait()
            if self._process.stdin is not None:
                with suppress(BrokenPipeError):  # what was not read any more
                    self._process.stdin.close()
        self._said.close()

    def _start(self, size: tuple[int, int]) -> subprocess.Popen[bytes]:
        source = ["-f", "rawvideo", "-pix_fmt", "gray", "-s", f"{size[0]}x{size[1]}", "-r", f"{self._fps:g}"]
        even = "pad=ceil(iw/2)*2:ceil(ih/2)*2"  # H.264 with colours at half size, which all players know, needs it
        quality = {"libx264": ["-crf", "16", "-preset", "medium"], "mpeg4": ["-q:v", "2"]}
        return subprocess.Popen(
            [
                *(self._program, "-hide_banner", "-loglevel", "error", "-y", *source, "-i", "pipe:0"),
                *("-vf", even, "-pix_fmt", "yuv420p", "-c:v", self._encoder, *quality.get(self._encoder, ())),
                *("-metadata", f"comment={self._comment}", "-movflags", "+faststart", "-f", "mp4"),
                str(self._path.absolute()),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=self._said,
        )

    def _failed(self) -> ExportError:
        if self._process is not None:
            self._process.wait()
        self._said.seek(0)
        lines = self._said.read().decode(errors="replace").strip().splitlines()
        return ExportError(
            f"ffmpeg could not write the movie: {lines[-1] if lines else 'it said nothing'}.",
            mend="Look at the disk, or name a file that ends in .gif.",
        )


def _ffmpeg() -> str:
    program = shutil.which("ffmpeg")
    if program is None:
        raise ConfigurationError(
            "Writing an MP4 needs the program ffmpeg, which is not on the PATH.",
            mend="Install it (Debian: apt-get install ffmpeg), or name a file that ends in .gif, which needs nothing.",
        )
    return program


def _encoder(program: str) -> str:
    done = subprocess.run([program, "-hide_banner", "-encoders"], capture_output=True, text=True, timeout=30)
    listed = {words[1] for line in done.stdout.splitlines() if len(words := line.split()) > 1}
    for name in _ENCODERS:
        if name in listed:
            return name
    raise ConfigurationError(
        f"{program} has none of the encoders {', '.join(_ENCODERS)}.",
        mend="Install another ffmpeg, or name a file that ends in .gif.",
    )
