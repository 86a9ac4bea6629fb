"""A session as a moving picture: its passes, or how its exposure grew, with words and scale in every picture.

The kind of file follows the name: `.gif` plays everywhere and needs nothing; `.mp4` is many times smaller and needs
an ffmpeg beside (decision 0014).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from PIL import Image

from scanmend.errors import InvalidInput
from scanmend.export.aside import check_target, written_aside
from scanmend.export.drawn import captioned, fitted, grey_levels, levels_of
from scanmend.export.gif import GifWriter
from scanmend.export.growth import Step, count_steps, steps
from scanmend.export.options import Loader
from scanmend.export.pictures import Shown, mended, nothing_to_show, picture_of, restored_picture
from scanmend.export.restored import ESTIMATE
from scanmend.export.session import RecordedSession
from scanmend.export.snapshot import Picture
from scanmend.export.video import VideoWriter

SUFFIXES = (".gif", ".mp4")
MOST_SIDE_PX = 1024
"""Larger fields are made smaller by a whole factor."""
_LEVELS_FROM = 9
"""Pictures, evenly spread over the movie, that settle its levels."""

_Add = Callable[[Image.Image], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class MovieOptions:
    """How a movie is made."""

    fps: float = 10.0
    """Pictures a second."""
    every: int = 1
    """1: a picture for each pass; n: for each n-th, and the last one."""
    fixed_levels: bool = True
    """Whether black and white mean the same in all pictures, and not each picture's own darkest and brightest."""

    def __post_init__(self) -> None:
        """Check the numbers."""
        if not (math.isfinite(self.fps) and 0.1 <= self.fps <= 50):
            raise InvalidInput(f"A movie of {self.fps:g} pictures a second cannot be made.", mend="Say 0.1 to 50.")
        if self.every < 1:
            raise InvalidInput(f"Every {self.every}th pass is no choice of passes.", mend="Say 1 or more.")


def write_movie(
    session: RecordedSession,
    target: Path,
    shown: Shown,
    load: Loader | None,
    model: str | None,
    *,
    options: MovieOptions | None = None,
    force: bool,
) -> int:
    """Write a picture for each pass; gives how many there are.

    In mode `frames` each complete pass is restored alone; in mode `exposure` each picture is of all passes so far. The
    levels are those of nine pictures, spread over the movie, together. Every picture says what it shows, which pass it
    is and how long after the first; restored ones say so. Memory holds one field with its picture.

    Args:
        session: The recording.
        target: The file, `.gif` or `.mp4`.
        shown: The model's estimate, its standard deviation, or the data.
        load: Gives the restorer.
        model: The model that restores; None for the one that the session asked for.
        options: Rate, choice of passes and levels.
        force: Whether a file of that name may be replaced.

    Raises:
        ConfigurationError: An MP4 needs a program that is not there.
        RecordingError: There is no pass that could be shown.
        ExportError: A picture could not be restored, or the file not be written.
        InvalidInput: The file is there already, or has another suffix.
    """
    how = options or MovieOptions()
    if target.suffix not in SUFFIXES:
        raise InvalidInput(
            f"A movie cannot be written as {target.name}.", mend="Name a file that ends in .gif or .mp4."
        )
    check_target(target, force=force)
    loaded = None if load is None else cache(load)
    total = count_steps(session)
    numbers = sorted({*range(0, total, how.every), *([total - 1] if total else ())})
    if not numbers:
        raise nothing_to_show(session)

    def pictures(chosen: set[int]) -> Iterator[tuple[Step, Picture]]:
        for step in steps(session, chosen.__contains__):
            yield step, _picture(session, step, shown, loaded, model)

    levels = None
    if how.fixed_levels:
        spread = {numbers[round(part * (len(numbers) - 1) / (_LEVELS_FROM - 1))] for part in range(_LEVELS_FROM)}
        levels = levels_of([picture.values for _, picture in pictures(spread)])
    count, first_ns = 0, 0
    what = "data" if shown is Shown.DATA else f"made by a model at export: {ESTIMATE}"
    with _writer(target, how.fps, f"Scanmend session {session.hello.session}, {what}", force=force) as add:
        size: tuple[int, int] | None = None
        for step, picture in pictures(set(numbers)):
            first_ns = first_ns or step.acquired_unix_ns
            drawn = _drawn(picture, levels, _moment(session, step, total, first_ns))
            size = size or drawn.size
            add(drawn if drawn.size == size else _of_size(drawn, size))
            count += 1
        if not count:
            raise nothing_to_show(session)
    return count


def _picture(session: RecordedSession, step: Step, shown: Shown, load: Loader | None, model: str | None) -> Picture:
    if shown is Shown.DATA:
        return picture_of(session, step.exposure, "all passes so far" if session.adds_up else "one pass")
    return restored_picture(session, shown, mended(session, step.exposure, load, model))


def _moment(session: RecordedSession, step: Step, total: int, first_ns: int) -> str:
    words = [f"{'up to pass' if session.adds_up else 'pass'} {step.pass_index} ({step.number + 1} of {total})"]
    if step.acquired_unix_ns >= first_ns > 0:
        words.append(f"{(step.acquired_unix_ns - first_ns) / 1e9:.2f} s after the first")
    if step.dose_e_per_nm2 is not None:
        words.append(f"{step.dose_e_per_nm2:.4g} e/nm^2")
    return ", ".join(words)


def _drawn(picture: Picture, levels: tuple[float, float] | None, moment: str) -> Image.Image:
    values, factor = fitted(picture.values, MOST_SIDE_PX)
    own = "" if levels is not None else " (levels of each picture by itself)"
    sentences = [moment, f"{picture.title}: {picture.words}{own}"]
    return captioned(grey_levels(values, levels), picture.pixel_size_nm / factor, sentences)


def _of_size(drawn: Image.Image, size: tuple[int, int]) -> Image.Image:
    """The picture in the first one's size: a longer time may have taken another line."""
    made = Image.new("L", size, 0)
    made.paste(drawn, (0, 0))
    return made


@contextmanager
def _writer(target: Path, fps: float, comment: str, *, force: bool) -> Iterator[_Add]:
    with written_aside(target, force=force) as aside:
        if target.suffix == ".mp4":
            with VideoWriter(aside, fps, comment) as video:
                yield video.add
                video.finish()
            return
        with aside.open("r+b") as file:
            made = GifWriter(file, comment)
            yield lambda picture: made.add(picture, 1 / fps)
            made.finish()
