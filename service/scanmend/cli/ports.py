"""Are the ports free? Asked before processes are started, so that the answer names the port and the way out."""

from __future__ import annotations

import socket

from scanmend.errors import PortInUse
from scanmend.settings import Settings


def check_ports(settings: Settings) -> None:
    """Raise where another program has one of the service's ports.

    Raises:
        PortInUse: It has; the text names the port and the option that chooses another.
    """
    for port, what, option in (
        (settings.port, "microscopes", "--port"),
        (settings.http_port, "the page", "--http-port"),
    ):
        if port:
            _check(settings.host, port, what, option)


def _check(host: str, port: int, what: str, option: str) -> None:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As the service's own sockets: a port that was only just given back does not count as taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError as error:
            raise PortInUse(
                f"Port {port}, which is for {what}, cannot be used: {error.strerror}.",
                mend=f"Stop the program that has it (is another service running?), or choose a port with {option}.",
            ) from error
