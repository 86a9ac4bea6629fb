"""The bridges for the makers' own Python against recorded fakes of the documented calls.

What passes here is still untried on an instrument: a fake is what somebody read.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from in_thread import AcquireInThread
from makers import BRIDGES, script, specimen
from makers.autoscript import WORDS, GrabFrameSettings, SdbMicroscopeClient
from makers.autoscript_tem import WORDS as TEM_WORDS
from makers.autoscript_tem import TemMicroscopeClient
from makers.digitalmicrograph import DigitalMicrograph
from makers.pyjem import PyJem
from operating import AtConsole
from running import wait_for
from scanmend.client import Client
from scanmend.client.bridge import Bridge, BridgeOptions, Described
from scanmend.errors import InstrumentError
from scanmend.export.session import RecordedSession
from scanmend.field import DetectorKind, Field


@dataclass
class Made:
    """A bridge's class on top of its fake."""

    maker: Any
    """The fake."""
    microscope: Any
    """The class of `docs/bridges/`."""
    blanked: Callable[[], bool]
    truth: np.ndarray
    """`(channels, ny, nx)` of what each pixel gives."""
    options: dict[str, Any] = field(default_factory=dict)


def autoscript(**more: Any) -> Made:
    client = SdbMicroscopeClient()
    microscope = script("autoscript").AutoScriptMicroscope(client, WORDS, "512x442", **more)
    beam = client.beams.electron_beam
    return Made(client, microscope, lambda: beam.is_blanked, specimen((442, 512))[None])


def autoscript_tem(size: int = 256, **more: Any) -> Made:
    client = TemMicroscopeClient()
    make = script("autoscript_tem").AutoScriptTemMicroscope
    microscope = make(client, TEM_WORDS, size, ["HAADF", "BF_S"], 30.0, **more)
    truth = np.stack([specimen((size, size)) * np.uint16(number) for number in (1, 2)])
    return Made(client, microscope, lambda: client.optics.is_beam_blanked, truth)


def jeol(shape: tuple[int, int] = (48, 64), **more: Any) -> Made:
    jem = PyJem()
    microscope = script("jeol").JeolMicroscope(jem.detector, jem.tem, "ADF1", shape, 0.25, 40.0, **more)
    return Made(jem, microscope, lambda: jem.blanked == 1, specimen(shape)[None])


def gatan(signals: tuple[int, ...] = (0, 1), shape: tuple[int, int] = (64, 96), **more: Any) -> Made:
    dm = DigitalMicrograph(shape)
    microscope = script("gatan").GatanMicroscope(dm, shape, signals, beam_current_pa=40.0, **more)
    truth = np.stack([specimen(shape) * np.uint32(signal + 1) for signal in signals])
    return Made(dm, microscope, lambda: dm.blanked, truth)


MAKERS = {"autoscript": autoscript, "autoscript_tem": autoscript_tem, "jeol": jeol, "gatan": gatan}


@pytest.fixture(params=MAKERS)
def made(request: pytest.FixtureRequest) -> Made:
    return MAKERS[request.param]()


def scan(made: Made, top: int, left: int, height: int, width: int, dwell_ns: int = 2000) -> np.ndarray:
    """One block, `(channels, height, width)`."""
    made.microscope.begin(top, left, height, width, dwell_ns)
    taken = None
    while taken is None:
        taken = made.microscope.read(0.01)
    first, points, samples = taken
    assert (first, points) == (0, height * width)
    return np.asarray(samples).reshape(-1, height, width)


# What they say and give -------------------------------------------------------------------------------------------


