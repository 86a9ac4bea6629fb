"""A session as a moving picture: a picture a pass, in the right order, with words, scale and fixed levels."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from journals import Shot, hello_for, write_journal
from scanmend.cli import main
from scanmend.errors import ConfigurationError, ExportError, InvalidInput, RecordingError
from scanmend.export import RecordedSession
from scanmend.export.drawn import LEAST_SIDE_PX, fitted, grey_levels, levels_of
from scanmend.export.growth import count_steps, steps
from scanmend.export.maps import mean_values
from scanmend.export.model import model_loader
from scanmend.export.movie import MovieOptions, write_movie
from scanmend.export.pictures import Shown, exposure_of
from scanmend.export.video import VideoWriter
from scanmend.plan import ScanPlan
from scanmend.wire.messages import Mode

SHAPE = (24, 32)
RASTER = ScanPlan.raster(SHAPE, 1000)
SPARSE = ScanPlan.jittered_grid(SHAPE, 1000, pitch_px=2.0, seed=4)
FACTOR = LEAST_SIDE_PX // SHAPE[1]
HALF = RASTER.points // 2

Recorded = Callable[[Mode], RecordedSession]


@pytest.fixture
def recorded(tmp_path: Path) -> Recorded:
    """Six passes of growing brightness; the third in two pieces, the fourth sparse, the fifth cut short."""

    def make(mode: Mode) -> RecordedSession:
        rng = np.random.default_rng(3)
        bright = [rng.poisson(10 * (index + 1), RASTER.points) for index in range(6)]
        shots = [Shot(bright[0], plan_id=1), Shot(bright[1], plan_id=1, pass_index=1)]
        shots += [Shot(bright[2][:HALF], plan_id=1, pass_index=2, end=False)]
        shots += [Shot(bright[2][HALF:], plan_id=1, pass_index=2, first_point=HALF)]
        shots += [Shot(bright[3][: SPARSE.points], pass_index=3)]
        shots += [Shot(bright[4][:HALF], plan_id=1, pass_index=4, end=False)]
        shots += [Shot(bright[5], plan_id=1, pass_index=5)]
        return RecordedSession(write_journal(tmp_path, hello_for(SHAPE, mode), {0: SPARSE, 1: RASTER}, shots))

    return make


def frames_of(path: Path) -> list[np.ndarray]:
    with Image.open(path) as movie:
        found = []
        for number in range(movie.n_frames):
            movie.seek(number)
            found.append(np.asarray(movie.convert("L")))
    return found


def test_each_complete_pass_is_a_step_and_an_exposure_grows(recorded: Recorded) -> None:
    with recorded(Mode.FRAMES) as session:
        alone = [(step.number, step.pass_index, float(step.exposure.signal.mean())) for step in steps(session)]
        assert [step[:2] for step in alone] == [(0, 0), (1, 1), (2, 2), (3, 3), (4, 5)]
        assert count_steps(session) == 5
        assert [step.pass_index for step in steps(session, {1, 4}.__contains__)] == [1, 5]
        assert alone[4][2] == pytest.approx(60, rel=0.05), "the last pass by itself"
    with RecordedSession(session.folder) as session:
        doses = [step.dose_e_per_nm2 for step in steps(session)]
        assert doses[0] == doses[1] == doses[4] and doses[3] == pytest.approx(doses[0] * SPARSE.points / RASTER.points)


def test_an_exposure_is_all_that_was_seen_so_far(recorded: Recorded) -> None:
    with recorded(Mode.EXPOSURE) as session:
        visits = [int(step.exposure.visits.sum()) for step in steps(session)]
        whole = RASTER.points
        assert visits == [whole, 2 * whole, 3 * whole, 3 * whole + SPARSE.points, 3 * whole + SPARSE.points + HALF,
                          4 * whole + SPARSE.points + HALF]  # fmt: skip
        last = exposure_of(session)
        assert visits[-1] == last.visits.sum()


def test_a_movie_of_the_data_has_the_levels_of_all_its_pictures(recorded: Recorded, tmp_path: Path) -> None:
    with recorded(Mode.FRAMES) as session:
        assert write_movie(session, tmp_path / "one.gif", Shown.DATA, None, None, force=False) == 5
        pictures = [mean_values(step.exposure, slice(0, SHAPE[0])) for step in steps(session)]
    levels = levels_of(pictures)
    found = frames_of(tmp_path / "one.gif")
    assert len(found) == 5 and len({each.shape for each in found}) == 1
    for shown, values in zip(found, pictures, strict=True):
        top = shown[: SHAPE[0] * FACTOR : FACTOR, : SHAPE[1] * FACTOR : FACTOR]
        np.testing.assert_array_equal(top, grey_levels(values, levels))
    strips = [each[SHAPE[0] * FACTOR :] for each in found]
    assert all((strip == 255).any() for strip in strips), "scale bar and words"
    assert all((a != b).any() for a, b in zip(strips, strips[1:], strict=False)), "each says which pass it is"
    bar = max(int((line == 255).cumprod().sum()) for line in strips[0][:, 7:])
    assert bar == 2 / 0.5 * FACTOR, "2 nm of 0.5 nm pixels"
    with Image.open(tmp_path / "one.gif") as movie:
        assert movie.info["duration"] == 100 and movie.info["loop"] == 0
        assert movie.info["comment"] == b"Scanmend session one, data"


def test_a_restored_movie_says_so_in_every_picture(recorded: Recorded, tmp_path: Path) -> None:
    with recorded(Mode.EXPOSURE) as session:
        for shown in (Shown.DATA, Shown.RESTORED):
            write_movie(session, tmp_path / f"{shown}.gif", shown, model_loader(1), "pushpull", force=False)
    data, restored = (frames_of(tmp_path / f"{shown}.gif") for shown in (Shown.DATA, Shown.RESTORED))
    assert len(data) == len(restored) == 6
    for plain, marked in zip(data, restored, strict=True):
        height = min(len(plain), len(marked))
        assert (plain[SHAPE[0] * FACTOR : height] != marked[SHAPE[0] * FACTOR : height]).any()
    with Image.open(tmp_path / "restored.gif") as movie:
        assert b"estimate, not data" in movie.info["comment"]


def test_some_passes_and_own_levels_can_be_asked_for(recorded: Recorded, tmp_path: Path) -> None:
    with recorded(Mode.FRAMES) as session:
        how = MovieOptions(fps=4, every=3, fixed_levels=False)
        assert write_movie(session, tmp_path / "one.gif", Shown.DATA, None, None, options=how, force=False) == 3
        values = mean_values(next(iter(steps(session))).exposure, slice(0, SHAPE[0]))
    first = frames_of(tmp_path / "one.gif")[0]
    np.testing.assert_array_equal(first[: SHAPE[0] * FACTOR : FACTOR, ::FACTOR], grey_levels(values))
    with Image.open(tmp_path / "one.gif") as movie:
        assert movie.info["duration"] == 250


def test_a_large_field_is_made_smaller_by_means_and_keeps_its_scale() -> None:
    values = np.arange(40.0).reshape(4, 10)
    values[0, 0] = values[2, 2:4] = values[3, 2:4] = np.nan
    small, factor = fitted(values, 5)
    assert factor == 0.5 and small.shape == (2, 5)
    assert small[0, 0] == pytest.approx((1 + 10 + 11) / 3) and np.isnan(small[1, 1])
    assert fitted(np.zeros((100, 600)))[1] == 1 and fitted(np.zeros((100, 100)))[1] == 6


@pytest.mark.parametrize(
    ("options", "name", "words"),
    [
        ({"fps": 0.0}, "one.gif", "pictures a second"),
        ({"fps": float("nan")}, "one.gif", "pictures a second"),
        ({"every": 0}, "one.gif", "no choice of passes"),
        ({}, "one.avi", "cannot be written as one.avi"),
    ],
)
def test_bad_wishes_are_refused(recorded: Recorded, tmp_path: Path, options: dict, name: str, words: str) -> None:
    with recorded(Mode.FRAMES) as session, pytest.raises(InvalidInput, match=words):
        how = MovieOptions(**options)
        write_movie(session, tmp_path / name, Shown.DATA, None, None, options=how, force=False)
    assert not (tmp_path / name).exists()


def test_a_session_without_a_pass_is_refused(tmp_path: Path) -> None:
    folder = write_journal(tmp_path, hello_for(SHAPE), {0: SPARSE}, [])
    with RecordedSession(folder) as session, pytest.raises(RecordingError, match="holds no frame"):
        write_movie(session, tmp_path / "one.gif", Shown.DATA, None, None, force=False)
    assert not list(tmp_path.glob("*.gif")) and not list(tmp_path.glob(".*"))


def test_an_mp4_is_written_by_ffmpeg_or_the_mend_is_named(recorded: Recorded, tmp_path: Path) -> None:
    program, target = shutil.which("ffmpeg"), tmp_path / "one.mp4"
    with recorded(Mode.FRAMES) as session:
        if program is None:
            with pytest.raises(ConfigurationError, match="needs the program ffmpeg"):
                write_movie(session, target, Shown.DATA, None, None, force=False)
        else:
            assert write_movie(session, target, Shown.DATA, None, None, force=False) == 5
            told = subprocess.run([program, "-i", target], capture_output=True, text=True).stderr
            assert "Video: " in told and "10 fps" in told
    assert target.exists() is (program is not None) and not list(tmp_path.glob(".one*"))


FFMPEG = """#!/bin/sh
case "$*" in *-encoders*) echo ' V..... mpeg4 MPEG-4'; exit;; esac
{}
"""


@pytest.mark.parametrize("script", ["echo no such device >&2; exit 1", "cat >/dev/null; echo broken >&2; exit 1"])
def test_what_ffmpeg_says_when_it_fails_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    program = tmp_path / "ffmpeg"
    program.write_text(FFMPEG.format(script))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    picture = Image.new("L", (640, 640))
    with pytest.raises(ExportError, match="no such device|broken"):
        with VideoWriter(tmp_path / "one.mp4", 10, "a test") as video:
            for _ in range(3):
                video.add(picture)
            video.finish()


def test_the_command_makes_a_movie(recorded: Recorded, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recorded(Mode.FRAMES).close()
    words = ["export", "one", "--data-dir", str(tmp_path), "--to", "movie", "--out", str(tmp_path / "m.gif")]
    assert main([*words, "--model", "none", "--fps", "5"]) == 0
    assert "5 pictures" in capsys.readouterr().err
    with Image.open(tmp_path / "m.gif") as movie:
        assert (movie.n_frames, movie.info["duration"]) == (5, 200)
