"""`scanmend bridge`: scans with a maker's own software, whose class runs in the maker's Python."""

from __future__ import annotations

import argparse
import os

from scanmend.client.bridge.far import far_microscope
from scanmend.client.bridge.program import add_arguments as add_bridge_arguments
from scanmend.client.bridge.program import run_chosen
from scanmend.errors import InvalidInput

HELP = "Scan with a maker's own software (Nion Swift, AutoScript, PyJEM, DigitalMicrograph) whose far end waits."


TOKEN_VARIABLE = "SCANMEND_FAR_TOKEN"
"""In the environment the token is out of the list of processes, which every user of a machine can read."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the options."""
    parser.add_argument("far", help="where the far end waits, as it printed: 127.0.0.1:7511")
    parser.add_argument(
        "--far-token", help=f"the word that the far end printed; {TOKEN_VARIABLE} where it is not given"
    )
    add_bridge_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run sessions until they are done or somebody stops them."""
    token = arguments.far_token or os.environ.get(TOKEN_VARIABLE, "")
    if not token:
        raise InvalidInput("The far end's token is missing.", mend=f"Give --far-token, or set {TOKEN_VARIABLE}.")
    return run_chosen(far_microscope(arguments.far, token), arguments)
