"""The evaluation: baselines against independent programs, scores against what they must give, tables from figures."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import tifffile
from skimage.restoration import inpaint_biharmonic

from scanmend.errors import InvalidInput
from scanmend_models.data.pictures import draw
from scanmend_models.execute import with_onnxruntime
from scanmend_models.export import CATALOGUE
from scanmend_models.masks import jittered_grid, random_pixels
from scanmend_models.quality import baselines, document
from scanmend_models.quality.bootstrap import paired
from scanmend_models.quality.evaluation import Cache, Contender, differences, evaluate, means
from scanmend_models.quality.lattices import lattice_test, look
from scanmend_models.quality.scores import ause, picture_scores, psnr_db
from scanmend_models.quality.tasks import Truth, tasks
from scanmend_models.quality.truths import read_truths

PUSHPULL = Contender("pushpull", "0" * 64, False, with_onnxruntime(CATALOGUE / "pushpull.onnx"))
IDENTITY = Contender("identity", "1" * 64, False, with_onnxruntime(CATALOGUE / "identity.onnx"))


def scene(seed, side=96):
    return draw(seed, (side, side), "nanoparticles")


@pytest.mark.parametrize(("mask", "coverage"), [(jittered_grid, 0.06), (random_pixels, 0.25)])
def test_the_thin_plate_is_that_of_scikit_image(mask, coverage):
    truth = scene(1, 72)
    sampled = mask(truth.shape, coverage, np.random.default_rng(0))
    values = np.where(sampled, truth, 0).astype(np.float32)
    theirs = inpaint_biharmonic(values, ~sampled)
    ours = baselines.biharmonic(values, sampled)
    assert np.array_equal(ours[sampled], truth[sampled])
    assert psnr_db(ours, truth) > psnr_db(theirs.astype(np.float32), truth) - 0.05


@pytest.mark.parametrize("name", baselines.FILLS)
def test_fills_keep_the_samples_and_a_plane(name):
    y, x = np.mgrid[0:40, 0:50].astype(np.float32)
    plane = 0.2 + 0.005 * y + 0.01 * x
    sampled = jittered_grid(plane.shape, 0.2, np.random.default_rng(1))
    filled = baselines.FILLS[name](np.where(sampled, plane, 0).astype(np.float32), sampled)
    assert np.allclose(filled[sampled], plane[sampled], atol=1e-6)
    assert np.abs(filled - plane)[6:-6, 6:-6].mean() < (0.002 if name in ("linear", "cubic", "biharmonic") else 0.03)


@pytest.mark.parametrize("name", baselines.FILTERS)
@pytest.mark.parametrize("counts", [2, 20])
def test_filters_smooth_without_bias(name, counts):
    truth = np.clip(scene(2), 0.05, 1)
    values = (np.random.default_rng(0).poisson(truth * counts) / counts).astype(np.float32)
    restored = baselines.FILTERS[name](values, counts)
    assert psnr_db(restored, truth) > psnr_db(values, truth) + 2
    assert restored.mean() == pytest.approx(truth.mean(), rel=0.06)


def test_the_inverse_of_anscombe_gives_the_mean_back():
    rng = np.random.default_rng(3)
    for mean in (1.0, 4.0, 30.0):
        stable = baselines.anscombe(rng.poisson(mean, 200_000)).mean()
        assert float(baselines.inverse_anscombe(stable)) == pytest.approx(mean, rel=0.03)


def test_plug_and_play_comes_nearer_than_it_began():
    truth = scene(4)
    sampled = random_pixels(truth.shape, 0.25, np.random.default_rng(0))
    filled = baselines.plug_and_play(PUSHPULL.run)(np.where(sampled, truth, 0).astype(np.float32), sampled)
    assert np.array_equal(filled[sampled], truth[sampled])
    assert psnr_db(filled, truth) > psnr_db(baselines.nearest(np.where(sampled, truth, 0), sampled), truth)


def test_sparsification_is_perfect_for_the_error_itself_and_bad_for_its_opposite():
    error = np.random.default_rng(0).standard_normal(10_000)
    good, bad, none = (ause(error, doubt) for doubt in (np.abs(error), -np.abs(error), np.ones_like(error)))
    assert good == pytest.approx(0, abs=1e-9) and bad > none > 0.3
    assert ause(np.zeros(5), np.ones(5)) == 0


def test_edes_figure_is_not_the_plain_one():
    truth = np.random.default_rng(0).random((64, 64)).astype(np.float32)
    scores = picture_scores(truth, truth)
    assert scores["rmse_percent"] == 0 and scores["rmse_blurred_percent"] > 10 and scores["ssim"] == 1


def test_whole_groups_that_differ_widen_the_interval():
    gains = [0.0] * 10 + [1.0] * 10
    one = paired(gains, ["a"] * 10 + ["b"] * 10)
    assert one.mean == 0.5 and one.by_group == (0.0, 1.0)
    assert 0.2 < one.by_picture[0] < 0.4 < 0.6 < one.by_picture[1] < 0.8


def test_every_task_is_an_exposure_of_its_truth():
    truth = scene(5)
    for task in tasks(truth, 0):
        weight = task.asked["weight"][0, 0]
        assert np.array_equal(weight > 0, task.sampled)
        values = task.asked["values"][0, 0][task.sampled]
        assert values.mean() == pytest.approx(truth[task.sampled].mean(), rel=0.08)
        assert (task.counts_per_unit == 0) == (float(task.asked["units_per_electron"].item()) == 0)
    doses = {task.name: float(task.asked["weight"].sum()) / truth.size for task in tasks(truth, 0)}
    assert doses["25% at 4 times the dwell"] == pytest.approx(doses["5 counts a pixel"], rel=0.05)


def test_an_evaluation_is_kept_and_tables_are_made_of_it(tmp_path):
    truths = [Truth(f"p{number}", f"g{number // 2}", scene(number, 64)) for number in range(3)]
    asked = []

    def counting(question):
        asked.append(1)
        return PUSHPULL.run(question)

    model = Contender("pushpull", "2" * 64, True, counting)
    cache = tmp_path / "scores.jsonl"
    rows = evaluate(truths, [model], cache=Cache(cache))
    assert len(asked) == 3 * 8
    again = evaluate(truths, [model], cache=Cache(cache))
    assert len(asked) == 3 * 8 and again == rows
    changed = Contender("pushpull", "3" * 64, True, counting)
    evaluate(truths, [changed], cache=Cache(cache))
    assert len(asked) == 2 * 3 * 8
    assert set(means(rows)["jittered grid 1/20"]) == {*baselines.FILLS, "pushpull"}
    gained, groups = differences(rows, "spiral 1/20", "pushpull", ["linear", "nearest"])
    assert len(gained) == 3 and groups == ["g0", "g0", "g1"]

    path = tmp_path / "quality.md"
    path.write_text(f"# Words\n\nBy hand.\n\n{document.BEGIN}\nold\n{document.END}\nmore words\n")
    text = document.figures(rows, lattice_test([PUSHPULL], 1), ["pushpull"])
    document.write(path, text, model)
    written = path.read_text()
    assert written.startswith("# Words\n\nBy hand.") and written.endswith("more words\n") and "old" not in written
    assert "| spiral 1/20 | pushpull | linear |" in written and (tmp_path / "quality.png").stat().st_size > 10_000


def test_the_errors_of_a_learned_model_are_ranked_by_the_classical_sigma_too(tmp_path):
    def knowing(question):  # the same picture, with a sigma that tells nothing
        answer = PUSHPULL.run(question)
        return {**answer, "sigma": np.where(answer["sigma"] > 0, 1.0, 0.0).astype(np.float32)}

    truths = [Truth("p", "g", scene(4, 96))]
    models = [Contender("blind", "2" * 64, True, knowing), PUSHPULL]
    cache = Cache(tmp_path / "scores.jsonl")
    mean = means(evaluate(truths, models, cache=cache, classical=PUSHPULL))
    for task, scores in mean.items():
        assert scores["blind"]["ause_classical"] == pytest.approx(scores["pushpull"]["ause"]), task
        assert scores["blind"]["ause"] > 1.3 * scores["blind"]["ause_classical"], task
        assert "ause_classical" not in scores["pushpull"]
    alone = means(evaluate(truths, models, cache=cache))
    assert "ause_classical" not in alone["spiral 1/20"]["blind"], "what was ranked otherwise is not taken for it"


def test_columns_of_a_lattice_are_found_where_they_are():
    places = np.array([[y, x] for y in range(40, 220, 16) for x in range(40, 220, 16)], float)
    places += np.random.default_rng(0).uniform(-0.5, 0.5, places.shape)
    y, x = np.mgrid[0:256, 0:256]
    picture = sum(np.exp(-((y - a) ** 2 + (x - b) ** 2) / (2 * 2.1**2)) for a, b in places)
    picture -= np.exp(-((y - places[50, 0]) ** 2 + (x - places[50, 1]) ** 2) / (2 * 2.1**2))
    found, heights = look(picture.astype(np.float32), places)
    kept = np.arange(len(places)) != 50
    assert np.abs(found - places)[kept].max() < 0.05
    assert heights[50] < 0.3 and heights[kept].min() > 0.9


def test_less_dose_moves_columns_more():
    scores = {one.task: one for one in lattice_test([IDENTITY, PUSHPULL], 1) if one.method == "pushpull"}
    doses = [scores[f"{dose} counts a pixel"].position_pm for dose in (5, 20, 100)]
    assert doses == sorted(doses, reverse=True) and doses[2] < 8
    assert scores["jittered grid 25%"].invented <= scores["jittered grid 5%"].invented


def test_a_folder_without_pictures_says_what_to_give(tmp_path):
    with pytest.raises(InvalidInput, match="no picture"):
        read_truths(tmp_path)
    tifffile.imwrite(tmp_path / "flat.tif", np.ones((32, 32), np.float32))
    with pytest.raises(InvalidInput, match=r"flat is flat"):
        read_truths(tmp_path)


def test_the_command_prints_every_task(tmp_path):
    tifffile.imwrite(tmp_path / "one.tif", (65535 * scene(8, 64)).astype(np.uint16))
    command = [sys.executable, "-m", "scanmend.cli", "bench", "restore", "--images", str(tmp_path)]
    done = subprocess.run(
        [*command, "--models", "pushpull", "--seeds", "1", "--json"], capture_output=True, text=True, timeout=110
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["pictures"], set(found["models"])) == (1, {"pushpull"})
    assert len(found["tasks"]) == 8 and found["comparisons"] and found["lattices"]
