"""Both of a Merlin's sockets, on loopback: images for one reader, and commands that are obeyed."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from scanmend.errors import NotConnected
from scanmend.sources.merlin.mpx import HEAD_BYTES, body_bytes, frame

HEADER_BYTES = 384
BEGAN_UNIX_S = 1_700_000_000.0
PIXELS = {1: "U08", 2: "U16", 4: "U32"}


def acquisition_header(images: int) -> bytes:
    """The body that begins an acquisition; 0 images for one that goes on until it is stopped."""
    lines = (
        "HDR,",
        f"Frames in Acquisition (Number):\t{images}",
        "Frames per Trigger (Number):\t1",
        "Counter Depth (number):\t12",
        "End\t",
    )
    return "\n".join(lines).encode("latin1").ljust(2044)


def image_body(
    number: int,
    values: npt.NDArray[np.generic],
    *,
    pixels: str = "",
    taken_unix_s: float | None = None,
    counter: int = 0,
    utc: bool = True,
) -> bytes:
    """An image with its header.

    Args:
        number: From 1.
        values: uint8, uint16 or uint32 `(height, width)`.
        pixels: What the header says of them; what they are where it is empty.
        taken_unix_s: When it was taken.
        counter: Of the chip.
        utc: Whether the header says the time in UTC as well, as newer software does.
    """
    height, width = values.shape
    when = datetime.fromtimestamp(BEGAN_UNIX_S if taken_unix_s is None else taken_unix_s, UTC)
    word = pixels or PIXELS[values.dtype.itemsize]
    text = (
        f"MQ1,{number:06d},{HEADER_BYTES:05d},01,{width:04d},{height:04d},{word},   1x1,01,"
        f"{when:%Y-%m-%d %H:%M:%S.%f},0.001000,{counter},0,0,1.200000E+2,5.110000E+2,"
    )
    depth = 6 * values.dtype.itemsize
    if utc:
        text += f"MQ1A,{when:%Y-%m-%dT%H:%M:%S.%f}000Z,1000000ns,"
    return (
        f"{text}{depth},".encode("ascii").ljust(HEADER_BYTES, b"\0")
        + values.astype(values.dtype.newbyteorder(">")).tobytes()
    )


class Merlin:
    """Sends images to whoever connected last, and answers commands.

    Args:
        data_port: 0 for a free one.
        control_port: 0 for a free one.
        on_command: Told of each `CMD`, in the control socket's thread.
        patience_s: Longest wait for a reader.
    """

    def __init__(
        self,
        data_port: int = 0,
        control_port: int = 0,
        on_command: Callable[[str], None] | None = None,
        *,
        patience_s: float = 10.0,
    ) -> None:
        self.values: dict[str, str] = {"DETECTORSTATUS": "0", "NUMFRAMESTOACQUIRE": "1"}
        self.commands: list[str] = []
        self.codes: dict[str, int] = {}
        """Answers other than 0, by the name of what was asked."""
        self._on_command = on_command
        self._data = socket.create_server(("127.0.0.1", data_port))
        self._data.settimeout(patience_s)
        self._control = socket.create_server(("127.0.0.1", control_port))
        self._control.settimeout(0.05)
        self.data_port = int(self._data.getsockname()[1])
        self.control_port = int(self._control.getsockname()[1])
        self._reader: socket.socket | None = None
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="merlin-control")
        self._thread.start()

    def send(self, data: bytes) -> None:
        """Send bytes as they are.

        Raises:
            NotConnected: Nobody reads.
        """
        try:
            if self._reader is None:
                self._reader = self._data.accept()[0]
            self._reader.sendall(data)
        except OSError as error:
            raise NotConnected("Nobody reads the simulated Merlin.", mend=f"Read port {self.data_port}.") from error

    def begin(self, images: int) -> None:
        """Begin an acquisition. Raises as `send` does."""
        self.values["DETECTORSTATUS"] = "1"
        self.send(frame(acquisition_header(images)))

    def image(self, number: int, values: npt.NDArray[np.generic], **more: object) -> None:
        """Send an image; what more can be said of it is said to `image_body`. Raises as `send` does."""
        self.send(frame(image_body(number, values, **more)))  # type: ignore[arg-type]

    def end(self) -> None:
        """Be idle: nothing is told on the data socket."""
        self.values["DETECTORSTATUS"] = "0"

    def close(self) -> None:
        """Go away without a word."""
        self._closing.set()
        self._thread.join()
        for one in (self._reader, self._data, self._control):
            if one is not None:
                one.close()

    # The control socket -----------------------------------------------------------------------------------------

    def _serve(self) -> None:
        while not self._closing.is_set():
            try:
                connection, _ = self._control.accept()
            except TimeoutError:
                continue
            with connection:
                connection.settimeout(1.0)
                try:
                    self._answer(connection)
                except OSError:
                    continue

    def _answer(self, connection: socket.socket) -> None:
        head = connection.recv(HEAD_BYTES, socket.MSG_WAITALL)
        size = body_bytes(head) if head else None
        if size is None:
            return
        kind, name, value = connection.recv(size, socket.MSG_WAITALL).decode("ascii").split(",")
        code = self.codes.get(name, 0)
        words = [kind, name]
        if kind == "GET":
            words.append(self.values.get(name, ""))
        elif kind == "SET" and not code:
            self.values[name] = value
        elif kind == "CMD" and not code:
            self.commands.append(name)
            if name == "ABORT":
                self.end()
            if self._on_command is not None:
                self._on_command(name)
        connection.sendall(frame(",".join([*words, str(code)]).encode("ascii")))