def test_units_are_those_of_the_field() -> None:
    described = Described.of(autoscript().microscope)
    assert described.field == Field(shape=(442, 512), pixel_size_nm=3.0, beam_current_pa=25.0, beam_energy_kev=5.0)
    (channel,) = described.channels
    assert (channel.name, channel.dtype, channel.kind) == ("ETD", "uint16", DetectorKind.ANALOGUE)
    assert (described.capabilities.min_dwell_ns, described.capabilities.max_dwell_ns) == (25, 25_000_000)

    described = Described.of(autoscript_tem().microscope)
    assert described.field == Field(shape=(256, 256), pixel_size_nm=0.25, beam_current_pa=30.0, beam_energy_kev=300.0)
    assert [channel.name for channel in described.channels] == ["HAADF", "BF_S"]

    described = Described.of(jeol().microscope)
    assert described.field == Field(shape=(48, 64), pixel_size_nm=0.25, beam_current_pa=40.0, beam_energy_kev=200.0)
    assert (described.capabilities.min_dwell_ns, described.capabilities.max_dwell_ns) == (1000, 1_000_000)

    described = Described.of(gatan().microscope)
    # The survey has half the pixels of 4 nm each, of the same field of view.
    assert described.field == Field(shape=(64, 96), pixel_size_nm=2.0, beam_current_pa=40.0, beam_energy_kev=200.0)
    assert [channel.name for channel in described.channels] == ["HAADF", "BF"]
    assert (described.capabilities.min_dwell_ns, described.capabilities.max_dwell_ns) == (800, 419_430_000)


def test_no_maker_runs_points_and_each_says_that_it_is_untried(made: Made) -> None:
    described = Described.of(made.microscope)
    able = described.capabilities
    assert not able.points and not able.segments and not able.dwell_per_point and not able.blanking
    assert any("has not been tried on an instrument" in remark for remark in described.remarks)


def test_the_field_and_rectangles_are_the_right_pixels(made: Made) -> None:
    ny, nx = made.truth.shape[1:]
    np.testing.assert_array_equal(scan(made, 0, 0, ny, nx), made.truth)
    if not Described.of(made.microscope).capabilities.rectangles:
        return
    for top, left, height, width in [(0, 0, 8, 8), (16, 32, 24, 16), (ny - 4, nx - 8, 4, 8), (5, 0, 1, nx)]:
        part = scan(made, top, left, height, width)
        np.testing.assert_array_equal(part, made.truth[:, top : top + height, left : left + width])


def test_parts_of_the_field_are_scanned_by_digiscan_where_there_is_one_signal() -> None:
    one = gatan((0,))
    assert Described.of(one.microscope).capabilities.rectangles
    with pytest.raises(RuntimeError, match="none yet"):
        scan(one, 0, 0, 4, 4)
    scan(one, 0, 0, 64, 96)
    np.testing.assert_array_equal(scan(one, 40, 8, 16, 64), one.truth[:, 40:56, 8:72])
    called = [call for call in one.maker.calls if call[0] == "DSScanSubRegion"]
    assert called[0][3:] == (40, 8, 56, 72, 2)
    for _ in range(3):
        scan(one, 0, 0, 64, 96)
        scan(one, 0, 0, 8, 8)
    shown = [number for number in range(100, 200) if one.maker.FindImageByID(number)]
    assert len(shown) == 2, "the survey and the last pass: nothing piles up"


def test_dwell_and_area_go_over_in_the_makers_units() -> None:
    sem = autoscript()
    scan(sem, 17, 64, 34, 128, 2500)
    (settings,) = [call[1] for call in sem.maker.calls if call[0] == "grab_frame"]
    assert isinstance(settings, GrabFrameSettings) and settings.dwell_time == pytest.approx(2.5e-6)
    area = settings.reduced_area
    assert area is not None
    assert (area.left, area.top, area.width, area.height) == pytest.approx((0.125, 17 / 442, 0.25, 34 / 442))
    tem = jeol()
    scan(tem, 4, 8, 16, 32, 3000)
    assert tem.maker.settings["AreaModeImagingArea"] == {"X": 8, "Y": 4, "Width": 32, "Height": 16}
    assert tem.maker.settings["ExposureTimeValue"] == 3.0 and tem.maker.settings["scanMode"] == 1
    scan(tem, 0, 0, 48, 64)
    assert tem.maker.settings["scanMode"] == 0
    assert tem.maker.settings["ImagingArea"] == {"X": 0, "Y": 0, "Width": 64, "Height": 48}


