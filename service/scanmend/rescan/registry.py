"""The rescan policies there are; a new one is one file and one line here."""

from __future__ import annotations

from scanmend.errors import InvalidInput
from scanmend.rescan.policies.edge import Edge
from scanmend.rescan.policies.neyman import Neyman
from scanmend.rescan.policies.outlier import Outlier
from scanmend.rescan.policies.uncertainty import Uncertainty
from scanmend.rescan.policies.uniform import Uniform
from scanmend.rescan.policies.variance import Variance
from scanmend.rescan.policy import Policy

DEFAULT = "variance"

POLICIES: dict[str, Policy] = {
    "uniform": Uniform(),
    "neyman": Neyman(),
    "outlier": Outlier(),
    "edge": Edge(),
    "uncertainty": Uncertainty(),
    "variance": Variance(),
}


def policy_names() -> list[str]:
    """What HELLO may name as `rescan`."""
    return list(POLICIES)


def policy_named(name: str) -> Policy:
    """The policy of a name.

    Raises:
        InvalidInput: There is none.
    """
    if name not in POLICIES:
        raise InvalidInput(f"There is no rescan policy {name!r}.", mend=f"Use one of {', '.join(POLICIES)}.")
    return POLICIES[name]
