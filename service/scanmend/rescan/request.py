"""Whether what a session asks for in matters of dose can be done."""

from __future__ import annotations

import math

from scanmend.errors import InvalidInput
from scanmend.rescan.registry import policy_named
from scanmend.wire.messages import Hello, Mode


def check_request(hello: Hello) -> None:
    """Check the rescan policy and the dose budgets of a HELLO.

    Raises:
        InvalidInput: An unknown policy, a policy for passes that do not add up, or a budget that cannot be kept.
    """
    for budget in (hello.dose_budget_e_per_nm2, hello.pixel_dose_budget_e_per_nm2):
        if budget is None:
            continue
        if not (math.isfinite(budget) and budget > 0):
            raise InvalidInput(
                f"A dose budget of {budget} e/nm².", mend="Give a positive number of electrons per nm², or none."
            )
        if hello.field.beam_current_pa is None:
            raise InvalidInput(
                "A dose budget cannot be kept where the beam current is not known.",
                mend="Give the field's beam_current_pa, or leave the budget out.",
            )
    if hello.rescan is None:
        return
    policy_named(hello.rescan)
    if hello.mode is not Mode.EXPOSURE:
        raise InvalidInput(
            "Rescans are proposed only where passes add up, and in mode 'frames' every pass is a picture of its own.",
            mend="Open the session with mode 'exposure', or without a rescan policy.",
        )
