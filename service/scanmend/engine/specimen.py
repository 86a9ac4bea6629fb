"""Whether the specimen of a session still is what it was, as the engine tells it."""

from __future__ import annotations

import logging
from collections.abc import Callable

from scanmend.engine.exposures import SessionExposure
from scanmend.ipc.engine_link import EngineProblem
from scanmend.rescan import Focused
from scanmend.rescan.watch import SpecimenWatch
from scanmend.restoration import FloatPicture
from scanmend.wire.messages import Hello, Mode

log = logging.getLogger(__name__)


class Specimen:
    """Compares the passes of a session in mode `exposure`; in mode `frames` it says nothing.

    Args:
        hello: What the session asked for.
        say: Tells of a problem; called once for each kind of change.
    """

    def __init__(self, hello: Hello, say: Callable[[EngineProblem], None]) -> None:
        region = hello.target.region if hello.rescan is not None else None
        watched = None if region is None else Focused.reach(region)
        self._watch = SpecimenWatch(hello.field.shape, watched) if hello.mode is Mode.EXPOSURE else None
        self._hello, self._say = hello, say
        self._told: set[str] = set()

    @property
    def text(self) -> str:
        """How it changes, in words; empty where nothing is beyond doubt."""
        change = self._watch.change if self._watch is not None else None
        return change.text if change is not None else ""

    @property
    def ends(self) -> str:
        """How fast its signal falls, in words; empty where that is no reason to end an adaptive scan."""
        change = self._watch.change if self._watch is not None else None
        return change.text if change is not None and change.ends else ""

    def pass_done(self, exposure: SessionExposure) -> None:
        """Look at the pass that has just been added, before its restoration is told of."""
        held = exposure.held
        if self._watch is None or held is None:
            return
        change = self._watch.take(held.signal, held.dwell_ns)
        if change is None or not change.text or change.kind in self._told:
            return
        self._told.add(change.kind)
        log.warning("session %s: %s", self._hello.session, change.text)
        text = f"{change.text[0].upper()}{change.text[1:]}."
        self._say(EngineProblem(code=f"specimen_{change.kind}", text=text, session_id=self._hello.session_id))

    def look(self, estimate: FloatPicture) -> None:
        """Keep the slopes of a pass's restoration, by which a movement is seen in the next one."""
        if self._watch is not None:
            self._watch.look(estimate)

    def cautioned(self, caution: str | None) -> str | None:
        """What is said of a restoration, and of the specimen beside it."""
        return "; ".join(filter(None, (caution, self.text))) or caution
