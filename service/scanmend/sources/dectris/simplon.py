"""The SIMPLON interface of DECTRIS detectors: configuration, commands and status over HTTP, each with a time limit."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from typing import Any

import msgspec

from scanmend.errors import InstrumentError, NotConnected
from scanmend.plan import ScanPlan
from scanmend.sources.detector import DetectorControl

VERSION = "1.8.0"
TRIGGERS = ("exts", "exte", "ints")
"""External trigger for a series, external for each image, or none: at once, by the detector's own clock."""

MAX_IMAGES = 2_000_000_000
REST_S = 0.5
"""So long after the last image of a series the detector may still be at it."""

_LOOK_S = 0.05
_BODY_BYTES = 1 << 20


class Simplon:
    """One detector's interface.

    Args:
        url: For example `http://192.168.1.20`.
        timeout_s: Longest wait for an answer.
        version: Of the interface.
    """

    def __init__(self, url: str, *, timeout_s: float = 3.0, version: str = VERSION) -> None:
        self.url = url.rstrip("/")
        self.timeout_s = timeout_s
        self._version = version
        # A proxy of the environment is for the world outside, not for a detector.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def get(self, path: str) -> Any:
        """A value, for example of `detector/status/state`.

        Raises:
            NotConnected: No answer in time.
            InstrumentError: The detector said no, or something that is no value.
        """
        answer = self._ask("GET", path, None)
        if not isinstance(answer, dict) or "value" not in answer:
            raise InstrumentError(f"The detector's answer to {path} has no value.", mend="Is this a SIMPLON interface?")
        return answer["value"]

    def put(self, path: str, value: object = None, *, timeout_s: float | None = None) -> Any:
        """Set a value, or give a command, for example `detector/command/arm`; gives the answer.

        Raises:
            NotConnected: No answer in time.
            InstrumentError: The detector said no.
        """
        return self._ask("PUT", path, None if value is None else {"value": value}, timeout_s)

    def state(self) -> str:
        """What the detector is doing: idle, ready, acquire, error and others. Raises as `get` does."""
        return str(self.get("detector/status/state"))

    def _ask(self, method: str, path: str, body: object, timeout_s: float | None = None) -> Any:
        module, _, rest = path.partition("/")
        url = f"{self.url}/{module}/api/{self._version}/{rest}"
        data = b"" if body is None and method == "PUT" else None if body is None else msgspec.json.encode(body)
        try:
            request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
            with self._opener.open(request, timeout=timeout_s or self.timeout_s) as response:
                text = response.read(_BODY_BYTES)
        except urllib.error.HTTPError as error:
            said = error.read(400).decode(errors="replace").strip()
            error.close()
            raise InstrumentError(
                f"The detector answered {error.code} to {method} {path}: {said or error.reason}.",
                mend="Look at its state and its settings.",
            ) from error
        except (OSError, ValueError) as error:
            raise NotConnected(
                f"The detector's interface at {self.url} did not answer to {method} {path}: {error}.",
                mend="Is it switched on, and is the address right?",
            ) from error
        try:
            return msgspec.json.decode(text) if text.strip() else None
        except msgspec.DecodeError as error:
            raise InstrumentError(f"The detector's answer to {path} is no JSON: {error}.") from error


class ArmedDetector(DetectorControl):
    """A detector that is armed for a plan's points; the scan generator that triggers it moves the beam.

    Args:
        simplon: The detector's interface.
        plan: What the scan generator runs; the detector knows nothing of places.
        trigger: One of `TRIGGERS`.
        ready_s: Longest wait until the detector is ready: armed is not ready.
    """

    def __init__(self, simplon: Simplon, plan: ScanPlan, trigger: str = "exts", *, ready_s: float = 20.0) -> None:
        super().__init__(plan, MAX_IMAGES)
        self._simplon = simplon
        self._trigger = trigger
        self._ready_s = ready_s

    def begin(self, plan: ScanPlan, passes: int) -> None:
        """Arm for `passes` times the plan's points, and wait until the detector is ready.

        Raises:
            NotConnected: It does not answer, or is not ready in time.
            InstrumentError: It said no, or is in the state `error`.
        """
        ask = self._simplon
        if ask.state() in ("na", "error"):
            ask.put("detector/command/initialize", timeout_s=self._ready_s)
        if not self._came_to_rest():
            self.abort()
        images = min(plan.points * passes, MAX_IMAGES) if passes else MAX_IMAGES
        per_trigger, triggers = (1, images) if self._trigger == "exte" else (images, 1)
        ask.put("stream/config/mode", "enabled")
        ask.put("detector/config/trigger_mode", self._trigger)
        ask.put("detector/config/nimages", per_trigger)
        ask.put("detector/config/ntrigger", triggers)
        ask.put("detector/command/arm", timeout_s=self._ready_s)
        self._wait_ready()
        if self._trigger == "ints":
            # Some detectors answer at once, some when the series is over: what counts is what comes on the stream.
            try:
                ask.put("detector/command/trigger", timeout_s=1.0)
            except NotConnected:
                if ask.state() not in ("ready", "acquire"):
                    raise

    def abort(self) -> None:
        """Stop the series and disarm.

        Raises:
            NotConnected: It does not answer.
            InstrumentError: It said no.
        """
        self._simplon.put("detector/command/abort")

    def _came_to_rest(self) -> bool:
        """Whether nothing is armed; the end of the last series may be a moment away."""
        end_s = time.monotonic() + REST_S
        while self._simplon.state() in ("ready", "acquire"):
            if time.monotonic() > end_s:
                return False
            time.sleep(_LOOK_S)
        return True

    def _wait_ready(self) -> None:
        end_s = time.monotonic() + self._ready_s
        while (state := self._simplon.state()) not in ("ready", "acquire"):
            if state == "error":
                raise InstrumentError("The detector is in the state error.", mend="Initialise it, and look at its log.")
            if time.monotonic() > end_s:
                raise NotConnected(
                    f"The detector was armed and is not ready after {self._ready_s:g} s, but {state}.",
                    mend="Look at its own page.",
                )
            time.sleep(_LOOK_S)