# What an instrument does otherwise than it was told ---------------------------------------------------------------


def test_what_was_rounded_or_mixed_is_refused_and_never_sent_as_something_else() -> None:
    sem = autoscript()
    sem.maker.imaging.rounds_by = 1
    with pytest.raises(RuntimeError, match="which pixels"):
        scan(sem, 16, 16, 16, 16)
    sem.maker.imaging.rounds_by, sem.maker.imaging.takes_dwell = 0, 1e-6
    with pytest.raises(RuntimeError, match="1000 ns for 2000 ns"):
        scan(sem, 16, 16, 16, 16)
    with pytest.raises(ValueError, match="a resolution of 500x500"):
        script("autoscript").AutoScriptMicroscope(SdbMicroscopeClient(), WORDS, "500x500")

    stem = autoscript_tem()
    stem.maker.acquisition.forgets = 1
    with pytest.raises(RuntimeError, match="for 2 images of 16 lines of 8 pixels"):
        scan(stem, 16, 16, 16, 8)
    stem.maker.optics.optical_mode = "TEM"
    with pytest.raises(ValueError, match="not in STEM mode"):
        script("autoscript_tem").AutoScriptTemMicroscope(stem.maker, TEM_WORDS, 256, ["HAADF"])

    tem = jeol(bytes_per_sample=1)
    with pytest.raises(RuntimeError, match="--bytes-per-sample"):
        scan(tem, 0, 0, 48, 64)
    tem.maker.dtype = np.dtype("u1")
    np.testing.assert_array_equal(scan(tem, 0, 0, 48, 64), tem.truth.astype(np.uint8))
    mixing = PyJem()
    mixing.settings["frameIntegration"] = 4
    with pytest.raises(ValueError, match="several frames"):
        script("jeol").JeolMicroscope(mixing.detector, mixing.tem, "ADF1", (48, 64), 0.25)
    with pytest.raises(ValueError, match="ADF1, BF"):
        script("jeol").JeolMicroscope(mixing.detector, mixing.tem, "HAADF", (48, 64), 0.25)


def test_a_dwell_that_the_jeol_did_not_take_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    tem = jeol()
    settings = tem.maker.settings
    monkeypatch.setattr(tem.maker, "settings", type("Stuck", (dict,), {"update": lambda self, values: None})(settings))
    with pytest.raises(RuntimeError, match="took an exposure time of 100 us for 2000 ns"):
        scan(tem, 0, 0, 48, 64)


def test_a_frame_that_somebody_ended_in_digitalmicrograph_is_lost_and_not_zeros() -> None:
    dm = gatan()
    dm.microscope.begin(0, 0, 64, 96, 50_000)
    dm.maker._running = None  # the Stop button
    assert dm.microscope.read(0.01) == (0, 64 * 96, None)


def test_a_pixel_size_that_nothing_tells_is_asked_for() -> None:
    for calibration in [(0.0, 4.0, "1/nm"), None]:
        dm = DigitalMicrograph()
        survey = dm.FindImageByID(101)
        assert survey is not None
        if calibration is None:
            dm.DeleteImage(survey)
        else:
            survey.calibration = calibration
        with pytest.raises(ValueError, match="--pixel-size-nm"):
            script("gatan").GatanMicroscope(dm, (64, 96), (0,))
        assert script("gatan").GatanMicroscope(dm, (64, 96), (0,), 1.5).describe()["field"]["pixel_size_nm"] == 1.5


@pytest.mark.parametrize(
    "undocumented",
    [
        lambda: SdbMicroscopeClient().imaging.grab_points([]),  # type: ignore[attr-defined]
        lambda: setattr(SdbMicroscopeClient().imaging, "dwell", 1),
        lambda: TemMicroscopeClient().acquisition.acquire_points([]),  # type: ignore[attr-defined]
        lambda: PyJem().detector.Detector("ADF1").snapshot_points(),  # type: ignore[attr-defined]
        lambda: DigitalMicrograph().DS_ScanPoints(),  # type: ignore[attr-defined]
        lambda: DigitalMicrograph().ExecuteScriptString("DSScanPoints(1)"),
        lambda: DigitalMicrograph().ExecuteScriptString("__import__('os')"),
    ],
)
def test_a_call_that_is_not_documented_is_refused_by_the_fakes(undocumented: Callable[[], object]) -> None:
    with pytest.raises((AttributeError, RuntimeError)):
        undocumented()


