"""What a bridge asks of a microscope: five verbs with plain numbers, text and arrays.

Nothing of Scanmend stands in them, so that a class for a maker's library can run in any Python that the maker ships,
beside this program or far from it (`scanmend.client.bridge.far`). `docs/bridges/` has such classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Protocol

import msgspec
import numpy as np
import numpy.typing as npt

from scanmend.errors import InvalidInput
from scanmend.field import Capabilities, Channel, Field

Taken = tuple[int, int, npt.NDArray[np.generic] | None]


class Microscope(Protocol):
    """A maker's microscope, as a bridge sees it.

    Every call may raise what the maker's library raises: it ends the session as aborted, with the beam blanked.
    """

    def describe(self) -> Mapping[str, Any]:
        """What it is and what it can do; called first, and once.

        Returns:
            `program`: the maker's software, for people. `field`: the values of `scanmend.field.Field`. `channels`: a
            list, each with the values of `Channel`. `capabilities`: the values of `Capabilities`. `longest_block_s`:
            None where `stop` can end a running block, else how long a block may be that nothing can end.
            `remarks`: what an operator should know, sentences.
        """

    def begin(self, top: int, left: int, height: int, width: int, dwell_ns: int) -> None:
        """Unblank, and begin to scan a rectangle of the field, in pixels; line by line, from left to right.

        It may return at once, or when the rectangle is done. It must refuse what it would run otherwise, for example
        with another dwell.
        """

    def read(self, timeout_s: float) -> Taken | None:
        """The next points of the rectangle, called until all are there.

        Args:
            timeout_s: How long to wait for them; None comes back where there are none yet.

        Returns:
            The first point's number in the rectangle, how many they are, and their samples `(channels, points)`;
            None in place of the samples where they were measured and cannot be used.
        """

    def stop(self) -> None:
        """Stop scanning now, and blank the beam. Called whenever nothing is scanned, so also where nothing runs."""

    def close(self) -> None:
        """Let go of the microscope; called last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """A microscope's own description, checked."""

    program: str
    field: Field
    channels: tuple[Channel, ...]
    capabilities: Capabilities
    longest_block_s: float | None = None
    remarks: tuple[str, ...] = ()

    @classmethod
    def of(cls, microscope: Microscope) -> Described:
        """Ask a microscope.

        Raises:
            InvalidInput: Its description cannot be used.
        """
        said = dict(microscope.describe())
        try:
            described = msgspec.convert(said, cls)
        except msgspec.ValidationError as error:
            raise _wrongly(str(error)) from error
        _check_names(said, cls)
        _check_names(said["field"], Field)
        _check_names(said["capabilities"], Capabilities)
        for channel in said["channels"]:
            _check_names(channel, Channel)
        if not described.channels or (described.longest_block_s is not None and not described.longest_block_s > 0):
            raise _wrongly("it has no channel, or blocks of no time")
        return described


def _check_names(given: Mapping[str, Any], known: type[Any]) -> None:
    """Refuse what nobody would read: a limit with a slip of the pen in its name would not hold."""
    unknown = set(given) - {each.name for each in fields(known)}
    if unknown:
        raise _wrongly(f"nobody knows what {', '.join(sorted(unknown))} is")


def _wrongly(how: str) -> InvalidInput:
    return InvalidInput(f"The microscope describes itself wrongly: {how}.", mend="Mend `describe` of its class.")
