"""Sizes, times and ranges, as people write and read them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date, datetime, timedelta

from scanmend.errors import InvalidInput

_SIZE = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([kMGTP]?)(i?)B?\s*", re.IGNORECASE)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}

RANGES_SHOWN = 8
"""Most ranges that a text names one by one."""


def size_text(size_bytes: int) -> str:
    """A size with three digits: `0 B`, `12.3 MB`, `1.00 TB`; powers of 1000, as disks are sold."""
    if size_bytes < 1000:
        return f"{size_bytes} B"
    value = float(size_bytes)
    for unit in ("kB", "MB", "GB", "TB", "PB"):
        value /= 1000
        if value < 999.5 or unit == "PB":
            return f"{value:.{2 if value < 9.995 else 1 if value < 99.95 else 0}f} {unit}"
    return f"{size_bytes} B"


def parse_size_bytes(text: str) -> int:
    """A size such as `100GB`, `1.5 TiB` or `250000`, in bytes.

    Raises:
        InvalidInput: It is none.
    """
    match = _SIZE.fullmatch(text)
    if match is None:
        raise InvalidInput(f"{text!r} is not a size.", mend="Write it like 100GB, 1.5TB or 64GiB.")
    base = 1024 if match[3] else 1000
    return round(float(match[1]) * int(base ** _POWERS[match[2].lower()]))


def time_text(unix_ns: int | None) -> str:
    """Local date and time to the second; a dash where it is not known."""
    return "–" if unix_ns is None else datetime.fromtimestamp(unix_ns / 1e9).strftime("%Y-%m-%d %H:%M:%S")


def parse_time_ns(text: str, *, end: bool = False, today: date | None = None) -> int:
    """A date or a date with a time, in this machine's zone unless it names another.

    Args:
        text: `2026-03-31`, `2026-03-31T14:30`, `2026-03-31T14:30+00:00`, `today` or `yesterday`.
        end: Whether a date alone stands for its last nanosecond, as the end of a span does.
        today: The present day; tests give another.

    Returns:
        Nanoseconds since 1970, UTC.

    Raises:
        InvalidInput: It is no date.
    """
    days = {"today": 0, "yesterday": 1}
    try:
        if text in days:
            day: date | None = (today or date.today()) - timedelta(days=days[text])
        else:
            day = date.fromisoformat(text) if len(text) <= 10 else None
        moment = datetime.fromisoformat(text) if day is None else datetime(day.year, day.month, day.day)
        if day is not None and end:
            return int((moment + timedelta(days=1)).timestamp()) * 1_000_000_000 - 1
        return round(moment.timestamp() * 1e6) * 1000
    except (ValueError, OverflowError, OSError) as error:
        raise InvalidInput(f"{text!r} is not a date.", mend="Write it like 2026-03-31 or 2026-03-31T14:30.") from error


def parse_span(text: str) -> tuple[float, float]:
    """A span of numbers: `100:500`, `:500`, `100:`, or one number, which stands for itself to 1 %.

    Raises:
        InvalidInput: It is none.
    """
    low, colon, high = text.partition(":")
    try:
        span = (float(low or 0), float(high or "inf")) if colon else (float(low) / 1.01, float(low) * 1.01)
    except ValueError:
        span = (1.0, 0.0)
    if not 0 <= span[0] <= span[1]:
        raise InvalidInput(f"{text!r} is not a span.", mend="Write it like 100:500, :500, 100: or 250.")
    return span


def ranges_text(ranges: Sequence[tuple[int, int]]) -> str:
    """Ranges `(first, last + 1)` as `3–5, 9 and 4 more`."""
    shown = [str(first) if last == first + 1 else f"{first}–{last - 1}" for first, last in ranges[:RANGES_SHOWN]]
    more = len(ranges) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")


def count_text(count: int, singular: str, plural: str = "") -> str:
    """`1 frame`, `2 frames`."""
    return f"{count} {singular if count == 1 else plural or singular + 's'}"
