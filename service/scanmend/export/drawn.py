"""A picture for people: grey levels, and under it a scale bar with its length and what is to be said."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

Grey = npt.NDArray[np.uint8]
_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

LEAST_SIDE_PX = 512
"""Narrower pictures are enlarged by a whole factor, so that the words under them can be read."""

_STRETCH = (0.5, 99.5)
"""Percentiles that become black and white."""

_MOST_VALUES = 1 << 16
"""Values of each picture from which the common levels of several are taken."""


def levels_of(pictures: Sequence[npt.NDArray[np.generic]]) -> tuple[float, float]:
    """What becomes black and what white in all of these pictures: the 0.5 and 99.5 percentiles of what was sampled.

    Of several pictures, at most 65536 evenly spread values each are looked at. `(0, 0)` where nothing was sampled.
    """
    seen = []
    for values in pictures:
        flat = values.reshape(-1)
        flat = flat[:: max(1, flat.size // _MOST_VALUES)] if len(pictures) > 1 else flat
        seen.append(flat[np.isfinite(flat)])
    together = np.concatenate(seen) if seen else np.empty(0)
    if not together.size:
        return 0.0, 0.0
    low, high = (float(each) for each in np.percentile(together, _STRETCH))
    return low, high


def grey_levels(values: npt.NDArray[np.generic], levels: tuple[float, float] | None = None) -> Grey:
    """A picture as 8-bit grey; black where not sampled.

    Args:
        values: `(ny, nx)`; NaN where not sampled.
        levels: What becomes black and white; the picture's own 0.5 and 99.5 percentiles where it is None.
    """
    low, high = levels_of([values]) if levels is None else levels
    seen = np.isfinite(values)
    scale = 255.0 / (high - low) if high > low else 0.0
    shades = np.clip((np.where(seen, values, low).astype(np.float64) - low) * scale, 0, 255)
    return np.where(seen, shades, 0).astype(np.uint8)


def fitted(values: npt.NDArray[np.generic], most_px: int | None = None) -> tuple[npt.NDArray[np.generic], float]:
    """A picture in a size that can be looked at, and how many of its pixels a pixel of the field is wide.

    Narrow pictures are enlarged by a whole factor, ones with a side above `most_px` made smaller by taking the mean
    of squares of pixels; what is left of a square at the right and lower edge is cut off.
    """
    ny, nx = values.shape
    if most_px is not None and max(ny, nx) > most_px:
        by = -(-max(ny, nx) // most_px)
        squares = values[: ny // by * by, : nx // by * by].reshape(ny // by, by, nx // by, by).astype(np.float64)
        seen = np.isfinite(squares)
        count = seen.sum(axis=(1, 3))
        total = np.where(seen, squares, 0).sum(axis=(1, 3))
        return np.divide(total, count, out=np.full(count.shape, np.nan), where=count > 0), 1 / by
    by = max(1, -(-LEAST_SIDE_PX // nx))
    return np.kron(values, np.ones((by, by), dtype=values.dtype)) if by > 1 else values, float(by)


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


def captioned(grey: Grey, pixel_nm: float, sentences: Sequence[str]) -> Image.Image:
    """The picture with a strip under it: scale bar, its length, and each sentence on lines of its own.

    Args:
        grey: `(height, width)`.
        pixel_nm: Width of one of its pixels.
        sentences: What is to be said; each is broken into as many lines as it needs.
    """
    height, width = grey.shape
    size = max(14, width // 40)
    pad = size // 2
    bar_nm = bar_length_nm(width * pixel_nm)
    bar_px = max(1, round(bar_nm / pixel_nm))
    font = ImageFont.load_default(size)
    lines = [line for sentence in sentences for line in _wrapped(sentence, font, width - 2 * pad)]
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
