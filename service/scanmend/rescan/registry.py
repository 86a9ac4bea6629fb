"""The rescan policies there are; a new one is one file and one line here."""

from __future__ import annotations

import logging

from scanmend.errors import InvalidInput, ScanmendError
from scanmend.rescan.policies.edge import Edge
from scanmend.rescan.policies.gain import Gain
from scanmend.rescan.policies.gain_network import shipped
from scanmend.rescan.policies.neyman import Neyman
from scanmend.rescan.policies.outlier import Outlier
from scanmend.rescan.policies.uncertainty import Uncertainty
from scanmend.rescan.policies.uniform import Uniform
from scanmend.rescan.policies.variance import Variance
from scanmend.rescan.policy import Policy

log = logging.getLogger(__name__)

POLICIES: dict[str, Policy] = {
    "uniform": Uniform(),
    "neyman": Neyman(),
    "outlier": Outlier(),
    "edge": Edge(),
    "uncertainty": Uncertainty(),
    "variance": Variance(),
    "gain": Gain(),
}


def missing() -> dict[str, ScanmendError]:
    """The policies that cannot be offered here, and why."""
    try:
        shipped()
    except ScanmendError as problem:
        log.warning("The rescan policy gain is not offered: %s", problem)
        return {"gain": problem}
    return {}


MISSING = missing()
for _name in MISSING:
    del POLICIES[_name]

AUTO = "auto"
"""What HELLO may say for `DEFAULT`."""

DEFAULT = "gain" if "gain" in POLICIES else "variance"
"""The policy to ask for where no other is wanted: the one that gains most at equal dose (docs/rescan.md)."""


def policy_names() -> list[str]:
    """What HELLO may name as `rescan`."""
    return list(POLICIES)


def resolved(name: str) -> str:
    """The name of the policy that a HELLO asks for: its own word, or the default for `auto`."""
    return DEFAULT if name == AUTO else name


def policy_named(name: str) -> Policy:
    """The policy of a name, or the default for `auto`.

    Raises:
        InvalidInput: There is none, or what it needs is missing here.
    """
    name = resolved(name)
    if name in MISSING:
        problem = MISSING[name]
        raise InvalidInput(f"The rescan policy {name!r} is not offered here: {problem.message}", mend=problem.mend)
    if name not in POLICIES:
        raise InvalidInput(f"There is no rescan policy {name!r}.", mend=f"Use one of {', '.join([AUTO, *POLICIES])}.")
    return POLICIES[name]