# Through the loop -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    data_dir = tmp_path_factory.mktemp("makers") / "data"
    with AcquireInThread(data_dir) as running:
        yield SimpleNamespace(running=running, data_dir=data_dir)


def test_passes_of_the_field_are_recorded_as_they_were_and_the_beam_is_blanked(
    service: SimpleNamespace, request: pytest.FixtureRequest, made: Made
) -> None:
    name = request.node.callspec.id
    with Client(service.running.address) as client:
        receipt = Bridge(made.microscope, client, BridgeOptions(mode="frames", passes=2, dwell_ns=3000)).run(name)
    assert receipt is not None and receipt.balanced and receipt.received == 2 and made.blanked()
    with RecordedSession(service.data_dir / "sessions" / name) as recorded:
        (plan,) = [recorded.plan(number) for number in recorded.plan_ids]
        assert plan is not None and plan.is_full_raster and plan.dwell_ns == 3000
        for frame in recorded.frames():
            np.testing.assert_array_equal(frame.samples, made.truth.reshape(len(made.truth), -1))


@pytest.mark.parametrize("maker", MAKERS)
def test_an_abort_blanks_at_once_where_the_maker_lets_it_and_else_after_the_strip(
    service: SimpleNamespace, maker: str
) -> None:
    # A frame of DigiScan can be ended; of the others a strip at a time is scanned.
    made = gatan() if maker == "gatan" else MAKERS[maker](longest_block_s=0.01)
    name = f"abort-{maker}"
    in_strips = threading.Event()
    read = made.microscope.read

    def slowly(timeout_s: float) -> Any:
        in_strips.set()
        time_to_abort.wait(0.02)
        return read(timeout_s)

    time_to_abort = threading.Event()
    made.microscope.read = slowly

    def abort() -> None:
        with AtConsole(service.running.acquire.run_dir) as console:
            assert in_strips.wait(10)
            wait_for(lambda: console.command(name, "abort") == "sent", 10, "no session")

    operator = threading.Thread(target=abort)
    operator.start()
    with Client(service.running.address) as client:
        dwell_ns = 5_000_000 if maker == "gatan" else 25_000
        options = BridgeOptions(mode="frames", passes=1, dwell_ns=dwell_ns)
        receipt = Bridge(made.microscope, client, options).run(name)
    operator.join(timeout=10)
    assert receipt is not None and receipt.reason == "aborted" and receipt.balanced and made.blanked()
    if maker == "gatan":
        assert receipt.received == 0 and ("DSStopAcquisition", -1) in made.maker.calls
        return
    with RecordedSession(service.data_dir / "sessions" / name) as recorded:
        frames = list(recorded.frames())
    points = sum(frame.header.points for frame in frames)
    assert 0 < points < made.truth[0].size and frames[-1].header.end_of_pass
    samples = np.concatenate([frame.samples for frame in frames], axis=1)
    np.testing.assert_array_equal(samples, made.truth.reshape(len(made.truth), -1)[:, :points])


def test_what_the_makers_software_raises_ends_the_session_aborted_and_blanked(service: SimpleNamespace) -> None:
    made = autoscript()
    made.maker.imaging.takes_dwell = 1e-6
    with Client(service.running.address) as client, pytest.raises(RuntimeError, match="took a dwell"):
        Bridge(made.microscope, client, BridgeOptions(mode="frames", passes=1, dwell_ns=2000)).run("raises")
    assert made.blanked()
    with RecordedSession(service.data_dir / "sessions" / "raises") as recorded:
        assert recorded.receipt is not None and recorded.receipt.reason == "aborted"


