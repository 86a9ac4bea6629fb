"""The simulated microscope: specimen → column → detectors, driven by the scan generator.

It executes plans and knows what nobody knows of a real one: the true picture and the true dose of each pixel.
It has no network in it.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from scanmend.errors import InvalidInput, PlanError
from scanmend.field import Channel, Field
from scanmend.plan import ScanPlan
from scanmend.plan.fit import cut
from scanmend.units import ELECTRONS_PER_PA_NS
from scanmend_sim.column import Beam, Column, Scene
from scanmend_sim.damage import Damage
from scanmend_sim.detector import Detector
from scanmend_sim.scan_generator import Scan, ScanGenerator, Stretch
from scanmend_sim.specimens import Specimen

PLANS_KEPT = 4
"""Plans whose times are remembered."""


@dataclass(frozen=True, slots=True)
class DoseReport:
    """What the beam has done so far."""

    delivered_electrons: float
    """Electrons delivered during dwells, over the whole field."""
    idle_electrons: float
    """Electrons delivered while the beam waited unblanked after jumps; no sample shows them."""
    mean_e_per_nm2: float
    """Dose of the dwells, averaged over the field."""
    max_e_per_nm2: float
    """Dose of the dwells at the pixel that has got most."""
    points: int
    """Points visited."""
    signal_lost: float = 0.0
    """Share of the specimen's whole signal that the beam has destroyed."""


