"""What every part of the acquire process shares: settings, clock, sessions, problems, and the way out."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path
from typing import Literal

import msgspec
import zmq

from scanmend.acquire.problems import Problems
from scanmend.acquire.reported import ReportedWithoutSession
from scanmend.acquire.session import Session
from scanmend.ipc.console import ProblemInfo
from scanmend.settings import Settings
from scanmend.wire.messages import Nack, NackCode, Refuse, ServiceMessage, encode

MOST_WORDS = 600
"""Characters of a reason or a mend: people read no more, and a control message holds 16 KiB."""


MOST_SAID = 128
"""Problems of all clients together that are shown: errors before warnings, the newest first."""


class Posted(Enum):
    """What became of a message to a client."""

    SENT = auto()
    FULL = auto()
    """The client does not read; try again later."""
    AWAY = auto()
    """The client is not connected."""


@dataclass(frozen=True, slots=True)
class Clock:
    """Time; tests give their own. Timeouts look at `mono_ns` alone."""

    mono_ns: Callable[[], int] = time.monotonic_ns
    unix_ns: Callable[[], int] = time.time_ns


@dataclass(slots=True)
class Context:
    """Shared by reception, engine desk, console desk and loop, all in one thread."""

    settings: Settings
    run_dir: Path
    boot_id: int
    clock: Clock
    router: zmq.Socket[bytes]
    started_unix_ns: int
    address: str = ""
    recordings: Path | None = None
    """Folder of the recordings; None where nothing can be recorded."""
    sessions: dict[int, Session] = field(default_factory=dict)
    problems: Problems = field(default_factory=Problems)
    reported: ReportedWithoutSession = field(default_factory=ReportedWithoutSession)
    refused: Counter[str] = field(default_factory=Counter)
    junk: Counter[str] = field(default_factory=Counter)
    draining: bool = False

    def session_named(self, name: str) -> Session | None:
        """The newest session of a name."""
        return next((s for s in reversed(self.sessions.values()) if s.name == name), None)

    def problem(
        self,
        code: str,
        text: str,
        *,
        mend: str = "",
        session: str = "",
        level: Literal["warning", "error"] = "error",
    ) -> None:
        """Put something on the operator's list; a text that repeats what a client sent is cut."""
        now = self.clock.mono_ns() / 1e9
        self.problems.raise_(
            code,
            text[:MOST_WORDS],
            now_mono_s=now,
            now_unix_ns=self.clock.unix_ns(),
            mend=mend[:MOST_WORDS],
            session=session,
            level=level,
        )

    def all_problems(self) -> list[ProblemInfo]:
        """The service's own problems, then the most important of those that clients report."""
        now_s = self.clock.mono_ns() / 1e9
        said = list(self.reported.current(now_s))
        said += [p for s in self.sessions.values() for p in s.reported.current(s.name, now_s)]
        said.sort(key=lambda p: (p.level != "error", -p.since_unix_ns))
        return [*self.problems.current(now_s), *said[:MOST_SAID]]

    def send(self, peer: bytes | None, message: ServiceMessage) -> Posted:
        """Send a control message; a reason that repeats what a client sent is cut to what people read."""
        if isinstance(message, (Nack, Refuse)):
            short = {"reason": message.reason[:MOST_WORDS], "mend": message.mend[:MOST_WORDS]}
            message = msgspec.structs.replace(message, **short)
        return self.send_bytes(peer, encode(message))

    def send_bytes(self, peer: bytes | None, data: bytes) -> Posted:
        """Send an encoded control message."""
        if peer is None:
            return Posted.AWAY
        try:
            self.router.send_multipart([peer, data], flags=zmq.DONTWAIT)
        except zmq.Again:
            return Posted.FULL
        except zmq.ZMQError as error:
            if error.errno != zmq.EHOSTUNREACH:
                raise
            return Posted.AWAY
        return Posted.SENT


MENDS: dict[NackCode, tuple[str, str]] = {
    NackCode.DTYPE: (
        "The frame has another sample type or number of channels than the session announced.",
        "Send what HELLO announced, or open another session.",
    ),
    NackCode.UNKNOWN_PLAN: (
        "The frame names a plan that was not sent.",
        "Send the PLAN before its first frame, then the frame again.",
    ),
    NackCode.BAD_PLAN: (
        "The frame names a plan that was refused.",
        "Mend the plan, send it under another id, and number its frames anew.",
    ),
    NackCode.BEYOND_PLAN: (
        "The frame has points that its plan does not have.",
        "Count first_point from 0 within the plan, and send the plan that was really run.",
    ),
    NackCode.CONFLICT: (
        "Another frame with this sequence number was received before; the first is kept.",
        "Number the frames 0, 1, 2, … and never use a number twice.",
    ),
    NackCode.CREDIT: (
        "The frame came beyond the credit.",
        "Send only sequence numbers below credit_until, and send this one again then.",
    ),
    NackCode.OVERSIZE: (
        "The frame is larger than this session's limit.",
        "Send the pass in several frames of at most max_frame_bytes, which WELCOME names.",
    ),
    NackCode.CHECKSUM: ("The samples were damaged on their way.", "Send the frame again."),
    NackCode.NO_SESSION: (
        "The service does not know this session; it may have been started again.",
        "Say HELLO with the same session_id, then resend from resume_from.",
    ),
    NackCode.ENDED: ("The session has ended.", "Open a new session."),
    NackCode.NOT_FINITE: (
        "The samples hold NaN or infinity; the frame is kept as it came, and is not restored.",
        "Send only points that were measured.",
    ),
}
"""What a NACK says and which mend it names, where that does not depend on the frame."""
