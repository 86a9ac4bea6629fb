"""The golden self-test: a loaded model must give its golden answer before it goes live."""

from __future__ import annotations

import numpy as np

from scanmend.engine.catalogue import Model
from scanmend.engine.runtimes import Picture, Runtime
from scanmend.errors import ModelError, ModelFailedSelfTest


def golden_picture(model: Model) -> Picture:
    """The question of the self-test as a picture."""
    question = model.question
    return Picture(
        values=question["values"][0, 0],
        weight=question["weight"][0, 0],
        units_per_electron=float(question["units_per_electron"].reshape(-1)[0]),
        read_variance=float(question["read_variance"].reshape(-1)[0]),
    )


def self_test(runtime: Runtime, model: Model) -> None:
    """Ask the golden question and compare the answer.

    In float32 the answer must come within the manifest's `rtol` and `atol`; in a coarser arithmetic, within the
    error that the fidelity gate allows.

    Raises:
        ModelFailedSelfTest: The answer is another one, is not finite, or there is none.
    """
    picture = golden_picture(model)
    golden, gate = model.manifest.golden, model.manifest.gate
    estimate, sigma = np.full((2, *picture.values.shape), np.nan, dtype=np.float32)
    try:
        runtime.run(picture, estimate, sigma)
    except ModelError as error:
        raise ModelFailedSelfTest(
            f"Model {model.name} failed its self-test: {error.message}", mend=error.mend or _MEND
        ) from error
    allowed = golden.atol
    if runtime.info.precision != "f32":
        allowed = max(allowed, gate.max_abs_error_rel * float(np.ptp(picture.values[picture.weight > 0])))
    for name, got in (("estimate", estimate), ("sigma", sigma)):
        wanted = model.answer[name][0, 0]
        if wanted.shape != got.shape:
            raise ModelFailedSelfTest(f"Model {model.name}: question and answer differ in shape.", mend=_MEND)
        # Written so that NaN fails.
        wrong = ~(np.abs(got - wanted) <= allowed + golden.rtol * np.abs(wanted))
        if wrong.any():
            raise ModelFailedSelfTest(
                f"Model {model.name} failed its self-test with {runtime.info.runtime} in {runtime.info.precision}: "
                f"{int(wrong.sum())} of {wrong.size} pixels of {name} are not the golden ones.",
                mend=_MEND,
            )


_MEND = "Install Scanmend again, or use another runtime; the model is not used."
