"""Small whole messages between two processes of one service, over a unix socket.

SOCK_SEQPACKET keeps message borders and tells at once when the other process has died: its kernel closes the
socket. Everything is non-blocking; wait in a poller on `fileno()`.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import time
from enum import Enum
from pathlib import Path
from typing import Final

from scanmend.errors import ConfigurationError, InvalidInput, NotConnected, OversizeMessage

MAX_MESSAGE_BYTES = 64 * 1024
_MAX_PATH_BYTES = 107  # sun_path of struct sockaddr_un, less its closing zero
_BUFFER_BYTES = 1024 * 1024


class PeerGone(Enum):
    """What `receive` gives instead of a message when there will never be another one."""

    PEER_GONE = "peer gone"


PEER_GONE: Final = PeerGone.PEER_GONE


class Sent(Enum):
    """What became of a message."""

    SENT = "sent"
    FULL = "full"
    """The peer does not read; nothing was sent, try again when the socket is writable."""
    PEER_GONE = "peer gone"


class Doorbell:
    """One end of a connection; made by `connect` or by `Listener.accept`.

    Args:
        connection: A connected SOCK_SEQPACKET socket, which now belongs to this object.
    """

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self._socket = connection
        credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        self.peer_pid, self.peer_uid, _ = struct.unpack("3i", credentials)

    @classmethod
    def connect(cls, path: Path, *, timeout_s: float = 5.0) -> Doorbell:
        """Connect to a `Listener`, waiting until it is there.

        Raises:
            NotConnected: Nobody listened there in time.
            ConfigurationError: The path is too long for a unix socket.
        """
        address = _checked_address(path)
        deadline = time.monotonic() + timeout_s
        while True:
            connection = _new_socket()
            try:
                connection.connect(address)
                return cls(connection)
            except (FileNotFoundError, ConnectionRefusedError, BlockingIOError) as error:
                connection.close()
                if time.monotonic() >= deadline:
                    raise NotConnected(
                        f"No process answered on its doorbell within {timeout_s:g} s.",
                        mend="Look in the log why the acquire process did not start.",
                    ) from error
                time.sleep(0.01)
            except OSError:
                connection.close()
                raise

    def fileno(self) -> int:
        """The descriptor for a poller; -1 once closed."""
        return self._socket.fileno()

    def send(self, message: bytes) -> Sent:
        """Send one message, whole or not at all, without waiting.

        Raises:
            OversizeMessage: Longer than 64 KiB.
            InvalidInput: Empty, which the peer could not tell from the end.
        """
        if not message:
            raise InvalidInput("An empty doorbell message looks like the end of the connection.", mend="Send a byte.")
        if len(message) > MAX_MESSAGE_BYTES:
            raise OversizeMessage(
                f"A doorbell message of {len(message)} bytes is longer than {MAX_MESSAGE_BYTES}.",
                mend="Put the data into a slot and send its number.",
            )
        try:
            self._socket.send(message, socket.MSG_NOSIGNAL)
        except BlockingIOError:
            return Sent.FULL
        except (BrokenPipeError, ConnectionResetError, ConnectionRefusedError):
            return Sent.PEER_GONE
        return Sent.SENT

    def receive(self) -> bytes | PeerGone | None:
        """The next message; None when there is none yet; PEER_GONE when the other process closed or died.

        Raises:
            OversizeMessage: The peer sent more than 64 KiB; that message is lost.
        """
        try:
            message, _, flags, _ = self._socket.recvmsg(MAX_MESSAGE_BYTES)
        except BlockingIOError:
            return None
        except ConnectionResetError:
            return PEER_GONE
        if flags & socket.MSG_TRUNC:
            raise OversizeMessage(
                f"A doorbell message was longer than {MAX_MESSAGE_BYTES} bytes.",
                mend="Run the same version of every process.",
            )
        return message if message else PEER_GONE

    def close(self) -> None:
        """Hang up; safe to call twice."""
        self._socket.close()

    def __enter__(self) -> Doorbell:
        """Use it in a `with` block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()


class Listener:
    """Waits for doorbell connections at a path of the run folder, mode 0600.

    Args:
        path: Where; nothing may be there yet.

    Raises:
        ConfigurationError: The path is taken, too long, or its folder cannot be written.
    """

    def __init__(self, path: Path) -> None:
        address = _checked_address(path)
        self.path = path
        self._socket = _new_socket()
        try:
            self._socket.bind(address)
            path.chmod(0o600)
            self._socket.listen(8)
        except OSError as error:
            self._socket.close()
            raise ConfigurationError(
                f"The doorbell cannot be hung up: {error.strerror}.",
                mend="Restart the service; it makes a fresh run folder.",
            ) from error

    @property
    def fd(self) -> int:
        """The descriptor, readable when somebody wants to connect; -1 once closed."""
        return self._socket.fileno()

    def fileno(self) -> int:
        """The same, for pollers that take objects."""
        return self.fd

    def accept(self) -> Doorbell | None:
        """The next connection, or None; another user's process is turned away."""
        try:
            connection, _ = self._socket.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return None
        bell = Doorbell(connection)
        if bell.peer_uid != os.getuid():
            bell.close()
            return None
        return bell

    def close(self) -> None:
        """Stop listening and remove the path; safe to call twice."""
        if self._socket.fileno() >= 0:
            self._socket.close()
            with contextlib.suppress(FileNotFoundError):
                self.path.unlink()

    def __enter__(self) -> Listener:
        """Use it in a `with` block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()


def _new_socket() -> socket.socket:
    made = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
    made.setblocking(False)
    for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
        made.setsockopt(socket.SOL_SOCKET, option, _BUFFER_BYTES)
    return made


def _checked_address(path: Path) -> str:
    if len(os.fsencode(path)) > _MAX_PATH_BYTES:
        raise ConfigurationError(
            f"A doorbell's path may be {_MAX_PATH_BYTES} bytes long.", mend="Use a run folder with a shorter path."
        )
    return str(path)
