"""The simulated scan generator on TCP, as Glasgow's software forwards the real one."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from scanmend.errors import MalformedMessage
from scanmend.field import Channel, DetectorKind, Field
from scanmend.sources.obi.commands import MAX_CODE, Command, CommandReader
from scanmend_sim.detector import Detector
from scanmend_sim.microscope import Microscope
from scanmend_sim.obi.generator import Generator
from scanmend_sim.specimens import Specimen

LOOK_S = 0.1

Obey = Callable[[Command], bytes]
Tap = Callable[[Command, Obey], bytes | None]


def obi_microscope(
    specimen: Specimen,
    field: Field,
    *,
    units_per_electron: float = 100.0,
    reference_dwell_ns: int = 1000,
    seed: int = 0,
) -> Microscope:
    """A microscope whose detector gives levels of 14 bits, as the converter does."""
    channel = Channel(
        name="SE",
        kind=DetectorKind.ANALOGUE,
        units_per_electron=units_per_electron,
        reference_dwell_ns=reference_dwell_ns,
        saturation_units=float(MAX_CODE),
    )
    return Microscope(specimen, field, detectors=Detector(channel=channel), seed=seed)


class ObiServer:
    """Serves one client after another, in a thread of its own.

    Args:
        microscope: What the beam falls on.
        port: To listen on; any free one where 0.
        tap: Gets each command and what obeys it, and gives the bytes that really go: for faults. None hangs up.
    """

    def __init__(self, microscope: Microscope, port: int = 0, tap: Tap | None = None) -> None:
        self.generator = Generator(microscope)
        self.tap = tap or (lambda command, obey: obey(command))
        self._listener = socket.create_server(("127.0.0.1", port))
        self._listener.settimeout(LOOK_S)
        self.port: int = self._listener.getsockname()[1]
        self._stop = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._serve, name="obi")
        self._thread.start()

    def close(self) -> None:
        """Stop serving.

        Raises:
            BaseException: What went wrong in the thread.
        """
        self._stop.set()
        self._thread.join()
        self._listener.close()
        if self._error is not None:
            raise self._error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _serve(self) -> None:
        try:
            while not self._stop.is_set():
                try:
                    connection = self._listener.accept()[0]
                except TimeoutError:
                    continue
                with connection:
                    connection.settimeout(LOOK_S)
                    self._talk(connection)
        except BaseException as error:
            self._error = error

    def _talk(self, connection: socket.socket) -> None:
        """Obey one client until it goes."""
        reader = CommandReader()
        while not self._stop.is_set():
            try:
                data = connection.recv(1 << 16)
            except TimeoutError:
                continue
            except OSError:
                return
            if not data:
                return
            try:
                commands = reader.feed(data)
            except MalformedMessage:
                return  # the real one would take the rest for other commands: nobody may drive it so
            for command in commands:
                answer = self.tap(command, self.generator.obey)
                if answer is None or not self._send(connection, answer):
                    return

    def _send(self, connection: socket.socket, data: bytes) -> bool:
        view = memoryview(data)
        while view and not self._stop.is_set():
            try:
                view = view[connection.send(view) :]
            except TimeoutError:
                continue
            except OSError:
                return False
        return True
