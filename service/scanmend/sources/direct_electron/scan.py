"""A Direct Electron camera with its scan generator: runs lists of points, and gives what a virtual detector saw."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from scanmend.errors import InstrumentError, PlanError
from scanmend.field import Capabilities, Channel
from scanmend.plan import ScanPlan
from scanmend.plan.fit import fit
from scanmend.sources.direct_electron.camera import Camera
from scanmend.sources.kit import Event, Lost, Samples, SeriesBegan, SeriesEnded
from scanmend.sources.problems import Code, Problem

MAX_ENTRIES = 1 << 20
"""Longest list of points that is handed over."""

MAX_FRAMES_PER_POINT = 1000

COMMAND_NS = 1_500_000_000
"""What an acquisition costs besides its frames: 0.5 to 1.6 s were seen."""


@dataclass(frozen=True, slots=True)
class _Run:
    """An acquisition that runs."""

    series: str
    plan: ScanPlan
    frames: int
    """Camera frames that make it whole."""


class PointScan:
    """Source and controller in one.

    The instrument's lists have no dwell times: all points have the same number of camera frames. With `repeat`, a
    point that is to have more of them stands in the list several times, and its frames add up in the virtual image.

    Args:
        camera: Not connected yet.
        frame_ns: Time of a camera frame.
        detector: Which virtual detector, 0 to 4.
        units_per_electron: What an electron adds to its values; None where it is not known.
        repeat: Whether points may be repeated.
    """

    def __init__(
        self,
        camera: Camera,
        frame_ns: int,
        detector: int = 0,
        *,
        units_per_electron: float | None = None,
        repeat: bool = False,
    ) -> None:
        self.channels: tuple[Channel, ...] = (
            Channel(name=f"virtual{detector}", dtype="float32", units_per_electron=units_per_electron),
        )
        self._camera = camera
        self._frame_ns = frame_ns
        self._detector = detector
        self._repeat = repeat
        self._run: _Run | None = None
        self._said: list[Event] = []
        self._runs = 0

    # Source -----------------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Connect. Raises NotConnected where nobody answers."""
        self._run = None
        self._said.clear()
        self._camera.connect()

    def close(self) -> None:
        """Disconnect."""
        self._run = None
        self._camera.disconnect()

    def read(self, timeout_s: float) -> Event | None:
        """The series' beginning, and when its acquisition is over its points and its end. Raises as `Source` says."""
        if self._said:
            return self._said.pop(0)
        if self._run is not None and not self._camera.acquiring:
            run, self._run = self._run, None
            self._said += self._outcome(run)
            return self._said.pop(0)
        time.sleep(timeout_s)
        return None

    def _outcome(self, run: _Run) -> list[Event]:
        """The points of an acquisition that is over.

        An untouched pixel reads 0, as a dark one does: the plan says which is which, and a pixel beside the plan that
        is not 0 says that another list was run.
        """
        image, frames = self._camera.virtual_image(self._detector)
        plan, points = run.plan, run.plan.points
        if image.shape != plan.shape:
            text = f"The virtual image has the shape {image.shape}, and the field {plan.shape}."
            problem = Problem(Code.WRONG_SIZE, text, "Let nobody change the scan in DE-MC meanwhile.")
        else:
            beside = np.ones(plan.shape, bool)
            beside.reshape(-1)[plan.pixels] = False
            strays = int(np.count_nonzero(image[beside]))
            text = f"{strays} pixels that are not in the plan have values, so that another list of points was run."
            problem = Problem(Code.CONTROL, text, "Let nobody change the scan in DE-MC meanwhile.")
            if not strays:
                measured = points if frames >= run.frames else self._whole_points(plan, frames)
                values = image.reshape(-1)[plan.pixels[:measured]][None, :]
                samples = [Samples(series=run.series, first=0, values=values)] if measured else []
                return [*samples, SeriesEnded(series=run.series, points=measured)]
        return [Lost(series=run.series, first=0, points=points, problem=problem), SeriesEnded(series=run.series)]

    def _whole_points(self, plan: ScanPlan, frames: int) -> int:
        """How many points had all their frames, of an acquisition that ended early."""
        return int(np.searchsorted(np.cumsum(self._frames_of(plan)), frames, side="right"))

    # Controller -------------------------------------------------------------------------------------------------

    def capabilities(self) -> Capabilities:
        """Any points; one dwell for all, or one each by repetition; in whole camera frames."""
        return Capabilities(
            points=True,
            dwell_per_point=self._repeat,
            dwell_quantum_ns=self._frame_ns,
            min_dwell_ns=self._frame_ns,
            max_dwell_ns=self._frame_ns * MAX_FRAMES_PER_POINT,
            max_points=MAX_ENTRIES,
            command_ns=COMMAND_NS,
        )

    def prepare(self, plan: ScanPlan) -> ScanPlan:
        """The plan in whole camera frames.

        Raises:
            PlanError: A pixel comes more than once, for its visits could not be told apart; or the list is too long.
        """
        fitted = fit(plan, self.capabilities())
        if np.unique(fitted.pixels).size < fitted.points:
            raise PlanError("A pixel comes more than once.", mend="Give it one longer dwell.")
        if self._repeat and int(self._frames_of(fitted).sum()) > MAX_ENTRIES:
            raise PlanError(
                f"The list of points would have more than {MAX_ENTRIES} entries.", mend="Give shorter dwells."
            )
        return fitted

    def _frames_of(self, plan: ScanPlan) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        return np.rint(plan.dwells_ns / self._frame_ns).astype(np.int64)

    def begin(self, plan: ScanPlan, passes: int) -> str:
        """Hand over the list, and start. What other programs left behind is set anew, for the server remembers it.

        Raises:
            NotConnected: The server does not answer.
            InstrumentError: It did not take a value or the list, or more than one pass is asked for.
        """
        if passes != 1:
            raise InstrumentError("A virtual image shows the last pass only.", mend="Give --passes 1.")
        camera, frames = self._camera, self._frames_of(plan)
        if camera.acquiring:
            camera.stop()
        camera.set("Frames Per Second", 1e9 / self._frame_ns)
        for name in ("Scan - ROI Enable", "Scan - Enable"):
            camera.set(name, "Off")
        camera.set("Scan - Repeats", 1)
        per_point = 1 if self._repeat else int(frames[0])
        camera.set("Scan - Camera Frames Per Point", per_point)
        xy = np.column_stack([plan.x, plan.y]).astype(np.int32)
        ny, nx = plan.shape
        camera.set_points(np.repeat(xy, frames, axis=0) if self._repeat else xy, width=nx, height=ny)
        camera.set("Scan - Enable", "On")
        self._runs += 1
        run = _Run(f"{time.time_ns() // 1_000_000:x}-{self._runs}", plan, int(frames.sum()))
        camera.start()
        self._run, self._said = run, [SeriesBegan(series=run.series, points=plan.points)]
        return run.series

    def abort(self) -> None:
        """Stop the acquisition; the points that it had are given as of one that ended early.

        Raises:
            NotConnected: The server does not answer.
        """
        self._camera.stop()
