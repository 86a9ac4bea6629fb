"""The seam between the engine and whatever executes a model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from scanmend.restoration import FloatPicture


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One way to execute a model."""

    runtime: str
    """Name in the registry."""

    provider: str
    """What is asked for; what really runs is in `RuntimeInfo.provider`."""

    precision: str = "f32"
    """Arithmetic: f32, tf32 (GPUs: products with 10 bits behind the point), bf16, or int8 (the model's own twin)."""

    threads: int = 1
    """Threads on the processor."""

    @property
    def label(self) -> str:
        """For tables: `runtime/provider/precision/threads`."""
        return f"{self.runtime}/{self.provider}/{self.precision}/{self.threads}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeInfo:
    """What really runs, as the runtime itself reports after loading."""

    runtime: str
    provider: str
    precision: str
    threads: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """The inputs of a model for one picture."""

    values: FloatPicture
    """Mean signal of a visit of the reference dwell, `(ny, nx)`, contiguous; 0 where not sampled."""

    weight: FloatPicture
    """Summed dwell over the reference dwell, `(ny, nx)`, contiguous; 0 where not sampled."""

    units_per_electron: float
    """0 for noise-free samples."""

    read_variance: float
    """In squared units, for a visit of weight 1."""


class Runtime(Protocol):
    """One model, loaded; used by one thread."""

    @property
    def info(self) -> RuntimeInfo:
        """What really runs."""
        ...

    def warm_up(self, shape: tuple[int, int]) -> None:
        """Prepare for pictures of this shape; called before the first one, never needed for a right answer."""
        ...

    def run(self, picture: Picture, estimate: FloatPicture, sigma: FloatPicture) -> None:
        """Execute the model on one picture, into two arrays of the caller's; called for every picture or tile.

        Args:
            picture: The inputs, of any shape.
            estimate: `(ny, nx)`, contiguous; filled.
            sigma: `(ny, nx)`, contiguous; filled.

        Raises:
            ModelError: The runtime gave up, or the outputs do not have the shape of the inputs.
        """
        ...

    def close(self) -> None:
        """Let go of the model's memory; called once, when it is not used any more."""
        ...


class RuntimeFactory(Protocol):
    """What a runtime's file offers to the registry."""

    def candidates(self, threads: int) -> list[Candidate]:
        """Ways to execute a model that may work on this machine, the most promising first.

        Args:
            threads: How many to use; 0 for all sensible numbers.

        Raises:
            MissingExtra: The runtime is not installed.
        """
        ...

    def load(self, onnx: bytes, candidate: Candidate) -> Runtime:
        """Load a model.

        Raises:
            RuntimeUnavailable: Not in this way on this machine, or the runtime refuses the file.
        """
        ...