def test_samples_of_another_type_than_announced_are_not_converted(service: SimpleNamespace) -> None:
    made = jeol()
    read = made.microscope.read
    made.microscope.read = lambda timeout_s: (
        (first, n, samples.astype(np.float64)) for first, n, samples in [read(timeout_s)]
    ).__next__()
    with Client(service.running.address) as client, pytest.raises((InstrumentError, ValueError), match="float64"):
        Bridge(made.microscope, client, BridgeOptions(mode="frames", passes=1, dwell_ns=2000)).run("types")
    assert made.blanked()


def modules(maker: str) -> tuple[Any, dict[str, Any]]:
    """A fake, and the modules under which its script imports it."""
    if maker == "jeol":
        jem = PyJem()
        return jem, {"PyJEM": SimpleNamespace(TEM3=jem.tem, detector=jem.detector)}
    words, client = (WORDS, SdbMicroscopeClient()) if maker == "autoscript" else (TEM_WORDS, TemMicroscopeClient())
    name = f"autoscript_{'sdb' if maker == 'autoscript' else 'tem'}_microscope_client"
    package = SimpleNamespace(**{type(client).__name__: lambda: client})
    return client, {name: package, f"{name}.enumerations": words, f"{name}.structures": words}


@pytest.mark.parametrize(
    ("maker", "words"),
    [
        ("autoscript", ["--host", "sem", "--resolution", "512x442"]),
        ("autoscript_tem", ["--host", "tem", "--size", "256", "--detectors", "HAADF"]),
        ("jeol", ["--detector", "BF", "--shape", "48x64", "--pixel-size-nm", "0.25", "--beam-current-pa", "40"]),
    ],
)
def test_a_script_runs_as_a_program_with_the_client_beside_it(
    service: SimpleNamespace,
    maker: str,
    words: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    fake, imported = modules(maker)
    for name, module in imported.items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.syspath_prepend(str(BRIDGES))
    scan_words = ["--mode", "frames", "--passes", "1", "--dwell-us", "2", "--name", f"direct-{maker}", "--json"]
    monkeypatch.setattr(sys, "argv", [maker, *words, "--address", service.running.address, *scan_words])
    assert script(maker).main() == 0
    printed = capsys.readouterr()
    assert f"{maker}.py has not been tried on an instrument" in printed.err.splitlines()[0]
    said = json.loads(printed.out.splitlines()[-1])
    assert said["receipt"]["balanced"] and said["receipt"]["received"] == 1 and said["why"] == "All passes are done."
    if maker != "jeol":
        assert fake.calls[0][:2] == ("connect", words[1]) and fake.calls[-1] == ("disconnect",)


def test_the_script_of_digitalmicrograph_serves_with_the_options_at_its_top(monkeypatch: pytest.MonkeyPatch) -> None:
    served: list[Any] = []
    monkeypatch.setitem(sys.modules, "far_end", SimpleNamespace(serve=lambda *given: served.append(given)))
    monkeypatch.setitem(sys.modules, "DigitalMicrograph", DigitalMicrograph((512, 512)))
    monkeypatch.setattr(sys, "path", list(sys.path))
    script("gatan").main()
    ((microscope, port),) = served
    described = Described.of(microscope)
    assert port == 7511 and described.field.shape == (512, 512) and described.field.beam_current_pa == 20.0


# Their papers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(MAKERS))
def test_an_untried_script_says_so_at_its_top_at_its_start_and_in_the_readme(name: str) -> None:
    source = (BRIDGES / f"{name}.py").read_text(encoding="utf-8")
    assert "\n\nNOT TRIED ON AN INSTRUMENT." in source[:300]
    assert "NOT_TRIED" in source.split("def main()")[1]
    assert f"{name}.py" in script(name).NOT_TRIED
    readme = (BRIDGES / "README.md").read_text(encoding="utf-8")
    (row,) = [line for line in readme.splitlines() if line.startswith(f"| `{name}.py` |")]
    assert "not tried on an instrument" in row
