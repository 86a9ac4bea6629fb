"""The scan plan: a pattern on a field's grid, with its dwell times."""

from __future__ import annotations

import math
from functools import cached_property

import msgspec
import numpy as np
import numpy.typing as npt

from scanmend.errors import PlanError
from scanmend.field import Field
from scanmend.plan.expand import Indices, expand
from scanmend.plan.patterns import (
    JitteredGrid,
    Mask,
    Order,
    Pattern,
    Points,
    RandomPixels,
    Raster,
    Segments,
    Serpentine,
    Spiral,
)

MAX_DWELL_NS = 0xFFFFFFFF
"""Longest dwell of a point, 4.29 s: dwell times are u32 nanoseconds."""


class ScanPlan(msgspec.Struct, frozen=True, kw_only=True, dict=True, omit_defaults=True):
    """Which pixels the beam visits, in which order, and how long it stays at each.

    Build one with a class method (`ScanPlan.raster`, `ScanPlan.jittered_grid`, …): they check the whole plan. A plan
    decoded from bytes is checked by `validate`.
    """

    shape: tuple[int, int]
    """Grid of the field, `(ny, nx)` in pixels."""

    pattern: Pattern
    """The pixels and their order."""

    dwell_ns: int
    """Dwell at each point in nanoseconds; the unit of `dwell_list` too. 1 to `MAX_DWELL_NS`."""

    dwell_list: bytes | None = None
    """Little-endian u32 nanoseconds, one a point in visiting order; None where all points have `dwell_ns`."""

    settle_ns: int = 0
    """Wait after each jump before the dwell begins, in nanoseconds."""

    blank_between: bool = False
    """Whether the beam is blanked on its way between points that are not neighbours."""

    max_dose_e_per_nm2: float | None = None
    """Largest dose that any pixel may have received after this plan; None for no limit."""

    expires_unix_ns: int | None = None
    """Time after which the plan must not be started, in nanoseconds since 1970; None for never."""

    # Building ---------------------------------------------------------------------------------------------------

    @classmethod
    def of(
        cls,
        shape: tuple[int, int],
        pattern: Pattern,
        dwell_ns: int | npt.ArrayLike,
        *,
        settle_ns: int = 0,
        blank_between: bool = False,
        max_dose_e_per_nm2: float | None = None,
        expires_unix_ns: int | None = None,
    ) -> ScanPlan:
        """Make and check a plan.

        Args:
            shape: The field's `(ny, nx)`.
            pattern: The pixels and their order.
            dwell_ns: One dwell in nanoseconds, or one for each point in visiting order.
            settle_ns: Wait after each jump, in nanoseconds.
            blank_between: Whether to blank the beam between points that are not neighbours.
            max_dose_e_per_nm2: Largest dose of any pixel after the plan.
            expires_unix_ns: When the plan ends to be valid.

        Raises:
            PlanError: The plan cannot be run on a field of this shape.
        """
        dwell = np.asarray(dwell_ns)
        dwell_list = None
        if dwell.ndim > 1 or not np.issubdtype(dwell.dtype, np.integer) or not _dwells_fit(dwell):
            raise PlanError(
                f"Dwell times must be whole numbers of nanoseconds from 1 to {MAX_DWELL_NS}, one or a list of them.",
                mend="Round them, and split longer dwells into several visits.",
            )
        if dwell.ndim:
            dwell_list = dwell.astype("<u4").tobytes()
        plan = cls(
            shape=(int(shape[0]), int(shape[1])),
            pattern=pattern,
            dwell_ns=int(dwell) if dwell.ndim == 0 else _median(dwell),
            dwell_list=dwell_list,
            settle_ns=settle_ns,
            blank_between=blank_between,
            max_dose_e_per_nm2=max_dose_e_per_nm2,
            expires_unix_ns=expires_unix_ns,
        )
        plan.validate()
        return plan

    @classmethod
    def raster(
        cls,
        shape: tuple[int, int],
        dwell_ns: int | npt.ArrayLike,
        *,
        top: int = 0,
        left: int = 0,
        height: int = 0,
        width: int = 0,
    ) -> ScanPlan:
        """Every pixel of the field, or of a rectangle, line by line from left to right."""
        return cls.of(shape, Raster(top=top, left=left, height=height, width=width), dwell_ns)

    @classmethod
    def serpentine(
        cls,
        shape: tuple[int, int],
        dwell_ns: int | npt.ArrayLike,
        *,
        top: int = 0,
        left: int = 0,
        height: int = 0,
        width: int = 0,
    ) -> ScanPlan:
        """Every pixel of the field, or of a rectangle, every second line backwards."""
        return cls.of(shape, Serpentine(top=top, left=left, height=height, width=width), dwell_ns)

    @classmethod
    def random(
        cls,
        shape: tuple[int, int],
        dwell_ns: int | npt.ArrayLike,
        *,
        coverage: float,
        seed: int = 0,
        order: Order = Order.RASTER,
    ) -> ScanPlan:
        """A share of the field's pixels drawn at random; `coverage` is above 0 and at most 1."""
        if not (math.isfinite(coverage) and 0 < coverage <= 1):
            raise PlanError(f"A coverage of {coverage}.", mend="Give a share above 0 and at most 1.")
        count = max(1, round(coverage * shape[0] * shape[1]))
        return cls.of(shape, RandomPixels(count=count, seed=seed, order=order), dwell_ns)

    @classmethod
    def jittered_grid(
        cls,
        shape: tuple[int, int],
        dwell_ns: int | npt.ArrayLike,
        *,
        pitch_px: float,
        seed: int = 0,
        order: Order = Order.RASTER,
    ) -> ScanPlan:
        """One pixel at a random place in each cell of `pitch_px` × `pitch_px` pixels."""
        return cls.of(shape, JitteredGrid(pitch_px=pitch_px, seed=seed, order=order), dwell_ns)

    @classmethod
    def spiral(
        cls, shape: tuple[int, int], dwell_ns: int | npt.ArrayLike, *, pitch_px: float, step_px: float = 1.0
    ) -> ScanPlan:
        """An Archimedean spiral with `pitch_px` between turns and `step_px` between points."""
        return cls.of(shape, Spiral(pitch_px=pitch_px, step_px=step_px), dwell_ns)

    @classmethod
    def segments(cls, shape: tuple[int, int], dwell_ns: int | npt.ArrayLike, *, runs: npt.ArrayLike) -> ScanPlan:
        """Horizontal runs; `runs` is an integer array `(n, 3)` of `(x, y, length)`, negative lengths to the left."""
        return cls.of(shape, Segments(runs=_int32(runs, 3, "runs").tobytes()), dwell_ns)

    @classmethod
    def mask(
        cls, mask: npt.ArrayLike, dwell_ns: int | npt.ArrayLike, *, order: Order = Order.RASTER, seed: int = 0
    ) -> ScanPlan:
        """The true pixels of a boolean array `(ny, nx)`."""
        picture = np.asarray(mask)
        if picture.ndim != 2:
            raise PlanError(f"A mask of {picture.ndim} dimensions.", mend="Give a boolean array of shape (ny, nx).")
        bits = np.packbits(picture.astype(bool)).tobytes()
        return cls.of((picture.shape[0], picture.shape[1]), Mask(bits=bits, order=order, seed=seed), dwell_ns)

    @classmethod
    def point_list(cls, shape: tuple[int, int], dwell_ns: int | npt.ArrayLike, *, xy: npt.ArrayLike) -> ScanPlan:
        """Any pixels in any order; `xy` is an integer array `(n, 2)` of `(x, y)`."""
        return cls.of(shape, Points(xy=_int32(xy, 2, "xy").tobytes()), dwell_ns)

    # Reading ----------------------------------------------------------------------------------------------------

    def validate(self, field: Field | None = None) -> None:
        """Check the whole plan, and that it is one for this field where a field is given.

        Raises:
            PlanError: The plan cannot be run.
        """
        if field is not None and field.shape != self.shape:
            raise PlanError(
                f"The plan is for a grid of {self.shape}, the field has {field.shape}.",
                mend="Make the plan with the field's shape, (ny, nx).",
            )
        if len(self.shape) != 2:
            raise PlanError("A plan's shape is (ny, nx).", mend="Give two numbers.")
        Field(shape=self.shape, pixel_size_nm=1.0)
        if not (1 <= self.dwell_ns <= MAX_DWELL_NS and 0 <= self.settle_ns <= MAX_DWELL_NS):
            raise PlanError(
                f"A dwell of {self.dwell_ns} ns with a settle time of {self.settle_ns} ns.",
                mend=f"Give a dwell from 1 to {MAX_DWELL_NS} ns and a settle time from 0 to {MAX_DWELL_NS} ns.",
            )
        limit = self.max_dose_e_per_nm2
        if limit is not None and not (math.isfinite(limit) and limit > 0):
            raise PlanError(f"A largest dose of {limit} e/nm².", mend="Give a positive dose, or None for no limit.")
        points = self.points  # expands the pattern, which checks it
        if self.dwell_list is not None:
            if len(self.dwell_list) != 4 * points:
                raise PlanError(
                    f"The plan has {points} points and {len(self.dwell_list) // 4} dwell times.",
                    mend="Give one dwell for all points, or one for each.",
                )
            if not _dwells_fit(self._dwells):
                raise PlanError("A dwell time of 0 ns.", mend="Leave out the points that are not to be visited.")

    @cached_property
    def pixels(self) -> Indices:
        """Flat pixel indices `y * nx + x` in visiting order, int32, read-only."""
        return expand(self.pattern, self.shape)

    @cached_property
    def points(self) -> int:
        """Number of points."""
        return int(self.pixels.size)

    def forget_pixels(self) -> None:
        """Give back the memory of `pixels`, which are worked out anew when they are next asked for.

        For programs that keep many plans: four bytes a point add up.
        """
        self.__dict__.pop("pixels", None)

    @property
    def is_full_raster(self) -> bool:
        """Whether the samples in visiting order are simply the picture."""
        ny, nx = self.shape
        pattern = self.pattern
        return (
            isinstance(pattern, Raster)
            and (pattern.top, pattern.left) == (0, 0)
            and pattern.height in (0, ny)
            and pattern.width in (0, nx)
        )

    @property
    def x(self) -> npt.NDArray[np.int32]:
        """Column of each point, int32 `(n,)`."""
        if self.is_full_raster:  # five times as fast as the division, which matters at 4096²
            return np.tile(np.arange(self.shape[1], dtype=np.int32), self.shape[0])
        return self.pixels % np.int32(self.shape[1])

    @property
    def y(self) -> npt.NDArray[np.int32]:
        """Line of each point, int32 `(n,)`."""
        if self.is_full_raster:
            return np.repeat(np.arange(self.shape[0], dtype=np.int32), self.shape[1])
        return self.pixels // np.int32(self.shape[1])

    @property
    def dwells_ns(self) -> npt.NDArray[np.uint32]:
        """Dwell of each point in nanoseconds, u32 `(n,)`."""
        if self.dwell_list is None:
            return np.full(self.points, self.dwell_ns, dtype=np.uint32)
        return self._dwells

    @property
    def _dwells(self) -> npt.NDArray[np.uint32]:
        return np.frombuffer(self.dwell_list or b"", dtype="<u4")

    @property
    def total_dwell_ns(self) -> int:
        """Dwell summed over all points, in nanoseconds."""
        if self.dwell_list is None:
            return self.points * self.dwell_ns
        return int(self._dwells.sum(dtype=np.uint64))

    @cached_property
    def coverage(self) -> float:
        """Share of the field's pixels that are visited at least once."""
        if self.is_full_raster:
            return 1.0
        visited = np.zeros(self.shape[0] * self.shape[1], dtype=bool)
        visited[self.pixels] = True
        return float(visited.mean())

    @property
    def jumps(self) -> int:
        """Number of points that do not follow on a neighbour of theirs, the first included."""
        x, y = self.x, self.y
        near = (np.abs(np.diff(x)) <= 1) & (np.abs(np.diff(y)) <= 1)
        return 1 + int(np.count_nonzero(~near))

    def duration_ns(self, *, settle_ns: int = 0) -> int:
        """Time that the plan takes, in nanoseconds: all dwells, and a settle time for each jump.

        `scanmend.plan.Cost` has the whole price on an instrument, with its commands and flybacks.

        Args:
            settle_ns: The instrument's own settle time; the longer one of it and the plan's counts.
        """
        settle = max(settle_ns, self.settle_ns)
        return self.total_dwell_ns + (settle * self.jumps if settle else 0)


