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


def frames_until_back(made):
    """Frames of an idle machine until a model is taken up again that was given up on a busy one."""
    for _ in range(40):
        made.learn("quality", FRAME, 760)
    present, frames = made.choose(FRAME, 1.0, 262, "quality"), 0
    while present != "quality":
        made.learn(present, FRAME, {"live": 57, "pushpull": 20}[present])
        present = made.choose(FRAME, 1.0, 262, present)
        frames += 1
        assert frames < 50_000
    return frames


def test_a_model_is_doubted_only_when_it_is_given_up():
    fresh, used = frames_until_back(choice()), choice()
    for _ in range(20):  # sessions that are too quick for the best model, and keep what they have
        present = used.choose(FRAME, 1.0, 26)
        for _ in range(30):
            present = used.choose(FRAME, 1.0, 26, present)
        assert present == "pushpull"
    assert frames_until_back(used) == fresh


def test_doubts_are_forgotten():
    made = choice()
    first = frames_until_back(made)
    for _ in range(5):
        late = frames_until_back(made)
    assert late > 3 * first
    for _ in range(60_000):  # two hours at eight frames a second
        made.learn("quality", FRAME, 190)
    assert frames_until_back(made) < 1.5 * first


def test_a_lesser_model_needs_no_time_to_spare():
    assert choice().choose(FRAME, 1.0, 60, "quality") == "live"


@pytest.mark.parametrize("pixels", [512, 64 * 64, 4096 * 4096])
def test_fields_of_another_size_say_nothing_of_this_one(pixels):
    made, present = choice(), ""
    for _ in range(500):  # a small field costs far more than its share
        present = made.choose(pixels, 1.0, 40, present)
        made.learn(present, pixels, 25 + 1e-3 * pixels)
    assert made.expected_ms("quality", FRAME) == pytest.approx(190)
    assert made.choose(FRAME, 1.0, 262) == "quality"


def test_fields_of_nearly_the_same_size_share_what_is_known():
    made = choice()
    for _ in range(100):
        made.learn("quality", FRAME, 380)
    assert made.expected_ms("quality", 500 * 500) == pytest.approx(380 * (500 / 512) ** 2, rel=0.01)
