"""Runs `scanmend plan` for the API: this process loads no model, and must never be busy.

One calculation at a time, in a process of its own that gives way to the service's, ends with this one, and is killed
when it takes too long, when nobody waits for it any more, or when the service stops.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Sequence
from functools import partial
from typing import Any

from fastapi import Request
from pydantic import ValidationError

from scanmend.web.aside import Aside
from scanmend.web.problems import ApiError
from scanmend.web.schemas_advice import AdviceView

log = logging.getLogger(__name__)

COMMAND = (sys.executable, "-m", "scanmend.cli", "plan")
TIMEOUT_S = 90.0
"""On two busy cores the largest comparison takes a third of this."""


class Adviser:
    """The one who calculates.

    Args:
        command: What is run, before its options.
        timeout_s: Most time of a calculation.
    """

    def __init__(self, command: Sequence[str] = COMMAND, timeout_s: float = TIMEOUT_S) -> None:
        self._command = tuple(command)
        self._aside = Aside(
            busy=partial(
                ApiError,
                429,
                "busy",
                "The adviser is working for somebody else.",
                mend="Ask again in some seconds.",
                headers={"Retry-After": "10"},
            ),
            too_slow=partial(
                ApiError,
                503,
                "too_slow",
                f"The adviser took longer than {timeout_s:g} s.",
                mend="Ask with fewer draws or the model live, or run scanmend plan when the machine is less busy.",
            ),
            timeout_s=timeout_s,
        )

    async def ask(self, words: Sequence[str], request: Request) -> AdviceView:
        """Compare.

        Args:
            words: Options of `scanmend plan`.
            request: Whoever asks; the calculation ends when they leave.

        Raises:
            ApiError: 429 while another calculation runs; 422 where the question has no answer; 503 where it takes
                too long or nobody waits any more; 500 where the calculation fails.
        """
        self._aside.take()
        try:
            done = await self._aside.run([*self._command, *words, "--threads=1", "--json", "--child"], request)
        finally:
            self._aside.release()
        return _answer(done.code, done.printed, done.complaint)

    def close(self) -> None:
        """Let nothing run on."""
        self._aside.close()


def _answer(code: int | None, printed: bytes, complaint: bytes) -> AdviceView:
    failed = ApiError(500, "internal", "The calculation failed.", mend="The service's log has the reason.")
    try:
        if code == 0:
            return AdviceView.model_validate_json(printed)
        found: Any = json.loads(printed)
        problem = found["problem"]
        detail, mend, impossible = str(problem["detail"]), str(problem["mend"]), problem["code"] == "impossible"
    except (ValidationError, ValueError, LookupError, TypeError) as error:
        log.error("scanmend plan ended with code %s: %s", code, complaint.decode("utf-8", "replace")[-2000:])
        raise failed from error
    if not impossible:
        log.error("scanmend plan failed: %s", detail)
    raise ApiError(422 if impossible else 500, "impossible" if impossible else "internal", detail, mend=mend)
