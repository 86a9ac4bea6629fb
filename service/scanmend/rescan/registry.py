"""The rescan policies there are; a new one is one file and one line here."""

from __future__ import annotations

from scanmend.errors import InvalidInput
from scanmend.rescan.policy import Policy
from scanmend.rescan.uncertainty import Uncertainty

POLICIES: dict[str, Policy] = {
    "uncertainty": Uncertainty(),
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
