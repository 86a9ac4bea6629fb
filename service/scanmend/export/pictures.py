"""One picture of a session, as data or restored, and the files that show it: OME-TIFF and PNG."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile
from PIL import Image, ImageDraw, ImageFont, PngImagePlugin

from scanmend._version import __version__
from scanmend.errors import ExportError, RecordingError
from scanmend.export.aside import written_aside
from scanmend.export.maps import mean_values, sum_up
from scanmend.export.options import Loader
from scanmend.export.passes import last_pass, whole_pictures
from scanmend.export.restored import ESTIMATE, marking, mend
from scanmend.export.session import RecordedSession
from scanmend.export.tree import iso_time
from scanmend.exposure import Exposure
from scanmend.restoration import FloatPicture, Restoration

BIG_TIFF_BYTES = 3 << 30
LEAST_PNG_PX = 512
"""Narrower pictures are enlarged by a whole factor, so that the words under them can be read."""
_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
_STRETCH = (0.5, 99.5)
"""Percentiles that become black and white."""


class Shown(StrEnum):
    """Which picture is written."""

    DATA = "data"
    """What was measured: every complete pass in mode `frames`, else the mean signal of all passes."""
    RESTORED = "restored"
    """A model's estimate."""
    SIGMA = "sigma"
    """The estimate's standard deviation."""


@dataclass(frozen=True, slots=True)
class OnePicture:
    """A picture and what is to be said with it."""

    values: FloatPicture
    """`(ny, nx)`; NaN where not sampled."""
    words: str
    """What it shows; a restored one is marked."""
    restoration: Restoration | None = None


def one_picture(session: RecordedSession, shown: Shown, load: Loader | None, model: str | None) -> OnePicture:
    """The exposure of the restored channel, or what a model makes of it.

    Raises:
        RecordingError: There is no frame that could be put in its place.
        ExportError: A restored picture was asked for and could not be made.
    """
    exposure = exposure_of(session)
    name = session.channel.name
    if shown is Shown.DATA:
        what = "all passes" if session.adds_up else "last complete pass"
        return OnePicture(mean_values(exposure, slice(0, exposure.shape[0])), f"{name}, {what}")
    restored = None if load is None else mend(session, exposure, load, model)
    if restored is None:
        raise ExportError(
            f"The picture could not be restored: {'; '.join(session.problems.texts[-1:])}",
            mend="Name a model of `scanmend models list` with --model, or export the data.",
        )
    made = restored.restoration
    if shown is Shown.RESTORED:
        return OnePicture(made.image, f"{name}, {marking(made)}", made)
    return OnePicture(made.sigma, f"{name}, standard deviation of the picture {marking(made)}", made)


def exposure_of(session: RecordedSession) -> Exposure:
    """What is known of the field in the restored channel: all passes, or the last complete one in mode `frames`.

    Raises:
        RecordingError: There is no frame that could be put in its place.
    """
    sums = sum_up(session, None if session.adds_up else last_pass(session), all_channels=False)
    if not sums.frames:
        raise RecordingError(
            f"The recording of {session.hello.session} holds no frame that has a place in the field.",
            mend="Export it as nexus, which says what is missing.",
        )
    return sums.exposure()


# TIFF ---------------------------------------------------------------------------------------------------------------


def write_tiff(
    session: RecordedSession, target: Path, shown: Shown, load: Loader | None, model: str | None, *, force: bool
) -> int:
    """Write an OME-TIFF with the pixel size; gives the number of pictures.

    Complete passes of mode `frames` are written in their own sample type, one page a pass and channel; every other
    picture as float32.

    Raises:
        RecordingError: There is nothing to show.
        ExportError: It could not be restored or written.
        InvalidInput: The file is there already.
    """
    field, hello = session.hello.field, session.hello
    ny, nx = field.shape
    count = sum(1 for _ in whole_pictures(session)) if shown is Shown.DATA and not session.adds_up else 0
    about: dict[str, Any] = {
        "Name": hello.session,
        "AcquisitionDate": iso_time(session.opened_unix_ns),
        "PhysicalSizeX": field.pixel_size_nm,
        "PhysicalSizeXUnit": "nm",
        "PhysicalSizeY": field.pixel_size_nm,
        "PhysicalSizeYUnit": "nm",
    }
    data: Iterator[npt.NDArray[Any]] | FloatPicture
    if count:
        channels = [channel.name for channel in hello.channels]
        shape: tuple[int, ...] = (count, len(channels), ny, nx)
        kind: np.dtype[Any] = hello.channels[0].numpy_dtype
        about |= {"axes": "TCYX", "Channel": {"Name": channels}}
        about["Description"] = f"{hello.session}: every complete pass, in detector units."
        data = (page for _, samples in whole_pictures(session) for page in samples)
    else:
        picture = one_picture(session, shown, load, model)
        shape, kind, data = (ny, nx), np.dtype(np.float32), picture.values
        about |= {"axes": "YX", "Channel": {"Name": [session.channel.name]}}
        about["Description"] = f"{hello.session}: {picture.words}{_origin(picture.restoration)}"
        if picture.restoration is not None:
            about["Channel"] = {"Name": [f"{session.channel.name} ({shown}: {ESTIMATE})"]}
    size = int(np.prod(shape)) * kind.itemsize
    per_cm = 1e7 / field.pixel_size_nm
    with written_aside(target, force=force) as aside:
        with tifffile.TiffWriter(aside, ome=True, bigtiff=size > BIG_TIFF_BYTES) as tiff:
            tiff.write(
                data,
                shape=shape,
                dtype=kind,
                photometric="minisblack",
                resolution=(per_cm, per_cm),
                resolutionunit="CENTIMETER",
                software=f"scanmend {__version__}",
                metadata=about,
            )
    return max(count, 1)


