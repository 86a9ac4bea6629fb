"""What to scan next: policies that propose a plan, and the ledger that knows what the specimen has had.

A session asks for a policy by name in its HELLO (`rescan`); without that nothing is proposed.
"""

from scanmend.rescan.dose import DoseLedger
from scanmend.rescan.focus import Focused
from scanmend.rescan.nothing import why_none
from scanmend.rescan.planning import propose
from scanmend.rescan.policy import Policy, ProposedPlan, RescanState
from scanmend.rescan.registry import POLICIES, policy_named, policy_names, resolved
from scanmend.rescan.request import check_request

__all__ = [
    "POLICIES",
    "DoseLedger",
    "Focused",
    "Policy",
    "ProposedPlan",
    "RescanState",
    "check_request",
    "policy_named",
    "policy_names",
    "propose",
    "resolved",
    "why_none",
]
