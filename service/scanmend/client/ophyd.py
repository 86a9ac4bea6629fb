"""A session of the service as a device of ophyd-async, for plans of Bluesky: its dose, sigma and account as readings.

    from scanmend.client.ophyd import ScanmendSession

    mended = ScanmendSession("http://127.0.0.1:7580", "my-session", token="…", name="mended")
    RE(bp.count([mended], num=5))      # five events, each after another frame was answered

The microscope's own software pushes the frames, by an adapter, a bridge or the client. This device looks; it starts a
session that waits for an operator when it is staged, and lets the session finish its pass and end when a plan says
`bps.stop(mended)`. It needs the extra `bluesky`.
"""

from __future__ import annotations

import asyncio
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from scanmend.errors import MissingExtra, NotConnected, ScanmendError

try:
    from ophyd_async.core import AsyncStatus, StandardReadable, soft_signal_r_and_setter
except ImportError as error:
    raise MissingExtra(
        "A device for Bluesky needs ophyd-async, which is not installed.", mend="Run `pip install 'scanmend[bluesky]'`."
    ) from error

LOOK_S = 0.05
"""Pause between two looks at the session."""
ANSWER_S = 5.0
"""How long the service may take to answer."""

_Reading = Callable[[dict[str, Any]], Any]
_READINGS: dict[str, tuple[type, str | None, _Reading]] = {
    "dose": (float, "1/nm^2", lambda view: _number(view["dose"]["used_e_per_nm2"])),
    "dose_most": (float, "1/nm^2", lambda view: _number(view["dose"]["most_e_per_nm2"])),
    "sigma_mean": (float, None, lambda view: _number(view["sigma_mean"])),
    "coverage": (float, None, lambda view: _number(view["coverage"])),
    "received": (int, None, lambda view: view["account"]["received"]),
    "restored": (int, None, lambda view: view["account"]["restored"]),
    "missing": (int, None, lambda view: view["account"]["missing"]),
    "dropped_by_client": (int, None, lambda view: view["account"]["dropped_by_client"]),
    "model": (str, None, lambda view: view["model"]),
    "caution": (str, None, lambda view: view["caution"] or ""),
    "state": (str, None, lambda view: view["state"]),
}
"""Type, unit and place of each reading; what is not known is NaN."""


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)


class ScanmendSession(StandardReadable):  # type: ignore[misc]  # not installed where the types are checked
    """One session, by its name.

    Readings: `dose` and `dose_most` (electrons per nm², of the field's mean and of the pixel with the most),
    `sigma_mean` (in detector units), `coverage` (share of sampled pixels), `received`, `restored`, `missing` and
    `dropped_by_client` (frames), `model`, `caution` (in what way the last frame was unlike those that the model was
    made for) and `state`.

    Args:
        url: Of the service's page, such as `http://127.0.0.1:7580`.
        session: The session's name.
        token: Of the role operate, to start and stop the session; read is enough to look at it.
        timeout_s: Longest wait of `trigger` for another frame, and of `stage` for the session.
        name: Of the device.

    Raises:
        MissingExtra: At import, where ophyd-async is not installed.
    """

    def __init__(self, url: str, session: str, *, token: str, timeout_s: float = 60.0, name: str = "") -> None:
        self._place = f"{url.rstrip('/')}/api/v1/sessions/{quote(session, safe='')}"
        self._session, self._token, self._timeout_s = session, token, timeout_s
        self._answered = 0
        self._set: dict[str, Callable[[Any], None]] = {}
        with self.add_children_as_readables():
            for reading, (kind, units, _) in _READINGS.items():
                signal, self._set[reading] = soft_signal_r_and_setter(kind, units=units)
                setattr(self, reading, signal)
        super().__init__(name)

    def stage(self) -> Any:
        """Wait for the session, and start it where it waits for an operator."""
        return AsyncStatus(self._stage())

    def trigger(self) -> Any:
        """Done when a frame was answered that none of the triggers before has seen; fails once the session has ended.

        Raises:
            NotConnected: The service is not there, or no frame came in time.
            ScanmendError: The session has ended.
        """
        return AsyncStatus(self._trigger())

    async def stop(self, success: bool = True) -> None:
        """Let the session finish its pass and end, as an operator would; `success` is Bluesky's and changes nothing."""
        await self._ask("/stop", {"by": "Bluesky"})

    async def _stage(self) -> None:
        await super().stage()
        view = await self._until(lambda view: view is not None, "There is no session of this name")
        if view["state"] == "waiting":
            await self._ask("/start", {"by": "Bluesky"})
        self._answered = _answered(view)

    async def _trigger(self) -> None:
        def done(view: dict[str, Any] | None) -> bool:
            return view is not None and (_answered(view) > self._answered or view["state"] == "ended")

        view = await self._until(done, "No frame was answered")
        if _answered(view) <= self._answered:
            raise ScanmendError(f"Session {self._session} has ended.", mend="Open another one, or end the plan here.")
        self._answered = _answered(view)
        for reading, (_, _, value_of) in _READINGS.items():
            self._set[reading](value_of(view))

    async def _until(self, done: Callable[[dict[str, Any] | None], bool], otherwise: str) -> dict[str, Any]:
        deadline = time.monotonic() + self._timeout_s
        while True:
            view = await self._ask("")
            if view is not None and done(view):
                return view
            if time.monotonic() > deadline:
                raise NotConnected(
                    f"{otherwise} within {self._timeout_s:g} s (session {self._session}).",
                    mend="Look at the page, and at the program that pushes the frames.",
                )
            await asyncio.sleep(LOOK_S)

    async def _ask(self, what: str, body: dict[str, str] | None = None) -> dict[str, Any] | None:
        """The service's answer; None where it knows no such session."""
        return await asyncio.to_thread(self._request, what, body)

    def _request(self, what: str, body: dict[str, str] | None) -> dict[str, Any] | None:
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._place + what, data=data, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=ANSWER_S) as answer:
                found: dict[str, Any] = json.load(answer)
                return found
        except urllib.error.HTTPError as refusal:
            if refusal.code == 404 and body is None:
                return None
            problem = json.loads(refusal.read() or b"{}")
            text = problem.get("detail", str(refusal))
            raise ScanmendError(f"The service refused: {text}", mend=problem.get("mend", "")) from refusal
        except OSError as error:
            raise NotConnected(
                f"The service does not answer: {error}.", mend="Start it, and look at the URL."
            ) from error


def _answered(view: dict[str, Any]) -> int:
    """Frames that were answered, restored or not."""
    account = view["account"]
    return int(account["restored"] + sum(account["passed_through"].values()) + sum(account["dropped"].values()))
