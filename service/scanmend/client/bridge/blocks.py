"""From a plan to rectangles with one dwell each, which is what the makers' own software scans."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from scanmend.errors import PlanError
from scanmend.field import Capabilities
from scanmend.plan import ScanPlan
from scanmend.plan.fit import fit
from scanmend.plan.patterns import Raster, Segments, Serpentine


@dataclass(frozen=True, slots=True)
class Block:
    """A rectangle that is scanned line by line from left to right, with one dwell."""

    top: int
    left: int
    height: int
    width: int
    dwell_ns: int
    first_point: int
    """Number of its first point within the plan; its points follow on each other there."""

    @property
    def points(self) -> int:
        """How many pixels it has."""
        return self.height * self.width

    def strips(self, longest_s: float) -> list[Block]:
        """The same in strips of whole lines, none of them longer than so many seconds but for single lines."""
        lines = max(1, int(longest_s * 1e9 // (self.width * self.dwell_ns)))
        return [
            replace(
                self,
                top=self.top + start,
                height=min(lines, self.height - start),
                first_point=self.first_point + start * self.width,
            )
            for start in range(0, self.height, lines)
        ]


def as_scanned(plan: ScanPlan, able: Capabilities) -> ScanPlan:
    """What the microscope makes of a plan: dwell times rounded, and a raster in place of a serpentine of one dwell.

    Raises:
        PlanError: It cannot scan such a plan; the text says why.
    """
    plan = fit(plan, able)
    pattern = plan.pattern
    if isinstance(pattern, Serpentine) and _one_dwell(plan):
        return ScanPlan.raster(
            plan.shape,
            int(plan.dwells_ns[0]),
            top=pattern.top,
            left=pattern.left,
            height=pattern.height,
            width=pattern.width,
        )
    return plan


def blocks_of(plan: ScanPlan, able: Capabilities, longest_s: float | None = None) -> list[Block]:
    """The blocks of a plan, whose points one after another are the plan's points.

    Runs under one another, as wide and with the same dwell, become one block.

    Args:
        plan: As `as_scanned` gives it: a raster, or horizontal runs.
        able: What the microscope can scan.
        longest_s: Longest block, where nothing can end one; None for no limit.

    Raises:
        PlanError: The microscope cannot scan it; the text says why.
    """
    blocks = _raster(plan) if isinstance(plan.pattern, Raster) else _runs(plan, able)
    if longest_s is None or not able.rectangles:
        return blocks
    return [strip for block in blocks for strip in block.strips(longest_s)]


def _one_dwell(plan: ScanPlan) -> bool:
    return plan.dwell_list is None or bool((plan.dwells_ns == plan.dwells_ns[0]).all())


def _raster(plan: ScanPlan) -> list[Block]:
    if not _one_dwell(plan):
        raise PlanError(
            "This microscope has one dwell for all pixels of a rectangle.", mend="Give the plan a single dwell."
        )
    first, last = int(plan.pixels[0]), int(plan.pixels[-1])
    (top, left), (bottom, right) = divmod(first, plan.shape[1]), divmod(last, plan.shape[1])
    return [Block(top, left, bottom - top + 1, right - left + 1, int(plan.dwells_ns[0]), 0)]


def _runs(plan: ScanPlan, able: Capabilities) -> list[Block]:
    if not isinstance(plan.pattern, Segments):
        raise PlanError(
            "This microscope scans rectangles and horizontal runs, and not single points.",
            mend="Announce what it can scan in its capabilities: proposals keep to them.",
        )
    dwells = plan.dwells_ns
    blocks: list[Block] = []
    point = 0
    for x, y, length in np.frombuffer(plan.pattern.runs, dtype="<i4").reshape(-1, 3).tolist():
        own = dwells[point : point + abs(length)]
        if length < 0 or bool((own != own[0]).any()):
            raise PlanError(
                "This microscope scans runs from left to right, each with one dwell.",
                mend="Turn the run around, and split it where its dwell changes.",
            )
        above = blocks[-1] if blocks else None
        dwell = int(own[0])
        if (
            above is not None
            and able.rectangles
            and (above.left, above.width, above.dwell_ns) == (x, length, dwell)
            and above.top + above.height == y
        ):
            blocks[-1] = replace(above, height=above.height + 1)
        else:
            blocks.append(Block(y, x, 1, length, dwell, point))
        point += length
    return blocks
