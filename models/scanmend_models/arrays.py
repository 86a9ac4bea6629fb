"""What goes into a model and what comes out of it, by name, as plain arrays; whatever runs it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

INPUTS = ("values", "weight", "units_per_electron", "read_variance")
OUTPUTS = ("estimate", "sigma")

Arrays = dict[str, NDArray[np.float32]]
"""`values`, `weight`, `estimate` and `sigma` are (batch, 1, ny, nx), the two others (batch, 1, 1, 1)."""

Run = Callable[[Arrays], Arrays]
"""From the four inputs to the two outputs."""
