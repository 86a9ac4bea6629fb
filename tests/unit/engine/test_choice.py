"""Which model a frame gets: the best that there is time for, and no flapping."""

import pytest

from scanmend.engine.choice import Choice, Option

FRAME = 512 * 512
BEST, QUICK, PLAIN = Option("quality", 0.01, 1.0), Option("live", 0.01, 1.0), Option("pushpull")


def choice(best_ms=190.0, quick_ms=57.0, plain_ms=20.0):
    made = Choice([BEST, QUICK, PLAIN])
    for option, ms in ((BEST, best_ms), (QUICK, quick_ms), (PLAIN, plain_ms)):
        made.begin(option.name, FRAME, ms)
    return made


@pytest.mark.parametrize(
    ("time_ms", "coverage", "chosen"),
    [
        (1000, 1.0, "quality"),
        (262, 1.0, "quality"),
        (100, 1.0, "live"),
        (1, 1.0, "pushpull"),
        (1000, 0.005, "pushpull"),  # no other was trained on so little
    ],
)
def test_the_best_that_there_is_time_for(time_ms, coverage, chosen):
    assert choice().choose(FRAME, coverage, time_ms) == chosen


def test_a_field_four_times_as_large_takes_four_times_as_long():
    assert choice().choose(4 * FRAME, 1.0, 262) == "live"


def test_where_none_fits_the_quickest_is_taken():
    assert choice(best_ms=900, quick_ms=300, plain_ms=500).choose(FRAME, 1.0, 40) == "live"


def test_small_changes_of_pace_do_not_change_the_model():
    made = choice(best_ms=190)
    present = made.choose(FRAME, 1.0, 200)
    assert present == "quality"
    for time_ms in (191, 200, 195, 235):
        assert made.choose(FRAME, 1.0, time_ms, present) == "quality"
    assert made.choose(FRAME, 1.0, 185, present) == "live"  # each frame would wait longer than the one before
    assert made.choose(FRAME, 1.0, 200, "live") == "live"  # it would fit, and not with anything to spare
    assert made.choose(FRAME, 1.0, 240, "live") == "quality"


def test_a_model_that_turns_out_slow_is_given_up():
    made = choice(best_ms=100)
    for _ in range(40):
        made.learn("quality", FRAME, 400)
    assert made.choose(FRAME, 1.0, 262, "quality") == "live"


def test_a_model_that_was_given_up_on_a_busy_machine_is_taken_up_again():
    made = choice(best_ms=100)
    for _ in range(40):
        made.learn("quality", FRAME, 400)
    present = made.choose(FRAME, 1.0, 262, "quality")
    for _ in range(300):  # as busy as before: no use in trying
        made.learn(present, FRAME, 4 * 57)
        present = made.choose(FRAME, 1.0, 262, present)
        assert present == "live"
    frames = 0
    while made.choose(FRAME, 1.0, 262, present) == present:  # it is idle again
        made.learn(present, FRAME, 57)
        frames += 1
    assert made.choose(FRAME, 1.0, 262, present) == "quality" and 5 < frames < 250


def test_a_model_that_is_slow_by_itself_is_not_tried_for_ever():
    made, present, chosen = choice(best_ms=100), "", []
    for _ in range(4000):
        present = made.choose(FRAME, 1.0, 262, present)
        made.learn(present, FRAME, 400 if present == "quality" else 57)
        chosen.append(present)
    assert chosen[0] == "quality"
    assert chosen.count("quality") < 0.03 * len(chosen)
    assert chosen[-1000:].count("quality") <= 10
