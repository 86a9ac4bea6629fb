"""Sizes, dates and spans as people write them."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from scanmend.errors import InvalidInput
from scanmend.sessions.words import (
    count_text,
    parse_size_bytes,
    parse_span,
    parse_time_ns,
    ranges_text,
    size_text,
    time_text,
)


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.00 kB"),
        (9_994, "9.99 kB"),
        (9_996, "10.0 kB"),
        (168_000, "168 kB"),
        (999_400, "999 kB"),
        (999_600, "1.00 MB"),
        (9_480_000, "9.48 MB"),
        (3 * 10**12, "3.00 TB"),
        (5 * 10**18, "5000 PB"),
    ],
)
def test_sizes_have_three_digits(size_bytes: int, text: str) -> None:
    assert size_text(size_bytes) == text


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [("100GB", 10**11), ("1.5 TB", 15 * 10**11), ("64GiB", 64 << 30), ("250000", 250_000), ("2k", 2000), ("0", 0)],
)
def test_sizes_are_read(text: str, size_bytes: int) -> None:
    assert parse_size_bytes(text) == size_bytes


@pytest.mark.parametrize("text", ["", "GB", "-1GB", "1..2GB", "ten", "1e9", "10 gallons"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="is not a size"):
        parse_size_bytes(text)


def test_a_date_is_a_whole_day_here() -> None:
    begin, end = parse_time_ns("2026-03-31"), parse_time_ns("2026-03-31", end=True)
    assert begin == int(datetime(2026, 3, 31).timestamp()) * 10**9
    assert end == int(datetime(2026, 4, 1).timestamp()) * 10**9 - 1
    assert parse_time_ns("today", today=date(2026, 3, 31)) == begin
    assert parse_time_ns("yesterday", end=True, today=date(2026, 4, 1)) == end


def test_a_time_may_name_its_zone() -> None:
    moment = int(datetime(2026, 3, 31, 14, 30, tzinfo=UTC).timestamp()) * 10**9
    assert parse_time_ns("2026-03-31T14:30+00:00") == moment
    assert parse_time_ns("2026-03-31T16:30:00+02:00", end=True) == moment
    assert time_text(parse_time_ns("2026-03-31T14:30")) == "2026-03-31 14:30:00"
    assert time_text(None) == "–"


@pytest.mark.parametrize("text", ["", "now", "2026-13-01", "31.3.2026", "2026-03-31T25:00"])
def test_what_is_no_date_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="is not a date"):
        parse_time_ns(text)


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [("100:500", [100, 300, 500], [99.9, 500.1]), (":500", [0, 500], [501]), ("100:", [100, 1e9], [99]),
     ("256", [256, 254, 258], [250, 262])],
)  # fmt: skip
def test_spans_are_read(text: str, inside: list[float], outside: list[float]) -> None:
    low, high = parse_span(text)
    assert all(low <= value <= high for value in inside)
    assert not any(low <= value <= high for value in outside)


@pytest.mark.parametrize("text", ["", "5:1", "a:b", "-1:4", "nan", "1:2:3"])
def test_what_is_no_span_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="is not a span"):
        parse_span(text)


def test_ranges_and_counts() -> None:
    assert ranges_text([(3, 6), (9, 10)]) == "3–5, 9"
    assert ranges_text([(n, n + 1) for n in range(0, 24, 2)]).endswith("14 and 4 more")
    assert (count_text(1, "frame"), count_text(2, "entry", "entries")) == ("1 frame", "2 entries")
