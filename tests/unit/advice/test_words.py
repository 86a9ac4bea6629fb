"""The words say what the figures say; what cannot be told apart is called a tie."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from advising import ask, samples
from scanmend.advice.compare import Comparison, Outcome, Trial, compare
from scanmend.advice.figures import Interval, interval
from scanmend.advice.stage import Judged, Tools
from scanmend.advice.words import number, specimens, standing, strategies_json, table, verdict, winner
from scanmend.errors import InvalidInput

TITLES = {
    "dense": "an even raster",
    "sparse 1/20": "a sparse scan of 1/20 of the pixels",
    "adaptive": "an adaptive scan",
}


def outcome(name: str, *rmse_percent: float, dose: float = 200.0, most: float = 200.0) -> Outcome:
    trials = [Trial(Judged(one / 100, one / 90, ""), dose, most, 0.1, 1, 1.0, 400.0) for one in rmse_percent]
    return Outcome(name=name, title=TITLES[name], feasible=True, trials=trials)


def made(*outcomes: Outcome, groups: tuple[str, ...] = ("a", "a", "b", "b"), time_s: float | None = None) -> Comparison:
    return Comparison(question=ask(time_s=time_s), groups=groups, crop=(64, 64), outcomes=outcomes)


DENSE = outcome("dense", 4, 5, 4, 5)
SPARSE = outcome("sparse 1/20", 8, 10, 8, 10, most=4000.0)
BETTER = outcome("adaptive", 3.6, 4.5, 3.6, 4.5, most=700.0)
TIE = outcome("adaptive", 3.8, 4.7, 4.3, 5.4)
HARDLY = outcome("adaptive", 3.98, 4.97, 3.98, 4.97)


def test_what_wins_and_by_how_much() -> None:
    lines = verdict(made(DENSE, SPARSE, BETTER))
    assert lines[0].startswith("At 200 e/nm² an adaptive scan wins: it gains 0.92 dB (0.92 to 0.92) over an even")
    assert "4.05 % of the picture's range, rather than 4.5 %" in lines[0]
    assert "A sparse scan of 1/20 of the pixels is 6.0 dB (6.0 to 6.0) worse than an even raster." in lines
    assert any("single pixels get up to 700 e/nm²" in line for line in lines)
    assert any("buys neither dose nor dose rate" in line and "20 times as many" in line for line in lines)


@pytest.mark.parametrize(("rival", "word"), [(TIE, "ties with an even raster"), (HARDLY, "too little to matter")])
def test_what_cannot_be_told_apart_wins_nothing(rival: Outcome, word: str) -> None:
    comparison = made(DENSE, rival)
    assert winner(comparison) is DENSE
    lines = verdict(comparison)
    assert "nothing is clearly better than an even raster, which is the simplest" in lines[0]
    assert word in lines[1]


def test_an_even_raster_wins_where_all_others_are_worse() -> None:
    assert verdict(made(DENSE, SPARSE))[0].startswith("At 200 e/nm² an even raster wins; the error to expect is 4.5 %")


def test_of_two_that_are_level_the_simpler_one_wins() -> None:
    rival = replace(outcome("adaptive", 3.55, 4.55, 3.55, 4.4), name="adaptive, sparse first", title="another scan")
    comparison = made(DENSE, BETTER, rival)
    assert comparison.gain_db(rival, BETTER).mean > 0 and winner(comparison) is BETTER
    line = verdict(comparison)[1]
    assert line.startswith("Another scan gains 1.0 dB (0.9 to 1.1)") and line.endswith("is level with the winner.")
    ahead = replace(outcome("adaptive", 3, 4, 3, 4), name="adaptive, sparse first", title="another scan")
    assert winner(made(DENSE, BETTER, ahead)) is ahead


def test_standings() -> None:
    assert standing(Interval(0.4, 0.2, 0.6)) == "better" and standing(Interval(-3.1, -3.5, -2.7)) == "worse"
    assert standing(Interval(0.4, -0.1, 0.9)) == "tie" and standing(Interval(0.05, 0.03, 0.07)) == "no matter"


def test_intervals_are_over_kinds_where_there_are_several() -> None:
    values = [0.0, 0.1] * 3 + [1.0, 1.1] * 3
    of_kinds = interval(values, ["a"] * 6 + ["b"] * 6)
    assert of_kinds.mean == pytest.approx(0.55) and (of_kinds.low, of_kinds.high) == pytest.approx((0.05, 1.05))
    of_pictures = interval(values, ["a"] * 12)
    assert of_pictures.low > of_kinds.low and of_pictures.high < of_kinds.high
    assert interval([0.3], ["a"]) == Interval(0.3, 0.3, 0.3)


def test_a_time_that_is_too_short_is_said_first() -> None:
    cut = replace(DENSE, trials=[replace(one, dose_e_per_nm2=90.0) for one in DENSE.trials])
    missing = Outcome(name="adaptive", title=TITLES["adaptive"], feasible=False, reason="It needs 9 s.", needs_s=9.0)
    lines = verdict(made(cut, missing, time_s=0.5))
    assert lines[0].startswith("In 0.5 s only an even raster fits")
    assert lines[1] == "The time is too short for the dose: in 0.5 s an even raster spends 90 e/nm² of the 200 e/nm²."
    assert lines[2] == "An adaptive scan is not feasible. It needs 9 s."
    text = table(made(cut, missing, time_s=0.5))
    assert "90*" in text and re.search(r"adaptive +not feasible", text)


def test_where_only_the_sparse_scan_fits_it_is_said_what_it_buys() -> None:
    missing = Outcome(name="dense", title=TITLES["dense"], feasible=False, reason="It needs 9 s.")
    lines = verdict(made(missing, SPARSE, time_s=0.5))
    assert any("here it fits where a raster does not" in line for line in lines)


def test_drawn_specimens_are_not_the_users() -> None:
    rival = outcome("adaptive", 3.6, 4.5, 4.0, 5.0)
    (line,) = specimens(made(DENSE, SPARSE, rival), drawn=True, kinds_named=False)
    assert "drawn specimens (a, b), not for your sample" in line
    assert "an adaptive scan stands at +0.00 dB (b) to +0.92 dB (a)" in line and "--image" in line
    (line,) = specimens(made(DENSE, SPARSE, groups=("a",) * 4), drawn=False, kinds_named=False)
    assert "taken as the truth" in line


def test_numbers_are_written_without_exponents() -> None:
    assert [number(one) for one in (0.0289, 1.5, 999, 12345.6, 0)] == ["0.0289", "1.5", "999", "12346", "0"]


def test_words_and_figures_of_a_real_comparison_agree(tools: Tools) -> None:
    kinds = ("porous", "nanoparticles")
    found = compare(ask(), samples(kinds=kinds), tools, seed=1)
    rows = {row["name"]: row for row in strategies_json(found)}
    assert list(rows) == ["dense", "sparse 1/4", "sparse 1/20", "adaptive", "adaptive, sparse first"]
    lines = verdict(found)
    for name, row in rows.items():
        figures = row["figures"]
        assert row["feasible"] and figures["dose_e_per_nm2"] <= 200 and figures["whole_budget"], name
        assert figures["rmse_share"]["low"] <= figures["rmse_share"]["mean"] <= figures["rmse_share"]["high"]
        assert set(figures["gain_db_by_kind"]) == (set() if name == "dense" else set(kinds))
    sparse = rows["sparse 1/20"]["figures"]
    assert sparse["standing"] == "worse" and sparse["dose_max_e_per_nm2"] == pytest.approx(4000, rel=0.1)
    digits = 1 if sparse["gain_db"]["mean"] <= -1 else 2
    assert any(f"1/20 of the pixels is {-sparse['gain_db']['mean']:.{digits}f} dB" in line for line in lines)
    again = compare(ask(), samples(kinds=kinds), tools, seed=1)
    assert strategies_json(again) == strategies_json(found)


def test_where_nothing_fits_it_is_said_what_would(tools: Tools) -> None:
    with pytest.raises(InvalidInput, match="In 1e-06 s no scan of this field fits: the shortest takes") as raised:
        compare(ask(time_s=1e-6), samples(count=1), tools)
    assert "more time" in raised.value.mend
    with pytest.raises(InvalidInput, match="with dwells of 1000000 ns or more") as raised:
        compare(ask(current_pa=1e4, min_dwell_ns=1_000_000), samples(count=1), tools)
    assert "beam current" in raised.value.mend
