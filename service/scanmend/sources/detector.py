"""What detectors have in common that can be told to begin: they move no beam."""

from __future__ import annotations

from scanmend.errors import PlanError
from scanmend.field import Capabilities
from scanmend.plan import ScanPlan


class DetectorControl:
    """The half of a `ScanController` that needs no question to the detector.

    Args:
        plan: What the scan generator runs; the detector knows nothing of places.
        max_images: The most that it takes in one series.
        called: What it is called where a plan is refused.
    """

    def __init__(self, plan: ScanPlan, max_images: int, called: str = "detector") -> None:
        self._plan = plan
        self._max_images = max_images
        self._called = called

    def capabilities(self) -> Capabilities:
        """It can be given only the plan that the scan generator runs anyway."""
        return Capabilities(points=False, dwell_per_point=False, max_points=self._max_images)

    def prepare(self, plan: ScanPlan) -> ScanPlan:
        """The plan, where it is the scan generator's.

        Raises:
            PlanError: It is another.
        """
        if plan != self._plan:
            raise PlanError(f"A {self._called} alone can run no other plan.", mend="Connect a scan generator too.")
        return plan