def _dwells_fit(dwell: npt.NDArray[np.generic]) -> bool:
    return bool(dwell.size == 0 or (int(dwell.min()) >= 1 and int(dwell.max()) <= MAX_DWELL_NS))


def _median(dwell: npt.NDArray[np.integer]) -> int:
    """Median of dwell times in whole nanoseconds, 1 of none."""
    if dwell.size == 0:
        return 1
    least = int(dwell.min())
    # Most points of a sparse plan have the shortest dwell, and many alike are what selecting a median is slowest for.
    return least if 2 * int(np.count_nonzero(dwell == least)) > dwell.size else int(np.median(dwell))


def _int32(values: npt.ArrayLike, columns: int, name: str) -> npt.NDArray[np.int32]:
    array = np.asarray(values)
    if array.ndim != 2 or array.shape[1] != columns or not np.issubdtype(array.dtype, np.integer):
        raise PlanError(
            f"{name} is an array of shape {array.shape} and type {array.dtype}.",
            mend=f"Give whole numbers in an array of shape (n, {columns}).",
        )
    if array.size and (int(array.min()) < -(1 << 31) or int(array.max()) >= 1 << 31):
        raise PlanError(f"{name} holds numbers beyond 32 bits.", mend="Keep positions inside the field.")
    return array.astype("<i4")
