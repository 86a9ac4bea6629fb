"""Merlin's control socket: one command, one answer, each with a time limit."""

from __future__ import annotations

import contextlib
import socket
import time

from scanmend.errors import InstrumentError, NotConnected
from scanmend.plan import ScanPlan
from scanmend.sources.detector import DetectorControl
from scanmend.sources.merlin.mpx import HEAD_BYTES, body_bytes, frame

TRIGGERS = ("as-set", "soft")
"""What begins an acquisition: what is set in Merlin's own software, or a command as soon as it is armed."""

SOFT_TRIGGER = 5
IDLE = 0
MAX_IMAGES = 999_999
"""The number of an image has six digits."""

_CODES = {1: "it is busy", 2: "it does not know that command", 3: "the value is out of range"}
_LOOK_S = 0.05


class Control:
    """The control socket; connected for each command, so that Merlin's own software can be started anew meanwhile.

    Args:
        host: Of the computer that runs Merlin's software.
        port: Mostly 6341.
        timeout_s: Longest wait for an answer.
    """

    def __init__(self, host: str, port: int, *, timeout_s: float = 3.0) -> None:
        self._place = (host, port)
        self._timeout_s = timeout_s

    def get(self, name: str) -> str:
        """A value. Raises as `set` does."""
        return self._ask("GET", name)[0]

    def set(self, name: str, value: int) -> None:
        """Set a value.

        Raises:
            NotConnected: No answer in time.
            InstrumentError: It said no.
        """
        self._ask("SET", name, str(value))

    def command(self, name: str) -> None:
        """Give a command. Raises as `set` does."""
        self._ask("CMD", name)

    def idle(self) -> bool | None:
        """Whether nothing is being acquired; None where it does not say. Raises as `set` does."""
        status = self.get("DETECTORSTATUS").strip()
        return int(status) == IDLE if status.isdigit() else None

    def _ask(self, kind: str, name: str, value: str = "0") -> list[str]:
        try:
            with socket.create_connection(self._place, timeout=self._timeout_s) as connection:
                connection.sendall(frame(f"{kind},{name},{value}".encode("ascii")))
                answer = self._answer(connection)
        except OSError as error:
            raise NotConnected(
                f"Merlin's control socket {self._place[0]}:{self._place[1]} did not answer to {kind} {name}: {error}.",
                mend="Is its software running, and does it allow remote control?",
            ) from error
        words = answer.decode("ascii", "replace").split(",")
        with contextlib.suppress(ValueError, IndexError):
            if words[0].upper() == kind and words[1] == name:
                code = int(words[-1])
                if code:
                    raise InstrumentError(
                        f"Merlin refused {kind} {name} {value}: {_CODES.get(code, f'code {code}')}.",
                        mend="Look at its own software.",
                    )
                return words[2:-1] or [""]
        raise InstrumentError(f"Merlin's answer to {kind} {name} cannot be read: {answer!r}.")

    def _answer(self, connection: socket.socket) -> bytes:
        """The body of the answer. Some simulators say a length that is short by one, so all that came is taken."""
        held, size = b"", None
        while size is None or len(held) < HEAD_BYTES + size:
            data = connection.recv(4096)
            if not data:
                raise OSError("it closed the connection")
            held += data
            if size is None and len(held) >= HEAD_BYTES:
                size = body_bytes(held[:HEAD_BYTES])
                if size is None:
                    raise OSError(f"it sent {held[:HEAD_BYTES]!r}")
        return held[HEAD_BYTES:]


class ArmedMerlin(DetectorControl):
    """A detector that is armed for a plan's points; the scan generator that triggers it moves the beam.

    Args:
        control: Its control socket.
        plan: What the scan generator runs; the detector knows nothing of places.
        trigger: One of `TRIGGERS`.
        stop_s: Longest wait until a running acquisition has stopped.
    """

    def __init__(self, control: Control, plan: ScanPlan, trigger: str = "as-set", *, stop_s: float = 5.0) -> None:
        super().__init__(plan, MAX_IMAGES)
        self._control = control
        self._trigger = trigger
        self._stop_s = stop_s

    def begin(self, plan: ScanPlan, passes: int) -> None:
        """Arm for `passes` times the plan's points, 0 for as many as a number has digits for.

        Raises:
            NotConnected: It does not answer, or does not stop what it is doing.
            InstrumentError: It said no.
        """
        if self._control.idle() is False:
            self.abort()
            self._wait_idle()
        if self._trigger == "soft":
            self._control.set("TRIGGERSTART", SOFT_TRIGGER)
        self._control.set("NUMFRAMESTOACQUIRE", min(plan.points * passes or MAX_IMAGES, MAX_IMAGES))
        self._control.command("STARTACQUISITION")
        if self._trigger == "soft":
            self._control.command("SOFTTRIGGER")

    def abort(self) -> None:
        """Stop the acquisition, and drop what is in its buffers.

        Raises:
            NotConnected: It does not answer.
            InstrumentError: It said no.
        """
        self._control.command("ABORT")

    def _wait_idle(self) -> None:
        end_s = time.monotonic() + self._stop_s
        while self._control.idle() is False:
            if time.monotonic() > end_s:
                raise NotConnected(
                    f"Merlin is still busy {self._stop_s:g} s after it was told to stop.", mend="Look at its software."
                )
            time.sleep(_LOOK_S)