class Microscope:
    """A microscope with a specimen in it."""

    def __init__(
        self,
        specimen: Specimen,
        field: Field,
        *,
        column: Column | None = None,
        detectors: Detector | tuple[Detector, ...] | None = None,
        generator: ScanGenerator | None = None,
        damage: Damage | None = None,
        seed: int = 0,
    ) -> None:
        """Put the specimen in and draw it.

        Args:
            specimen: What to look at.
            field: Where; its beam current must be known.
            column: Blur, drift and distortion; flawless where None.
            detectors: One or several, all of the same dtype; an ideal counting one where None.
            generator: Scan electronics; the default ones where None.
            damage: How the signal fades with dose; None for a specimen that bears everything.
            seed: Of all noise and motion.

        Raises:
            InvalidInput: No beam current, detectors that do not fit one frame, or a specimen that cannot be drawn.
        """
        if field.beam_current_pa is None:
            raise InvalidInput(
                "The simulated microscope needs a beam current.", mend="Give the field a beam_current_pa."
            )
        self.field = field
        self.column = column or Column()
        self.detectors = (detectors,) if isinstance(detectors, Detector) else detectors or (Detector(),)
        if len({detector.channel.dtype for detector in self.detectors}) > 1:
            raise InvalidInput(
                "The detectors have different dtypes, and a frame has only one.", mend="Give all the same dtype."
            )
        self.generator = generator or ScanGenerator()
        self.damage = damage
        self.seed = seed
        self.clock_ns = 0
        """Time of the instrument since it was switched on: the end of the last samples, in nanoseconds."""
        self._electrons_per_ns = field.beam_current_pa * ELECTRONS_PER_PA_NS
        self._beam = Beam(self.column, field.pixel_size_nm, seed)
        self._scans: OrderedDict[ScanPlan, Scan] = OrderedDict()
        self._running: tuple[int, int] | None = None
        self._dwell_ns = np.zeros(field.pixels, dtype=np.float64)
        self._idle_ns = 0
        self._points = 0
        self.insert(specimen)

    @property
    def channels(self) -> tuple[Channel, ...]:
        """What the detectors are, as the service is told."""
        return tuple(detector.channel for detector in self.detectors)

    def insert(self, specimen: Specimen) -> None:
        """Change the specimen, or move to another place that is as yet undamaged; dose and clock go on.

        Raises:
            InvalidInput: The specimen cannot be drawn for this field.
        """
        self.specimen = specimen
        picture = specimen.render(self.field.shape, self.field.pixel_size_nm)
        self._scene = Scene(picture, self.column, self.field.pixel_size_nm)
        self._before_ns = self._dwell_ns.copy()

    # Scanning ---------------------------------------------------------------------------------------------------

    def prepare(self, plan: ScanPlan, *, now_unix_ns: int | None = None) -> ScanPlan:
        """Check a plan and make it fit the electronics and the dose limit that it names.

        Args:
            plan: Any plan, for example of a proposal.
            now_unix_ns: The time to compare its expiry with; the system's where None.

        Returns:
            The plan as it will run; equal to `plan` where nothing had to change.

        Raises:
            PlanError: It is for another grid, has expired, cannot be run, or would overdose every pixel.
        """
        plan.validate(self.field)
        now = time.time_ns() if now_unix_ns is None else now_unix_ns
        if plan.expires_unix_ns is not None and now > plan.expires_unix_ns:
            raise PlanError("The plan has expired.", mend="Ask for a new one.")
        fitted = self.generator.prepare(plan)
        limit = fitted.max_dose_e_per_nm2
        if limit is None:
            return fitted
        added = np.bincount(fitted.pixels, weights=fitted.dwells_ns, minlength=self.field.pixels)
        within = (self._dwell_ns + added) * self._dose_per_ns <= limit * (1 + 1e-9)
        keep = within[fitted.pixels]
        if keep.all():
            return fitted
        if not keep.any():
            raise PlanError(
                f"The plan would bring every pixel above its limit of {limit:g} e/nm².",
                mend="Shorten the dwell, or raise max_dose_e_per_nm2.",
            )
        return cut(fitted, keep)

    def scan(self, plan: ScanPlan) -> Scan:
        """Give a prepared plan's times: its duration, and the chunks in which its samples come.

        The last few plans are remembered.
        """
        scan = self._scans.get(plan)
        if scan is None:
            scan = self._scans[plan] = self.generator.scan(plan)
            if len(self._scans) > PLANS_KEPT:
                self._scans.popitem(last=False)
        return scan

    def run(
        self, plan: ScanPlan, pass_index: int = 0, first_point: int = 0, n: int | None = None
    ) -> npt.NDArray[np.generic]:
        """Scan points of a plan.

        A pass begins at the clock's time when its first chunk is asked for; its later chunks keep the pass's
        timing. The noise depends on the seed, the pass and the first point only, so the same calls in the same
        order give the same samples.

        Args:
            plan: A plan that `prepare` returned.
            pass_index: Which pass of the session this is.
            first_point: First point of the chunk within the plan.
            n: Number of points; None for all that are left.

        Returns:
            Samples (channels, n) in visiting order, of the detectors' dtype.

        Raises:
            PlanError: Points outside the plan, or a plan for another grid.
        """
        if plan.shape != self.field.shape:
            plan.validate(self.field)
        scan = self.scan(plan)
        stretch = scan.stretch(first_point, n)
        if self._running is None or self._running[0] != pass_index or first_point == 0:
            self._running = (pass_index, self.clock_ns)
            self._idle_ns += 0 if plan.blank_between else scan.wait_ns
        start = self._running[1]
        samples = self._samples(plan, stretch, start, pass_index)
        self._account(plan, first_point, stretch.points)
        self.clock_ns = start + scan.end_ns(first_point + stretch.points - 1)
        return samples

    def preview(self, plan: ScanPlan, pass_index: int = 0) -> npt.NDArray[np.generic]:
        """Give the samples of a whole pass that begins now, without running it: no dose, no time.

        Args:
            plan: A plan that `prepare` returned.
            pass_index: Chooses the noise, as in `run`.

        Returns:
            Samples (channels, points).
        """
        return self._samples(plan, self.scan(plan).stretch(), self.clock_ns, pass_index)

    def book_pass(self, plan: ScanPlan) -> None:
        """Put a whole pass on the books, dose and time, without making its samples."""
        scan = self.scan(plan)
        self._running = None
        self._idle_ns += 0 if plan.blank_between else scan.wait_ns
        self._account(plan, 0, scan.points)
        self.clock_ns += scan.duration_ns

    def _samples(self, plan: ScanPlan, stretch: Stretch, start_ns: int, pass_index: int) -> npt.NDArray[np.generic]:
        if self.column.moves:
            signal = self._scene.sample(*self._beam.places(stretch, start_ns))
        elif plan.is_full_raster:
            signal = self._scene.blurred.reshape(-1)[stretch.first_point : stretch.first_point + stretch.points]
        else:
            signal = self._scene.blurred.reshape(-1)[stretch.pixels]
        if self.damage is not None:
            signal = (signal * self._left(self.damage, stretch)).astype(np.float32)
        beam = np.asarray(stretch.dwell_ns * self._electrons_per_ns)
        flicker = self._beam.current(stretch, start_ns)
        if flicker is not None:
            beam = beam * flicker
        rng = np.random.Generator(np.random.SFC64([self.seed & 0xFFFFFFFF, pass_index, stretch.first_point]))
        samples = [
            detector.read(detector.mean_electrons(signal, beam), stretch.dwell_ns, rng) for detector in self.detectors
        ]
        return samples[0][None] if len(samples) == 1 else np.stack(samples)

    def _left(self, damage: Damage, stretch: Stretch) -> npt.NDArray[np.float64]:
        """Share of the signal left during each dwell; a pixel that a chunk visits twice fades after the chunk."""
        pixels = stretch.pixels
        dose = (self._dwell_ns - self._before_ns)[pixels] * self._dose_per_ns
        whole = self._scene.blurred.reshape(-1)[pixels]
        return damage.left(whole, dose, stretch.dwell_ns * self._dose_per_ns)

    # What is true -----------------------------------------------------------------------------------------------

    @property
    def _dose_per_ns(self) -> float:
        return self._electrons_per_ns / self.field.pixel_size_nm**2

    def _account(self, plan: ScanPlan, first_point: int, points: int) -> None:
        part = slice(first_point, first_point + points)
        self._points += points
        if plan.is_full_raster and plan.dwell_list is None:
            self._dwell_ns[part] += plan.dwell_ns
            return
        weights = None if plan.dwell_list is None else plan.dwells_ns[part]
        added = np.bincount(plan.pixels[part], weights=weights, minlength=self.field.pixels)
        self._dwell_ns += added * plan.dwell_ns if weights is None else added

    @property
    def dose_e_per_nm2(self) -> npt.NDArray[np.float64]:
        """Dose of each pixel so far, (ny, nx); the mean beam current counts, not its flicker."""
        return (self._dwell_ns * self._dose_per_ns).reshape(self.field.shape)

    def dose(self) -> DoseReport:
        """Sum up what the beam has done so far."""
        dwell = float(self._dwell_ns.sum())
        return DoseReport(
            delivered_electrons=dwell * self._electrons_per_ns,
            idle_electrons=self._idle_ns * self._electrons_per_ns,
            mean_e_per_nm2=dwell * self._dose_per_ns / self.field.pixels,
            max_e_per_nm2=float(self._dwell_ns.max()) * self._dose_per_ns,
            points=self._points,
            signal_lost=self._lost(),
        )

    def _lost(self) -> float:
        if self.damage is None:
            return 0.0
        whole = self._scene.blurred.reshape(-1)
        left = self.damage.left(whole, (self._dwell_ns - self._before_ns) * self._dose_per_ns)
        return 1.0 - float((whole * left).sum(dtype=np.float64)) / max(float(whole.sum(dtype=np.float64)), 1e-30)

    def dose_after(self, plan: ScanPlan) -> float:
        """Give the dose averaged over the field that the books would show after a plan, in e/nm².

        Compare it with a session's budget before obeying a proposal.
        """
        return self.dose().mean_e_per_nm2 + plan.total_dwell_ns * self._dose_per_ns / self.field.pixels

    def truth(self, *, at_ns: int | None = None, sharp: bool = False) -> npt.NDArray[np.float32]:
        """Give the noise-free picture as relative signal.

        Args:
            at_ns: Show the specimen where it has drifted to at this time of `clock_ns`; None for undrifted.
            sharp: The specimen itself, not blurred by the probe; only undrifted.

        Returns:
            float32 (ny, nx) in [0, 1], without scan distortion and without what the beam has destroyed.
        """
        if sharp:
            return self._scene.sharp
        if at_ns is None or not self.column.moves:
            return self._scene.blurred
        away_y, away_x = self._beam.drift_px(np.array([float(at_ns)]))
        ny, nx = self.field.shape
        y, x = np.divmod(np.arange(ny * nx), nx)
        return self._scene.sample(y - away_y[0], x - away_x[0]).reshape(ny, nx)

    def truth_electrons(
        self, dwell_ns: float, *, channel: int = 0, at_ns: int | None = None
    ) -> npt.NDArray[np.float32]:
        """Give the mean number of electrons that a visit of `dwell_ns` catches at each pixel.

        Restored estimates of a channel with a known gain are in these units, with the exposure's reference
        dwell, so that their PSNR is taken against this picture.

        Args:
            dwell_ns: Dwell of one visit in nanoseconds.
            channel: Which detector.
            at_ns: As in `truth`.

        Returns:
            float32 (ny, nx).
        """
        detector = self.detectors[channel]
        beam = dwell_ns * self._electrons_per_ns
        return np.asarray(detector.mean_electrons(self.truth(at_ns=at_ns), beam), dtype=np.float32)
