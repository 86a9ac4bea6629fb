"""One message of samples: all of a pass, or a run of its points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from scanmend.errors import InvalidInput

Samples = npt.NDArray[np.generic]
"""Samples of shape `(channels, points)` in visiting order, of a dtype in `SAMPLE_DTYPES`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """Samples of a run of points of a plan.

    Raises:
        InvalidInput: The samples are not a table of channels by points.
    """

    plan_id: int
    """The plan that the beam was running."""

    samples: Samples
    """Values, `(channels, points)`, in visiting order."""

    pass_index: int = 0
    """Which execution of a plan in this session, counted from 0."""

    first_point: int = 0
    """Index of the first sample's point within the plan."""

    end_of_pass: bool = True
    """Whether the pass ends with this frame, complete or not."""

    acquired_unix_ns: int = 0
    """When the last sample was taken, in nanoseconds since 1970; 0 where it is not known."""

    dropped_before: int = 0
    """Frames that the sender itself had to discard between the last frame and this one."""

    def __post_init__(self) -> None:
        if self.samples.ndim != 2 or self.samples.size == 0:
            raise InvalidInput(
                f"A frame's samples have shape {self.samples.shape}.",
                mend="Give a table of shape (channels, points) with at least one point.",
            )

    @property
    def points(self) -> int:
        """Number of points."""
        return int(self.samples.shape[1])
