"""What the routes share, and who may use them."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from scanmend.metrics import MetricsPage, WebCounters
from scanmend.settings import Settings
from scanmend.web.access import Access
from scanmend.web.adviser import Adviser
from scanmend.web.command_log import CommandLog
from scanmend.web.console_client import ConsoleClient
from scanmend.web.exports import Exports
from scanmend.web.feed import Feeds
from scanmend.web.history import History
from scanmend.web.keeper_watch import KeeperWatch
from scanmend.web.library import Library
from scanmend.web.made_files import Tickets
from scanmend.web.problems import ApiError
from scanmend.web.repeats import Repeats
from scanmend.web.replays import Replays
from scanmend.web.snapshots import Snapshots
from scanmend.web.thumbnails import Thumbnails
from scanmend.web.token import Role
from scanmend.web.views import Views

TOKEN_MEND = (
    "Send `Authorization: Bearer TOKEN`; `scanmend token show` prints it, and so did the service when it started."
)
ROLE_MEND = "Use the token of the role operate: `scanmend token show`, or the file access-token in the data folder."


log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WebState:
    """Made once for an app; `request.app.state.web`."""

    settings: Settings
    access: Access
    adviser: Adviser
    console: ConsoleClient
    views: Views
    feeds: Feeds
    history: History
    counters: WebCounters
    metrics: MetricsPage
    commands: CommandLog
    repeats: Repeats
    keeper: KeeperWatch
    library: Library
    thumbnails: Thumbnails
    exports: Exports
    tickets: Tickets
    replays: Replays
    snapshots: Snapshots


def web_state(request: Request) -> WebState:
    """The app's state, for a route."""
    state: WebState = request.app.state.web
    return state


def who(request: Request, by: str) -> str:
    """Who gives a command, for logs: the name that was given, or from where it came."""
    return by.strip() or f"an operator at {request.client.host if request.client else 'an unknown place'}"


async def note(
    web: WebState,
    by: str,
    action: str,
    session: str = "",
    *,
    role: Role = Role.OPERATE,
    result: str = "sent",
    **details: str | int | float | None,
) -> None:
    """Put what somebody has done, and what came of it, into the log of commands."""
    said = {key: value for key, value in details.items() if value is not None}
    log.info("%s %s by %r: %s %s", action, session, by, result, said or "")
    await web.commands.add(session=session, action=action, by=by, role=role.value, result=result, details={**said})


Web = Annotated[WebState, Depends(web_state)]

_operate = HTTPBearer(
    auto_error=False, scheme_name="operateToken", description="The token of the role operate: data_dir/access-token."
)
_read = HTTPBearer(
    auto_error=False, scheme_name="readToken", description="The token of the role read: data_dir/read-token."
)
_Given = HTTPAuthorizationCredentials | None


def _once(request: Request) -> None:
    """Refuse a value that is given twice: which of the two was meant?

    Raises:
        ApiError: 422.
    """
    names = [name for name, _ in request.query_params.multi_items()]
    twice = next((name for name in names if names.count(name) > 1), None) if len(names) < 100 else "Something"
    if twice is not None:
        raise ApiError(422, "invalid", f"{twice[:50]} is given more than once.", mend="Give it once.")


def _admitted(web: WebState, given: _Given) -> Role:
    admitted = None if given is None else web.access.admit(given.credentials)
    if admitted is None:
        web.counters.refuse("token")
        code, text = (
            ("token_missing", "A token is needed here.")
            if given is None
            else ("token_wrong", "This is not the service's token, or not any more.")
        )
        raise ApiError(401, code, text, mend=TOKEN_MEND, headers={"WWW-Authenticate": 'Bearer realm="scanmend"'})
    return admitted.role


def needs_read(
    request: Request, web: Web, given: Annotated[_Given, Depends(_operate)], _: Annotated[_Given, Depends(_read)]
) -> Role:
    """Let those in who have a token; gives its role.

    Raises:
        ApiError: 401, without or with a wrong token; 422 where a value is given twice.
    """
    role = _admitted(web, given)  # both schemes read the same header
    _once(request)
    return role


def needs_operate(request: Request, web: Web, given: Annotated[_Given, Depends(_operate)]) -> Role:
    """Let those in who have the token of the role operate; gives that role.

    Raises:
        ApiError: 401, without or with a wrong token; 403 with the token that may only read;
            422 where a value is given twice.
    """
    role = _admitted(web, given)
    if role is not Role.OPERATE:
        web.counters.refuse("role")
        raise ApiError(403, "role", "This token may look, but not act.", mend=ROLE_MEND)
    _once(request)
    return role


Reader = Depends(needs_read)
"""A dependency of every route that anybody with a token may use."""
Operator = Depends(needs_operate)
"""A dependency of every route that acts."""
