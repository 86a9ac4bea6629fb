"""What is checked before any route: the Host, the Origin, the size of the body; and the headers of every answer.

The Host check ends DNS rebinding: a foreign page that has its name point to 127.0.0.1 still sends its own name.
The Origin check keeps a foreign page from sending commands or opening the live socket; a program that is not a
browser sends none and needs the token anyway.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from scanmend.metrics import WebCounters
from scanmend.web import problems

MAX_BODY_BYTES = 1 << 20
TOO_LARGE = f"The body is above {MAX_BODY_BYTES} bytes."
TOO_LARGE_MEND = "No request to this service needs so much."
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

SECURITY_HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
        b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), microphone=(), geolocation=()"),
)


@dataclass(frozen=True, slots=True)
class Names:
    """By which names this service may be called."""

    hosts: frozenset[str]
    """Values of Host, lower case."""
    origins: frozenset[str]
    """Values of Origin, lower case."""

    @classmethod
    def loopback(cls, port: int) -> Names:
        """The names of this machine's own loopback with the port; without it for port 80, as browsers leave it out."""
        bare = ("127.0.0.1", "localhost", "[::1]")
        hosts = {f"{name}:{port}" for name in bare} | (set(bare) if port == 80 else set())
        return cls(frozenset(hosts), frozenset(f"http://{host}" for host in hosts))


class _TooLarge(Exception):
    """The body is above the cap."""


class Guard:
    """The outermost middleware."""

    def __init__(self, app: ASGIApp, *, names: Names, counters: WebCounters) -> None:
        self._app = app
        self._names = names
        self._counters = counters

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, or pass on."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if refusal is not None:
            reason, text, mend = refusal
            self._counters.refuse(reason)
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})  # before it is open: a 403
                return
            response = problems.answer(403 if reason != "body" else 413, reason, text, mend=mend)
            if reason == "body":
                response.headers["connection"] = "close"
            await response(scope, receive, _with_headers(send))
            return
        if scope["type"] == "http":
            await self._bounded(scope, receive, _with_headers(send))
        else:
            await self._app(scope, receive, send)

    def _refusal(self, scope: Scope) -> tuple[str, str, str] | None:
        hosts = _values(scope, b"host")
        if len(hosts) != 1 or hosts[0] not in self._names.hosts:
            names = " or ".join(sorted(self._names.hosts))
            return "host", "The service is not called by this name.", f"Open it as {names}."
        if scope["type"] == "websocket" or scope["method"] not in _SAFE_METHODS:
            origins = _values(scope, b"origin")
            if any(origin not in self._names.origins for origin in origins):
                return (
                    "origin",
                    "Another site may not command this service.",
                    "Use the service's own page, or a program.",
                )
        lengths = _values(scope, b"content-length")
        if any(not length.isdigit() or int(length) > MAX_BODY_BYTES for length in lengths):
            return "body", TOO_LARGE, TOO_LARGE_MEND
        return None

    async def _bounded(self, scope: Scope, receive: Receive, send: Send) -> None:
        taken = 0

        async def bounded_receive() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > MAX_BODY_BYTES:
                raise _TooLarge
            return message

        async def bounded_send(message: Message) -> None:
            # A framework that met the exception answers something of its own: the truth goes out below.
            if taken <= MAX_BODY_BYTES:
                await send(message)

        with contextlib.suppress(_TooLarge):
            await self._app(scope, bounded_receive, bounded_send)
        if taken > MAX_BODY_BYTES:
            self._counters.refuse("body")
            response = problems.answer(413, "body", TOO_LARGE, mend=TOO_LARGE_MEND, headers={"connection": "close"})
            await response(scope, receive, send)


def _values(scope: Scope, name: bytes) -> list[str]:
    headers: Iterable[tuple[bytes, bytes]] = scope["headers"]
    return [value.decode("latin-1").strip().lower() for key, value in headers if key == name]


def _with_headers(send: Send) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] in ("http.response.start", "websocket.http.response.start"):
            kept = list(message.get("headers", []))
            names = {key for key, _ in kept}
            kept += [pair for pair in SECURITY_HEADERS if pair[0] not in names]
            if b"cache-control" not in names:
                kept.append((b"cache-control", b"no-store"))
            message = {**message, "headers": kept}
        await send(message)

    return send_with_headers
