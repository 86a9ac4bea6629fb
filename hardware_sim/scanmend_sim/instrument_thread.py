"""A simulated microscope in a thread of its own, for tests of services and of pages."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Self

from scanmend.errors import SessionPaused
from scanmend_sim.instrument import Instrument
from scanmend_sim.report import Report


class InstrumentThread:
    """Runs an instrument; what goes wrong in its thread is raised in the caller's.

    As a context manager it asks the instrument to stop when the block is left, and waits for its end.

    Args:
        instrument: Not running yet; it belongs to the thread from now on.
        patience_s: Longest wait for its end.
    """

    def __init__(self, instrument: Instrument, *, patience_s: float = 60.0) -> None:
        self.instrument = instrument
        self._patience_s = patience_s
        self._report: Report | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=f"microscope {instrument.name}", daemon=True)

    def _run(self) -> None:
        try:
            self._report = self.instrument.run()
        except BaseException as error:  # whatever it is belongs to the thread that calls `result`
            self._error = error

    def start(self) -> Self:
        """Begin to scan."""
        self._thread.start()
        return self

    @property
    def running(self) -> bool:
        """Whether the session goes on."""
        return self._thread.is_alive()

    def result(self, timeout_s: float | None = None) -> Report:
        """Wait for the end; gives the account.

        Raises:
            SessionPaused: It has not ended in time.
            ScanmendError: Whatever the instrument raised.
        """
        self._thread.join(self._patience_s if timeout_s is None else timeout_s)
        if self._error is not None:
            raise self._error
        if self._report is None:
            raise SessionPaused(
                f"The simulated microscope {self.instrument.name} has not ended in time.",
                mend="Stop it first, or wait longer.",
            )
        return self._report

    def stop(self, timeout_s: float | None = None) -> Report:
        """Ask it to finish its pass and to end; gives the account. Raises as `result` does."""
        self.instrument.ask_to_stop()
        return self.result(timeout_s)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.instrument.ask_to_stop()
        if kind is None:
            self.result()
        else:
            self._thread.join(self._patience_s)
