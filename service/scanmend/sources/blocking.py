"""Calls into a maker's library that may never return, each with a time limit."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from scanmend.errors import NotConnected

Answer = TypeVar("Answer")


class BlockingCalls:
    """One thread that makes all calls of a library that is not safe in several.

    A call that does not return in time is given up, and with it the thread, which cannot be stopped: it is a daemon,
    and whatever it still says is not heard. The library's object must not be used again after that.

    Args:
        what: For people: whose calls they are.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._calls: queue.SimpleQueue[tuple[Callable[[], Any], Future[Any]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name=what, daemon=True)
        self._thread.start()

    def ask(self, call: Callable[[], Answer], timeout_s: float) -> Answer:
        """Make a call and wait for it; what it raises is raised here.

        Raises:
            NotConnected: It did not return in time.
        """
        future: Future[Answer] = Future()
        self._calls.put((call, future))
        try:
            return future.result(timeout_s)
        except TimeoutError as error:
            if future.done():  # the library's own time limit
                raise
            raise NotConnected(
                f"{self._what} did not answer within {timeout_s:g} s.", mend="Look at its own window, or start it anew."
            ) from error

    def close(self) -> None:
        """Let the thread end when its present call returns."""
        self._calls.put(None)

    def _work(self) -> None:
        while (item := self._calls.get()) is not None:
            call, future = item
            try:
                future.set_result(call())
            except BaseException as error:
                future.set_exception(error)
