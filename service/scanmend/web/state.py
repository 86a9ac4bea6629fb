"""What the routes share: the console, the adviser, the answers, the feeds, the counters, the token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from scanmend.metrics import MetricsPage, WebCounters
from scanmend.web import token as tokens
from scanmend.web.adviser import Adviser
from scanmend.web.console_client import ConsoleClient
from scanmend.web.feed import Feeds
from scanmend.web.problems import ApiError
from scanmend.web.views import Views

TOKEN_MEND = "Send `Authorization: Bearer TOKEN`; the token is in data_dir/access-token and was printed at the start."


@dataclass(frozen=True, slots=True)
class WebState:
    """Made once for an app; `request.app.state.web`."""

    adviser: Adviser
    console: ConsoleClient
    views: Views
    feeds: Feeds
    counters: WebCounters
    metrics: MetricsPage
    token: str


def web_state(request: Request) -> WebState:
    """The app's state, for a route."""
    state: WebState = request.app.state.web
    return state


Web = Annotated[WebState, Depends(web_state)]

_bearer = HTTPBearer(auto_error=False, description="The access token of data_dir/access-token.")


def needs_token(web: Web, given: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]) -> None:
    """Let only those in who have the token.

    Raises:
        ApiError: 401, without or with a wrong token.
    """
    if given is None or not tokens.same(given.credentials, web.token):
        web.counters.refuse("token")
        code, text = (
            ("token_missing", "A token is needed here.")
            if given is None
            else (
                "token_wrong",
                "This is not the service's token.",
            )
        )
        raise ApiError(401, code, text, mend=TOKEN_MEND, headers={"WWW-Authenticate": 'Bearer realm="scanmend"'})


Operator = Depends(needs_token)
"""A dependency of every route that needs the token."""
