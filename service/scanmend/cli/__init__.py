"""The command line: one module a command, each with `HELP`, `add_arguments` and `run`.

Exit codes, the same for every command: 0 done; 1 failed (the reason is on standard error); 2 the command line was
not understood; 3 settings or installation (port in use, folder not writable, package missing); 4 the ledger of a
session does not balance; 130 interrupted before anything was done; 141 nobody reads the output any more.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Protocol, cast

from scanmend._version import __version__
from scanmend.errors import ConfigurationError, RecordingNotWritable, ScanmendError

COMMANDS = (
    "serve",
    "demo",
    "simulate",
    "source",
    "bridge",
    "watch",
    "restore",
    "export",
    "plan",
    "models",
    "check",
    "bench",
    "sessions",
    "replay",
    "token",
)

EXIT_FAILED = 1
EXIT_CONFIGURATION = 3
EXIT_UNBALANCED = 4
EXIT_INTERRUPTED = 130
EXIT_NOBODY_READS = 141


class Command(Protocol):
    """What each command's module offers."""

    HELP: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Describe the command's options."""

    def run(self, arguments: argparse.Namespace) -> int:
        """Do it, and give the exit code."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; gives its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(prog="scanmend", description=__doc__, formatter_class=_Formatter)
    parser.add_argument("--version", action="version", version=f"scanmend {__version__}")
    choices = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    modules: dict[str, Command] = {}
    for name in COMMANDS:
        module = cast(Command, import_module(f"scanmend.cli.{name}"))
        sub = choices.add_parser(name, help=module.HELP, description=module.HELP, formatter_class=_Formatter)
        module.add_arguments(sub)
        modules[name] = module
    arguments = parser.parse_args(words)
    try:
        code = modules[arguments.command].run(arguments)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # Whoever read our output has gone, as `head` does. Python must not try to write the rest at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_NOBODY_READS
    except (ConfigurationError, RecordingNotWritable) as error:
        print(f"scanmend: {error}", file=sys.stderr)
        return EXIT_CONFIGURATION
    except ScanmendError as error:
        print(f"scanmend: {error}", file=sys.stderr)
        return EXIT_FAILED
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED


class _Formatter(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Shows defaults, and leaves the description's lines as they are."""