def _origin(made: Restoration | None) -> str:
    return "" if made is None else f" ({made.sha256}, {made.provider}), made at export"


# PNG ----------------------------------------------------------------------------------------------------------------


def write_png(
    session: RecordedSession, target: Path, shown: Shown, load: Loader | None, model: str | None, *, force: bool
) -> None:
    """Write an 8-bit picture with a scale bar under it, and the words that mark a restored one.

    Raises:
        RecordingError: There is nothing to show.
        ExportError: It could not be restored or written.
        InvalidInput: The file is there already.
    """
    picture = one_picture(session, shown, load, model)
    grey = grey_levels(picture.values)
    factor = max(1, -(-LEAST_PNG_PX // grey.shape[1]))
    drawn = labelled(np.kron(grey, np.ones((factor, factor), np.uint8)), session, picture, factor)
    about = PngImagePlugin.PngInfo()
    about.add_itxt("Title", session.hello.session)
    about.add_itxt("Description", f"{picture.words}{_origin(picture.restoration)}")
    about.add_itxt("Software", f"scanmend {__version__}")
    with written_aside(target, force=force) as aside:
        drawn.save(aside, format="PNG", pnginfo=about)


def grey_levels(values: FloatPicture) -> npt.NDArray[np.uint8]:
    """A picture as 8-bit grey between its 0.5 and 99.5 percentiles; black where not sampled."""
    seen = np.isfinite(values)
    if not seen.any():
        return np.zeros(values.shape, dtype=np.uint8)
    low, high = (float(each) for each in np.percentile(values[seen], _STRETCH))
    scale = 255.0 / (high - low) if high > low else 0.0
    return np.where(seen, np.clip((values - low) * scale, 0, 255), 0).astype(np.uint8)


def bar_length_nm(field_width_nm: float) -> float:
    """The largest 1, 2 or 5 · 10ⁿ nm of at most a quarter of the field's width."""
    most = field_width_nm / 4
    power = 10.0 ** math.floor(math.log10(most))
    return max(step * power for step in (1, 2, 5) if step * power <= most * (1 + 1e-9))


def length_text(length_nm: float) -> str:
    """A length with the unit in which it reads best."""
    for unit, size_nm in (("mm", 1e6), ("µm", 1e3), ("nm", 1.0)):
        if length_nm >= size_nm * (1 - 1e-9):
            return f"{length_nm / size_nm:g} {unit}"
    return f"{length_nm * 1e3:g} pm"


def labelled(
    grey: npt.NDArray[np.uint8], session: RecordedSession, picture: OnePicture, px_per_pixel: int
) -> Image.Image:
    """The picture with a strip under it: scale bar, its length, what is shown."""
    height, width = grey.shape
    size = max(14, width // 40)
    pad = size // 2
    pixel_size_nm = session.hello.field.pixel_size_nm
    bar_nm = bar_length_nm(session.hello.field.shape[1] * pixel_size_nm)
    bar_px = max(1, round(bar_nm / pixel_size_nm * px_per_pixel))
    font = ImageFont.load_default(size)
    lines = _wrapped(f"{session.hello.session}: {picture.words}", font, width - 2 * pad)
    strip = pad * 3 + int(size * 1.4) * (len(lines) + 1)
    made = Image.new("L", (width, height + strip), 0)
    made.paste(Image.fromarray(grey), (0, 0))
    draw = ImageDraw.Draw(made)
    top = height + pad
    middle = top + size // 2
    draw.rectangle((pad, middle - size // 6, pad + bar_px - 1, middle + size // 6), fill=255)
    _write(draw, 2 * pad + bar_px, top - size // 6, length_text(bar_nm), font, size)
    for number, line in enumerate(lines):
        _write(draw, pad, top + pad + int(size * 1.4) * (number + 1) - size // 2, line, font, size)
    return made


def _write(draw: ImageDraw.ImageDraw, x: float, y: float, text: str, font: _Font, size: int) -> None:
    """Draw a line of text in white; Pillow's own font has neither a dash nor a µ, so these are drawn by hand."""
    stroke = max(1, size // 12)
    for piece in re.split("([—µ])", text):
        if piece == "—":
            width = font.getlength("m")
            draw.rectangle((x, y + 0.62 * size, x + width - 1, y + 0.62 * size + stroke - 1), fill=255)
        elif piece == "µ":
            width = font.getlength("u")
            draw.text((x, y), "u", fill=255, font=font)
            left = x + size // 14
            draw.rectangle((left, y + 0.5 * size, left + stroke - 1, y + 1.15 * size), fill=255)
        else:
            width = font.getlength(piece)
            draw.text((x, y), piece, fill=255, font=font)
        x += width


def _wrapped(text: str, font: _Font, width: int) -> list[str]:
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) <= width or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines
