"""`scanmend token`: shows the tokens of a service, or replaces one; a running service takes the new one at once."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from scanmend.cli.serve import settings_from
from scanmend.errors import ConfigurationError
from scanmend.web.token import FILE_NAMES, Role, load, rotate

HELP = "Show the token that the page and the API ask for, or replace it by another one."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the options."""
    parser.add_argument("word", choices=("show", "rotate"), help="show it, or replace it: the old one is dead then")
    parser.add_argument(
        "--role",
        choices=tuple(Role),
        default=Role.OPERATE.value,
        help="read: may look; operate: may also command microscopes",
    )
    parser.add_argument("--data-dir", type=Path, help="the service's data folder (scanmend-data)")
    parser.add_argument("--json", action="store_true", help="print one line of JSON")


def run(arguments: argparse.Namespace) -> int:
    """Print the token."""
    data_dir = settings_from(argparse.Namespace(data_dir=arguments.data_dir)).data_dir
    role = Role(arguments.role)
    path = data_dir / FILE_NAMES[role]
    if arguments.word == "show":
        if not path.is_file():
            raise ConfigurationError(
                f"There is no token in {data_dir}.",
                mend="Name the service's data folder with --data-dir; the first start of a service makes its tokens.",
            )
        token = load(path)
    else:
        token = rotate(data_dir, role)
    print(json.dumps({"role": role.value, "token": token, "file": str(path)}) if arguments.json else token)
    return 0
