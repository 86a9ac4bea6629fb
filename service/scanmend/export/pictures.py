"""One picture of a session, as data or restored, and the files that show it: OME-TIFF and PNG.

For a picture that is in memory, without a recording, see `scanmend.export.snapshot`: `png_bytes` and `tiff_bytes`.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from scanmend.errors import ExportError, InvalidInput, RecordingError
from scanmend.export.aside import check_target, written_aside
from scanmend.export.maps import mean_values
from scanmend.export.options import Loader, Restored
from scanmend.export.passes import last_pass, whole_pictures
from scanmend.export.restored import ESTIMATE, marking, mend
from scanmend.export.session import RecordedSession
from scanmend.export.snapshot import Picture, ome_about, png_bytes, write_pages, write_picture
from scanmend.export.sums import sum_up
from scanmend.exposure import Exposure


class Shown(StrEnum):
    """Which picture is written."""

    DATA = "data"
    """What was measured: every complete pass in mode `frames`, else the mean signal of all passes."""
    RESTORED = "restored"
    """A model's estimate."""
    SIGMA = "sigma"
    """The estimate's standard deviation."""


def one_picture(session: RecordedSession, shown: Shown, load: Loader | None, model: str | None) -> Picture:
    """The exposure of the restored channel, or what a model makes of it.

    Raises:
        RecordingError: There is no frame that could be put in its place.
        ExportError: A restored picture was asked for and could not be made.
    """
    exposure = exposure_of(session)
    if shown is Shown.DATA:
        return picture_of(session, exposure, "all passes" if session.adds_up else "last complete pass")
    return restored_picture(session, shown, mended(session, exposure, load, model))


def mended(session: RecordedSession, exposure: Exposure, load: Loader | None, model: str | None) -> Restored:
    """What a model makes of an exposure.

    Raises:
        ExportError: It could not be made.
    """
    restored = None if load is None else mend(session, exposure, load, model)
    if restored is None:
        raise ExportError(
            f"The picture could not be restored: {'; '.join(session.problems.texts[-1:])}",
            mend="Name a model of `scanmend models list` with --model, or export the data.",
        )
    return restored


def picture_of(session: RecordedSession, exposure: Exposure, what: str) -> Picture:
    """The mean signal of an exposure of the restored channel as a picture, with words for what it shows."""
    values = mean_values(exposure, slice(0, exposure.shape[0]))
    return _picture(session, values, f"{session.channel.name}, {what}", session.channel.name)


def restored_picture(session: RecordedSession, shown: Shown, restored: Restored) -> Picture:
    """The estimate or its standard deviation as a picture, marked as what it is."""
    made, name = restored.restoration, session.channel.name
    words = f"{name}, {marking(made)}"
    if shown is Shown.SIGMA:
        words = f"{name}, standard deviation of the picture {marking(made)}"
    return _picture(
        session,
        made.sigma if shown is Shown.SIGMA else made.image,
        words,
        f"{name} ({shown}: {ESTIMATE})",
        f"{made.sha256}, {made.provider}, made at export",
    )


def _picture(
    session: RecordedSession, values: npt.NDArray[np.generic], words: str, channel: str, origin: str = ""
) -> Picture:
    return Picture(
        values=values,
        pixel_size_nm=session.hello.field.pixel_size_nm,
        title=session.hello.session,
        words=words,
        channel=channel,
        origin=origin,
        acquired_unix_ns=session.opened_unix_ns,
    )


def exposure_of(session: RecordedSession) -> Exposure:
    """What is known of the field in the restored channel: all passes, or the last complete one in mode `frames`.

    Raises:
        RecordingError: There is no frame that could be put in its place.
    """
    sums = sum_up(session, None if session.adds_up else last_pass(session), all_channels=False)
    if not sums.frames:
        raise nothing_to_show(session)
    return sums.exposure()


def nothing_to_show(session: RecordedSession) -> RecordingError:
    """The error of a recording without a picture."""
    return RecordingError(
        f"The recording of {session.hello.session} holds no frame that has a place in the field.",
        mend="Export it as nexus, which says what is missing.",
    )


def write_png(
    session: RecordedSession, target: Path, shown: Shown, load: Loader | None, model: str | None, *, force: bool
) -> None:
    """Write an 8-bit picture with a scale bar under it, and the words that mark a restored one.

    Raises:
        RecordingError: There is nothing to show.
        ExportError: It could not be restored or written.
        InvalidInput: The file is there already.
    """
    picture = png_bytes(one_picture(session, shown, load, model))
    with written_aside(target, force=force) as aside:
        aside.write_bytes(picture)


def write_tiff(
    session: RecordedSession,
    target: Path,
    shown: Shown,
    load: Loader | None,
    model: str | None,
    *,
    bits: int | None = None,
    force: bool,
) -> int:
    """Write an OME-TIFF with the pixel size; gives the number of pictures.

    Complete passes of mode `frames` are written in their own sample type, one page a pass and channel; every other
    picture as float32, or in 16 bits where that is asked for.

    Raises:
        RecordingError: There is nothing to show.
        ExportError: It could not be restored or written.
        InvalidInput: The file is there already, or passes that do not fit are asked for in 16 bits.
    """
    count = sum(1 for _ in whole_pictures(session)) if shown is Shown.DATA and not session.adds_up else 0
    if count:
        _write_passes(session, target, count, bits, force=force)
        return count
    picture = one_picture(session, shown, load, model)
    with written_aside(target, force=force) as aside, aside.open("r+b") as file:
        write_picture(file, picture, bits=bits or 32)
    return 1


def _write_passes(session: RecordedSession, target: Path, count: int, bits: int | None, *, force: bool) -> None:
    check_target(target, force=force)
    hello = session.hello
    kind: np.dtype[Any] = hello.channels[0].numpy_dtype
    if bits == 16 and kind.itemsize > 2:
        raise InvalidInput(
            f"The passes are of {kind.name}, which does not fit into 16 bits.",
            mend="Leave --bits out, or take one picture of them with --picture restored.",
        )
    kind = np.dtype(np.float32) if bits == 32 else kind
    channels = [channel.name for channel in hello.channels]
    about = ome_about(hello.session, hello.field.pixel_size_nm, session.opened_unix_ns)
    about |= {"axes": "TCYX", "Channel": {"Name": channels}}
    about["Description"] = f"{hello.session}: every complete pass, in detector units."
    pages: Iterator[npt.NDArray[Any]] = (
        page.astype(kind, copy=False) for _, samples in whole_pictures(session) for page in samples
    )
    with written_aside(target, force=force) as aside:
        write_pages(aside, pages, (count, len(channels), *hello.field.shape), kind, about)
