"""An operator for tests: at acquire's console, or at the API of a running service."""

from __future__ import annotations

import itertools
import json
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import zmq

from running import RunningService, wait_for
from scanmend.ipc import console


class AtConsole:
    """Asks acquire as the web process does.

    Args:
        run_dir: The service's.
    """

    def __init__(self, run_dir: Path) -> None:
        self._address = f"ipc://{run_dir / 'console'}"
        self._asks = itertools.count(1)

    def __enter__(self) -> Self:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.connect(self._address)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._context.destroy(linger=0)

    def ask(self, message: console.ToAcquire) -> tuple[Any, list[bytes]]:
        """The answer to a question, and the parts after it."""
        self._socket.send(console.encode(message))
        assert self._socket.poll(5000), "acquire does not answer"
        parts = self._socket.recv_multipart()
        return console.decode_from_acquire(parts[0]), parts[1:]

    def command(self, session: str, action: console.Action, **more: Any) -> str:
        """Command something; "sent", or the code of the refusal."""
        asked = console.AskCommand(ask=next(self._asks), session=session, action=action, by="Ada", **more)
        answer, _ = self.ask(asked)
        return "sent" if isinstance(answer, console.Obeyed) else str(answer.code)

    def session(self, name: str) -> console.SessionInfo:
        """A session as acquire sees it."""
        status, _ = self.ask(console.AskStatus(ask=next(self._asks)))
        return next(s for s in status.sessions if s.hello.session == name)


class AtApi:
    """Asks the API with the token of the role operate."""

    def __init__(self, service: RunningService) -> None:
        self._url = service.page.split("/#")[0] + "/api/v1"
        self._token = (service.data_dir / "access-token").read_text().strip()
        self._decided: set[tuple[str, int]] = set()

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> tuple[int, Any]:
        """The status and the answer of a request."""
        data = None if body is None else json.dumps(body).encode()
        known = {"authorization": f"Bearer {self._token}", "content-type": "application/json", **headers}
        request = urllib.request.Request(self._url + path, data=data, method=method, headers=known)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    def command(self, session: str, what: str, body: dict[str, object] | None = None, method: str = "POST") -> None:
        """Command something that must be taken."""
        status, answer = self.ask(method, f"/sessions/{session}/{what}", {"by": "Ada", **(body or {})})
        assert status == 202, answer

    def session(self, name: str) -> dict[str, Any]:
        """A session's view; empty while it is not known, or acquire is away."""
        status, answer = self.ask("GET", f"/sessions/{name}")
        return answer if status == 200 else {}

    def wait_until(self, name: str, good: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Wait until a session's view is good; gives it."""
        found: list[dict[str, Any]] = []

        def seen() -> bool:
            view = self.session(name)
            if view and good(view):
                found.append(view)
            return bool(found)

        wait_for(seen, 30, f"session {name} does not come to be as it should")
        return found[0]

    def wait_until_ready(self) -> None:
        """Wait until the engine has loaded its models; a busy machine takes its time for that."""
        wait_for(lambda: self.ask("GET", "/status")[1]["state"] == "ready", 90, "the service is not ready")

    def boot_id(self) -> str:
        """Of the acquire that the API has heard last."""
        return str(self.ask("GET", "/status")[1]["boot_id"])

    def engine_starts(self) -> int:
        """How many engines have connected since the service started."""
        return int(self.ask("GET", "/status")[1]["engine"]["starts"])

    def wait_until_asked(self, name: str) -> dict[str, Any]:
        """Wait for a proposal that awaits the operator; gives it."""
        found: list[dict[str, Any]] = []

        def asked() -> bool:
            proposal = self.session(name).get("proposal")
            # The status is up to a second old: it may still show one that was decided on just now.
            known = proposal is None or (name, proposal["proposal_id"]) in self._decided
            if not known and proposal["awaits"] == "operator":
                found.append(proposal)
            return bool(found)

        wait_for(asked, 60, f"no proposal of {name} awaits an operator")
        return found[0]

    def decide(self, name: str, decision: str) -> dict[str, Any]:
        """Decide on the next proposal that awaits it; gives the proposal."""
        proposal = self.wait_until_asked(name)
        self._decided.add((name, proposal["proposal_id"]))
        self.command(name, "proposal", {"proposal_id": str(proposal["proposal_id"]), "decision": decision})
        return proposal
