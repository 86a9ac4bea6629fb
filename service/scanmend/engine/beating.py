"""Beats from a thread while the engine is busy with one long step."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def beating(beat: Callable[[], None], *, longest_s: float) -> Iterator[None]:
    """Beat once a second, for work that has no place of its own to do it: a single call may take minutes.

    Args:
        beat: Shows that this process lives; must not mind another thread.
        longest_s: After this it counts as hung like any other work.
    """
    done = threading.Event()
    end = time.monotonic() + longest_s

    def keep_beating() -> None:
        while not done.wait(1.0) and time.monotonic() < end:
            beat()

    beat()
    thread = threading.Thread(target=keep_beating, name="beating", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
