"""The camera behind an array: areaDetector's `Acquire`, `NumImages`, `ImageMode` and `ArrayCounter` over PVAccess."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from scanmend.errors import InstrumentError, NotConnected
from scanmend.plan import ScanPlan
from scanmend.sources.detector import DetectorControl
from scanmend.sources.epics import extra

SINGLE, MULTIPLE, CONTINUOUS = 0, 1, 2
"""Values of `ImageMode`."""

MAX_IMAGES = 2_000_000_000
WATCHED = ("NumImages_RBV", "ImageMode_RBV", "Acquire_RBV")
_LOOK_S = 0.02


class Camera:
    """What is known of a camera from the PVs that are watched.

    Args:
        prefix: Of its PVs, for example `13SIM1:cam1:`.
    """

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.acquiring: bool | None = None
        """None before it was heard of."""
        self._values: dict[str, int] = {}

    def forget(self) -> None:
        """The connection was lost."""
        self.acquiring = None
        self._values.clear()

    def take(self, name: str, value: Any) -> bool | None:
        """Note a new value of one of `WATCHED`; gives whether it began (True) or stopped (False) to acquire just now.

        A camera that was acquiring before anybody listened did not begin just now.
        """
        number = number_of(value)
        if name != "Acquire_RBV":
            self._values[name] = number
            return None
        before, self.acquiring = self.acquiring, bool(number)
        if self.acquiring:
            return True if before is False else None
        return False

    @property
    def arrays(self) -> int | None:
        """Arrays of the acquisition; None where it goes on until it is stopped, or does not say."""
        mode = self._values.get("ImageMode_RBV")
        if mode == SINGLE:
            return 1
        return self._values.get("NumImages_RBV") if mode == MULTIPLE else None


def number_of(value: Any) -> int:
    """The number in an NTScalar or NTEnum.

    Raises:
        InstrumentError: It is neither.
    """
    try:
        held = value["value"]
        return int(held["index"] if isinstance(held, extra.Value) else held)
    except (KeyError, TypeError, ValueError) as error:
        raise InstrumentError(f"A PV of the camera holds no number: {error!r}.", mend="Look at its prefix.") from error


class AcquiringCamera(DetectorControl):
    """A camera that is told to acquire a plan's points; the scan generator that triggers it moves the beam.

    Args:
        prefix: Of its PVs.
        conf: Where the servers are; what PVAccess finds in the environment where it is None.
        plan: What the scan generator runs; the camera knows nothing of places.
        points_per_array: 1 for images, the points of a frame for scanned frames.
        timeout_s: Longest wait for an answer.
        begin_s: Longest wait until it acquires.
    """

    def __init__(
        self,
        prefix: str,
        conf: Mapping[str, str] | None,
        plan: ScanPlan,
        points_per_array: int = 1,
        *,
        timeout_s: float = 3.0,
        begin_s: float = 10.0,
    ) -> None:
        super().__init__(plan, MAX_IMAGES, "camera")
        self._prefix = prefix
        self._conf = conf
        self._points_per_array = points_per_array
        self._timeout_s = timeout_s
        self._begin_s = begin_s

    def begin(self, plan: ScanPlan, passes: int) -> None:
        """Set the counter back, and acquire `passes` times the plan's points.

        Raises:
            NotConnected: A PV does not answer in time, or the camera does not acquire.
            InstrumentError: A PV refused its value.
        """
        arrays = -(-plan.points * passes // self._points_per_array)
        with self._context() as context:
            if self._get(context, "Acquire_RBV"):
                self._put(context, "Acquire", 0)
                self._wait(context, lambda: not self._get(context, "Acquire_RBV"), "did not stop")
            self._put(context, "ImageMode", MULTIPLE if passes else CONTINUOUS)
            if passes:
                self._put(context, "NumImages", min(arrays, MAX_IMAGES))
            self._put(context, "ArrayCounter", 0)
            self._put(context, "Acquire", 1)
            # A short acquisition may be over before the question comes; then there are arrays.
            self._wait(
                context,
                lambda: self._get(context, "Acquire_RBV") or self._get(context, "ArrayCounter_RBV"),
                "was told to acquire, and does not",
            )

    def abort(self) -> None:
        """Stop acquiring.

        Raises:
            NotConnected: It does not answer.
            InstrumentError: It refused.
        """
        with self._context() as context:
            self._put(context, "Acquire", 0)

    def _context(self) -> Any:
        conf = None if self._conf is None else dict(self._conf)
        return extra.BlockingContext("pva", conf=conf, useenv=self._conf is None, nt=False)

    def _get(self, context: Any, name: str) -> int:
        return number_of(self._ask(name, lambda: context.get(self._prefix + name, timeout=self._timeout_s)))

    def _put(self, context: Any, name: str, number: int) -> None:
        def build(value: Any) -> None:
            held = value["value"]
            value["value.index" if isinstance(held, extra.Value) else "value"] = number

        self._ask(name, lambda: context.put(self._prefix + name, build, timeout=self._timeout_s))

    def _ask(self, name: str, ask: Any) -> Any:
        try:
            return ask()
        except (TimeoutError, extra.Disconnected) as error:
            raise NotConnected(
                f"The PV {self._prefix}{name} does not answer within {self._timeout_s:g} s.",
                mend="Is the IOC running, with its records over PVAccess (QSRV), and is the prefix right?",
            ) from error
        except (RuntimeError, ValueError, KeyError) as error:
            raise InstrumentError(f"The PV {self._prefix}{name} refused: {error}.", mend="Look at the IOC.") from error

    def _wait(self, context: Any, done: Any, what: str) -> None:
        end_s = time.monotonic() + self._begin_s
        while not done():
            if time.monotonic() > end_s:
                raise NotConnected(
                    f"The camera {self._prefix} {what} within {self._begin_s:g} s.", mend="Look at its own screen."
                )
            time.sleep(_LOOK_S)
