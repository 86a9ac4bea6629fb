"""The detector's SIMPLON interface: configuration, commands and states over HTTP, on loopback."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

VERSION = "1.8.0"


class SimplonServer:
    """Answers as a detector does: idle, then ready once it is armed, then acquiring, then idle.

    Args:
        on_command: Told of each command that was obeyed, by its name, with the configuration; in the server's thread.
        ready_after: So many questions for the state are answered with `configure` before it is `ready`.
    """

    def __init__(
        self, on_command: Callable[[str, dict[str, Any]], None] | None = None, *, ready_after: int = 0
    ) -> None:
        self.state = "idle"
        self.config: dict[str, Any] = {"nimages": 1, "ntrigger": 1, "trigger_mode": "exts", "mode": "disabled"}
        self.commands: list[str] = []
        """Every command that was given."""
        self.fails: set[str] = set()
        """Commands that are answered with an error."""
        self.silent = threading.Event()
        """While it is set, questions are taken and not answered."""
        self._on_command = on_command
        self._ready_after = self._to_ready = ready_after
        self._lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer("GET")

            def do_PUT(self) -> None:
                self._answer("PUT")

            def _answer(self, method: str) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                while outer.silent.is_set() and not outer.closing.wait(0.01):
                    pass
                code, answer = outer.handle(method, self.path, json.loads(body) if body else None)
                data = json.dumps(answer).encode()
                self.send_response(code)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.closing = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = False
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), name="simplon")
        self._thread.start()

    def handle(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        """Answer one question: status code, and what is sent as JSON."""
        words = path.strip("/").split("/")
        if len(words) < 5 or words[1:3] != ["api", VERSION]:
            return 404, f"unknown path: {path}"
        kind, name = words[3], "/".join(words[4:])
        with self._lock:
            match method, kind:
                case "GET", "status" if name == "state":
                    return 200, {"value": self._next_state(), "value_type": "string"}
                case "GET", "config" if name in self.config:
                    return 200, {"value": self.config[name]}
                case "PUT", "config" if name in self.config and isinstance(body, dict) and "value" in body:
                    self.config[name] = body["value"]
                    return 200, [name]
                case "PUT", "command":
                    return self._command(name)
        return 404, f"unknown path: {path}"

    def _next_state(self) -> str:
        if self.state == "ready" and self._to_ready:
            self._to_ready -= 1
            return "configure"
        return self.state

    def _command(self, name: str) -> tuple[int, Any]:
        self.commands.append(name)
        after = {"initialize": "idle", "arm": "ready", "trigger": "acquire", "disarm": "idle", "abort": "idle",
                 "cancel": "idle"}.get(name)  # fmt: skip
        if after is None:
            return 404, f"unknown command: {name}"
        if name in self.fails or (name == "trigger" and self.state != "ready"):
            return 400, f"{name} is not possible in state {self.state}"
        self.state, self._to_ready = after, self._ready_after
        if self._on_command is not None:
            self._on_command(name, dict(self.config))
        return 200, {"sequence id": self.commands.count("arm")} if name == "arm" else None

    def close(self) -> None:
        """Stop answering."""
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
