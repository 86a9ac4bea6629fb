"""What a client has to report itself: an instrument that vanished, a gap, an image of another size.

Each kind of problem is one PROBLEM that is sent again when there is more to say of it: ten thousand gaps are a few
small messages, and one that is lost with a connection is made good by the next.
"""

from __future__ import annotations

import re
import time

import msgspec

from scanmend.errors import InvalidInput
from scanmend.wire.messages import MAX_PROBLEM_TEXT, MOST_COUNTED, PROBLEM_CODE, Problem, ProblemLevel, encode

MOST_KINDS = 32
"""Kinds of problem of a session; further ones are counted together, under `OTHER`."""

OTHER = "other"

PAUSE_S = 0.25
"""Least time between two PROBLEMs of a session that goes on."""

_CODE = re.compile(PROBLEM_CODE)


class ProblemBook:
    """The problems of one session, and those of them that the service has not been told of.

    Args:
        session_id: The session; 0 for problems that belong to none.
        client: What the client is, for people; only of problems that belong to no session.
    """

    def __init__(self, session_id: int, client: str = "") -> None:
        self._session_id = session_id
        self._client = client
        self._problems: dict[str, Problem] = {}
        self._untold: dict[str, None] = {}
        """Codes, the one that waits longest first."""
        self._offered: Problem | None = None
        self._sent_s = float("-inf")

    def report(self, code: str, text: str, *, mend: str, level: str, points: int, stands: bool) -> str:
        """Count a problem, and have its kind told.

        Returns:
            The code that it is counted under.

        Raises:
            InvalidInput: The code or the level cannot be, or there is no text.
        """
        if not _CODE.match(code) or not text.strip() or points < 0 or level not in ("warning", "error"):
            raise InvalidInput(
                f"A problem {code!r} of level {level!r} cannot be reported.",
                mend="Give a code of small letters, digits and _, a sentence, points of 0 or more, and the level "
                "'warning' or 'error'.",
            )
        if code not in self._problems and len(self._problems) >= MOST_KINDS - 1:
            code = OTHER
        before = self._problems.get(code)
        self._problems[code] = Problem(
            session_id=self._session_id,
            code=code,
            text=text[:MAX_PROBLEM_TEXT],
            mend=mend[:MAX_PROBLEM_TEXT],
            level=ProblemLevel(level),
            count=min(MOST_COUNTED, 1 + (before.count if before else 0)),
            points=min(MOST_COUNTED, points + (before.points if before else 0)),
            since_unix_ns=before.since_unix_ns if before and not before.cleared else time.time_ns(),
            stands=stands,
            client=self._client,
        )
        self._untold[code] = None
        return code

    def clear(self, code: str) -> None:
        """A problem is over; nothing happens where there is none."""
        before = self._problems.get(code)
        if before is not None and not before.cleared:
            self._problems[code] = msgspec.structs.replace(before, cleared=True)
            self._untold[code] = None

    def tell_again(self) -> None:
        """What the service was told may be lost."""
        self._untold.update(dict.fromkeys(self._problems))

    def due(self, now_s: float, *, hurry: bool) -> bytes | None:
        """The PROBLEM that is to be sent now; call `sent` once it is with the socket.

        Args:
            now_s: Seconds that never go back.
            hurry: Whether nothing more comes after it.
        """
        if not self._untold or (not hurry and now_s - self._sent_s < PAUSE_S):
            return None
        self._offered = self._problems[next(iter(self._untold))]
        return encode(self._offered)

    def sent(self, now_s: float) -> None:
        """The one that `due` gave is with the socket."""
        if self._offered is not None:
            self._untold.pop(self._offered.code, None)
            self._sent_s = now_s
        self._offered = None
