"""The floor of the EPICS path: a process that watches a PV with p4p, makes an array of each update and counts.

    python -m scanmend.bench.ingest.bare PV QUEUE

It prints a line of JSON each time the server has gone: arrays that came, and numbers that were left out.
"""

from __future__ import annotations

import json
import sys
import threading
from typing import Any

from scanmend.sources.epics import extra


class Counter:
    """Counts what comes, by the numbers of the arrays."""

    def __init__(self) -> None:
        self.gone = threading.Event()
        self.count = self.missed = self.pixels = 0
        self._last: int | None = None

    def take(self, update: Any) -> None:
        """An update: an array, or the news that the server has gone."""
        if isinstance(update, Exception):
            if self.count:
                self.gone.set()
            return
        if not update.size:
            return
        number = update.raw.uniqueId
        self.missed += 0 if self._last is None else number - self._last - 1
        self._last = number
        self.count += 1
        self.pixels += update.size


def main(words: list[str]) -> int:
    """Watch for ever."""
    extra.check_installed()
    while True:
        counter = Counter()
        with extra.BlockingContext("pva") as context:
            watched = context.monitor(
                words[0], counter.take, request=f"field()record[queueSize={words[1]}]", notify_disconnect=True
            )
            counter.gone.wait()
            watched.close()
        print(json.dumps({"arrays": counter.count, "missed": counter.missed}), flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
