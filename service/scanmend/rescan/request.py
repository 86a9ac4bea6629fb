"""Whether what a session asks for in matters of dose can be done."""

from __future__ import annotations

import math

from scanmend.errors import InvalidInput
from scanmend.rescan.registry import policy_named
from scanmend.wire.messages import Hello, Mode


def check_request(hello: Hello) -> None:
    """Check the rescan policy and the dose budgets of a HELLO.

    Raises:
        InvalidInput: An unknown policy, a policy for passes that do not add up, a budget that cannot be kept, or a
            target outside the field.
    """
    limits = {
        "dose budget": (hello.dose_budget_e_per_nm2, "e/nm²"),
        "dose budget of a pixel": (hello.pixel_dose_budget_e_per_nm2, "e/nm²"),
        "dose rate": (hello.pixel_dose_rate_e_per_nm2_s, "e/nm²/s"),
    }
    for name, (value, unit) in limits.items():
        if value is None:
            continue
        if not (math.isfinite(value) and value > 0):
            raise InvalidInput(f"A {name} of {value} {unit}.", mend=f"Give a positive number of {unit}, or none.")
        if hello.field.beam_current_pa is None:
            raise InvalidInput(
                f"A {name} cannot be kept where the beam current is not known.",
                mend="Give the field's beam_current_pa, or leave the limit out.",
            )
    if not hello.target.fits(hello.field.shape):
        raise InvalidInput(
            f"The target's region {hello.target.region} reaches outside the field of {hello.field.shape}.",
            mend="Keep top + height ≤ ny and left + width ≤ nx.",
        )
    if hello.rescan is None:
        return
    policy_named(hello.rescan)
    if hello.mode is not Mode.EXPOSURE:
        raise InvalidInput(
            "Rescans are proposed only where passes add up, and in mode 'frames' every pass is a picture of its own.",
            mend="Open the session with mode 'exposure', or without a rescan policy.",
        )
