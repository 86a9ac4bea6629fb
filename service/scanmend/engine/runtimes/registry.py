"""The runtimes there are; a new one is one file and one line here."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

from scanmend.engine.runtimes import ort
from scanmend.engine.runtimes.ort import OrtFactory
from scanmend.engine.runtimes.ov import OvFactory
from scanmend.engine.runtimes.seam import Candidate, Runtime, RuntimeFactory
from scanmend.errors import ConfigurationError, MissingExtra

log = logging.getLogger(__name__)

RUNTIMES: dict[str, RuntimeFactory] = {
    "onnxruntime": OrtFactory(),
    "openvino": OvFactory(),
}


def candidates(names: Sequence[str], threads: int, *, int8: bool = False) -> list[Candidate]:
    """Ways to execute a model with the runtimes that are installed, in the order of `names`.

    Args:
        names: Runtimes that may be used.
        threads: How many threads; 0 for all sensible numbers.
        int8: Whether the model has an eight-bit twin; the ways to execute it come last.

    Raises:
        ConfigurationError: A name that is not a runtime's.
        MissingExtra: None of them is installed; the text names what to install for each.
    """
    found: list[Candidate] = []
    missing: list[MissingExtra] = []
    for name in names:
        if name not in RUNTIMES:
            raise ConfigurationError(f"{name!r} is not a runtime.", mend=f"Use {', '.join(RUNTIMES)}.")
        try:
            found += RUNTIMES[name].candidates(threads)
        except MissingExtra as error:
            log.info("%s", error)
            missing.append(error)
    if not found:
        raise MissingExtra(
            "No runtime is installed: " + "; ".join(error.message for error in missing),
            mend=missing[0].mend if missing else "Name at least one runtime.",
        )
    if int8:
        found += [replace(c, precision="int8") for c in found if c.provider == ort.CPU and c.precision == "f32"]
    return found


def load(onnx: bytes, candidate: Candidate) -> Runtime:
    """Load a model in one way.

    Raises:
        RuntimeUnavailable: Not in this way on this machine, or the runtime refuses the file.
    """
    return RUNTIMES[candidate.runtime].load(onnx, candidate)
