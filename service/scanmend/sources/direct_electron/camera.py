"""What is asked of deapi, in one small class: properties, a list of points, an acquisition, a virtual image."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from scanmend.errors import InstrumentError, NotConnected
from scanmend.sources.blocking import BlockingCalls

ANSWER_S = 10.0
"""Longest wait for the answer to a question; the server is asked nothing that takes long."""

LIST_S = 90.0
"""Longest wait until a list of points is taken: deapi itself waits 30 s and ten exposures for a word of the server, and
some servers never say it."""

STOP_S = 5.0


class Acquired(NamedTuple):
    """A virtual image."""

    image: npt.NDArray[np.float32]
    """`(ny, nx)`; 0 where the beam was not."""
    frames: int
    """Camera frames that it was made of."""


class Camera:
    """One connection to DE-Server.

    Args:
        host: Where it runs.
        port: Its port.
        new_client: Makes an unconnected `deapi.Client`.
    """

    def __init__(self, host: str, port: int, new_client: Callable[[], Any]) -> None:
        self.place = f"{host}:{port}"
        self._host, self._port = host, port
        self._new_client = new_client
        self._calls: BlockingCalls | None = None
        self._client: Any = None

    # Connecting -------------------------------------------------------------------------------------------------

    def connect(self) -> None:
        """Connect anew.

        Raises:
            NotConnected: Nobody answers.
        """
        self.disconnect()
        calls = self._calls = BlockingCalls(f"DE-Server at {self.place}")
        client = self._client = self._new_client()
        client.usingMmf = False  # shared memory exists on Windows only, and only beside the server
        try:
            calls.ask(lambda: client.connect(host=self._host, port=self._port), ANSWER_S)
        except OSError as error:
            self.disconnect()
            raise NotConnected(f"No DE-Server answers at {self.place}: {error}.", mend="Start DE-MC there.") from error

    def disconnect(self) -> None:
        """Let go of the connection; may be called twice."""
        calls, client, self._calls, self._client = self._calls, self._client, None, None
        if calls is None:
            return
        with contextlib.suppress(NotConnected, OSError, AttributeError):  # deapi's, of a client that never connected
            calls.ask(client.disconnect, STOP_S)
        calls.close()

    def _ask(self, call: Callable[[Any], Any], timeout_s: float = ANSWER_S) -> Any:
        calls, client = self._calls, self._client
        if calls is None:
            raise NotConnected(f"DE-Server at {self.place} is not connected.", mend="Wait: it is tried again.")
        try:
            return calls.ask(lambda: call(client), timeout_s)
        except OSError as error:
            raise NotConnected(f"DE-Server at {self.place} was cut off: {error}.", mend="Look at DE-MC.") from error

    # Properties -------------------------------------------------------------------------------------------------

    def get(self, name: str) -> Any:
        """A property's value.

        Raises:
            NotConnected: No answer; deapi says the same for a property that the server does not have.
        """
        value = self._ask(lambda client: client[name])
        if value is False:
            raise NotConnected(
                f"DE-Server at {self.place} gives no {name!r}.", mend="Look whether it runs, and which version it is."
            )
        return value

    def set(self, name: str, value: float | str) -> None:
        """Set a property, and look whether it was taken: the server rounds and refuses without a word.

        Raises:
            NotConnected: No answer.
            InstrumentError: It has another value now.
        """

        def put(client: Any) -> None:
            client[name] = value

        self._ask(put)
        now = self.get(name)
        same = str(now) == value if isinstance(value, str) else abs(float(now) - value) <= 1e-3 * abs(value)
        if not same:
            raise InstrumentError(
                f"DE-Server has {name} = {now}, and not {value}.", mend="Set it in DE-MC, or ask less."
            )

    # Scanning ---------------------------------------------------------------------------------------------------

    def set_points(self, xy: npt.NDArray[np.int32], width: int, height: int) -> None:
        """Hand over the points of the next scans.

        Args:
            xy: int32 `(n, 2)`, x and y, in visiting order.
            width: Pixels of a line of the field.
            height: Lines of the field.

        Raises:
            NotConnected: No answer.
            InstrumentError: The list was not taken.
        """

        def put(client: Any) -> None:
            with contextlib.redirect_stdout(sys.stderr):  # deapi prints here, and stdout may be read by a program
                client.set_xy_array(xy, width=width, height=height)

        self._ask(put, LIST_S)
        # What set_xy_array returns is no answer: it is False where the list was stored and its last word is missing.
        kind, size = str(self.get("Scan - Type")), (self.get("Scan - Size X"), self.get("Scan - Size Y"))
        if kind not in ("XY Array", "XY File") or (int(size[0]), int(size[1])) != (width, height):
            raise InstrumentError(
                f"DE-Server did not take the list of {len(xy)} points: it scans {kind} of {size[0]} × {size[1]}.",
                mend="Look at DE-MC's scan window for what is in the way.",
            )

    def start(self) -> None:
        """Begin one acquisition. Raises as `get` does."""
        self._ask(lambda client: client.start_acquisition(1))

    @property
    def acquiring(self) -> bool:
        """Whether one runs. Raises as `get` does."""
        return str(self.get("Acquisition Status")) == "Acquiring"

    def virtual_image(self, detector: int) -> Acquired:
        """What a virtual detector saw in the last acquisition.

        Raises:
            NotConnected: No answer.
        """
        result = self._ask(lambda client: client.get_result(f"virtual_image{detector}", "FLOAT32"))
        if result is None or result.image is None:
            raise NotConnected(f"DE-Server gives no virtual image {detector}.", mend="Look whether it is switched on.")
        return Acquired(np.asarray(result.image, np.float32), int(result.attributes.frameCount))

    def stop(self) -> None:
        """Stop the acquisition that runs; it goes beside all other calls.

        Raises:
            NotConnected: No answer.
        """
        client = self._client
        if client is None:
            return
        aside = BlockingCalls(f"DE-Server at {self.place}")  # deapi waits without a limit for the answer to a stop
        try:
            aside.ask(client.stop_acquisition, STOP_S)
        except OSError as error:
            raise NotConnected(f"DE-Server at {self.place} was cut off: {error}.", mend="Look at DE-MC.") from error
        finally:
            aside.close()
        end_s = time.monotonic() + STOP_S
        while self.acquiring:
            if time.monotonic() > end_s:
                raise NotConnected("DE-Server was told to stop, and goes on.", mend="Stop it in DE-MC.")
            time.sleep(0.02)
