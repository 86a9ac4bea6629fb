"""Which series an image belongs to: every way in which a counter and a clock tell it, and do not."""

from __future__ import annotations

import pytest

from scanmend.sources.numbering import Numbering, Place

SECOND_NS = 1_000_000_000
TAKEN_NS = 1_700_000_000 * SECOND_NS


def placed(numbering: Numbering, *images: tuple[int, float]) -> list[tuple[int, int, bool]]:
    """Place images of a number and a time in seconds, which is that of both clocks."""
    places = [numbering.place(number, TAKEN_NS + round(at_s * 1e9), at_s) for number, at_s in images]
    return [(place.series, place.index, place.begins) for place in places]


def test_a_counter_that_was_set_back_begins_a_series() -> None:
    seen = placed(Numbering(), (1, 0), (2, 1), (1, 2), (2, 3), (3, 4))
    assert seen == [(1, 0, True), (1, 1, False), (2, 0, True), (2, 1, False), (2, 2, False)]


def test_a_series_whose_first_images_were_lost_keeps_its_numbers() -> None:
    assert placed(Numbering(), (1, 0), (2, 1), (3, 2), (2, 9)) == [
        (1, 0, True), (1, 1, False), (1, 2, False), (2, 1, True)]  # fmt: skip


def test_a_series_that_runs_already_is_not_told_to_begin() -> None:
    numbering = Numbering()
    numbering.saw(40, TAKEN_NS)
    assert placed(numbering, (41, 0.1), (42, 0.2)) == [(1, 40, False), (1, 41, False)]
    assert placed(Numbering(), (41, 0.1)) == [(1, 40, False)]


def test_a_counter_that_begins_at_nought() -> None:
    assert placed(Numbering(), (0, 0), (1, 1)) == [(1, 0, True), (1, 1, False)]
    assert placed(Numbering(first_id=0), (1, 1)) == [(1, 1, False)]


def test_images_that_came_late_or_twice_stay_in_their_series() -> None:
    numbering = Numbering()
    assert placed(numbering, (1, 0), (2, 1), (3, 2), (2, 1), (3, 2), (4, 3))[3:] == [
        (1, 1, False), (1, 2, False), (1, 3, False)]  # fmt: skip
    assert numbering.arm() == 2
    assert placed(numbering, (3, 2), (1, 9), (2, 10)) == [(1, 2, False), (2, 0, False), (2, 1, False)]


def test_without_a_clock_a_number_that_goes_back_begins_a_series() -> None:
    numbering = Numbering()
    assert [numbering.place(number, None, 0.0) for number in (1, 2, 2)] == [
        Place(1, 0, True), Place(1, 1, False), Place(2, 1, True)]  # fmt: skip


def test_a_clock_that_stands_still() -> None:
    numbering = Numbering()
    assert placed(numbering, (1, 0), (2, 0), (2, 0)) == [(1, 0, True), (1, 1, False), (1, 1, False)]
    numbering.arm()
    assert placed(numbering, (1, 0), (2, 0)) == [(2, 0, False), (2, 1, False)]


def test_a_clock_that_was_set_back_does_not_hide_a_series() -> None:
    assert placed(Numbering(), (1, 3600), (2, 3601), (1, 5))[-1] == (2, 0, True)


def test_an_instrument_that_tells_and_a_counter_that_goes_on() -> None:
    numbering = Numbering()
    numbering.saw(100, TAKEN_NS)
    assert numbering.arm() == 1
    assert placed(numbering, (101, 1), (102, 2)) == [(1, 0, False), (1, 1, False)]
    assert numbering.arm() == 2
    # The first image of it was lost: there is a number between the last series and this one.
    assert placed(numbering, (104, 9)) == [(2, 1, False)]


@pytest.mark.parametrize(("at_s", "expected"), [(5.9, (1, 2, False)), (6.1, (2, 0, True))])
def test_a_pause(at_s: float, expected: tuple[int, int, bool]) -> None:
    assert placed(Numbering(pause_s=5.0), (1, 0), (2, 1), (3, at_s))[-1] == expected


def test_a_count_that_was_asked_for_begins_the_next_series_where_it_should() -> None:
    seen = placed(Numbering(images=3), *((number, number / 10) for number in (1, 2, 3, 4, 8, 9, 10)))
    series = [(1, 0, True), (1, 1, False), (1, 2, False), (2, 0, True), (3, 1, True), (3, 2, False), (4, 0, True)]
    assert seen == series


def test_a_connection_that_was_lost() -> None:
    numbering = Numbering()
    placed(numbering, (1, 0), (2, 1))
    numbering.forget()
    numbering.saw(7, TAKEN_NS + 6 * SECOND_NS)
    assert placed(numbering, (8, 7), (9, 8)) == [(2, 7, False), (2, 8, False)]
