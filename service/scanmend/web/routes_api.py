"""The API under `/api/v1`, and `/metrics`."""

from __future__ import annotations

import logging
import time
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import PlainTextResponse

from scanmend.errors import InvalidInput, NotConnected
from scanmend.ipc.console import Refused, Status
from scanmend.metrics import CONTENT_TYPE
from scanmend.web.console_client import RESTART_MEND
from scanmend.web.problems import ApiError, responses
from scanmend.web.schemas import (
    Commanded,
    CommandSent,
    CommandWish,
    ModelList,
    SessionList,
    SessionView,
    StatusView,
)
from scanmend.web.state import Operator, Web
from scanmend.web.views import models
from scanmend.wire.messages import check_session_name

log = logging.getLogger(__name__)

router = APIRouter(prefix="/api/v1", tags=["api"], dependencies=[Operator], responses=responses(401, 403))
metrics_router = APIRouter(tags=["metrics"], dependencies=[Operator], responses=responses(401, 403))

SessionName = Annotated[
    str, Path(description="1 to 64 letters, digits, '_', '.' and '-'.", examples=["grid-3_hole-7"], max_length=300)
]

_COMMAND_STATUS = {"no_session": 404, "ended": 409, "detached": 409, "nothing_new": 409}


@router.get("/status", summary="Everything at a glance")
async def get_status(web: Web) -> StatusView:
    """Answers with the last known status even while acquire is away; `state` and `age_s` say so."""
    return web.views.status


@router.get("/sessions", summary="The sessions", responses=responses(503))
async def get_sessions(web: Web) -> SessionList:
    """Open sessions first, newest first."""
    _acquire(web)
    return SessionList(sessions=web.views.status.sessions)


@router.get("/sessions/{name}", summary="One session", responses=responses(404, 422, 503))
async def get_session(web: Web, name: SessionName) -> SessionView:
    """The session with its account so far."""
    _acquire(web)
    return _session(web, name)


@router.get("/models", summary="The models", responses=responses(503))
async def get_models(web: Web) -> ModelList:
    """Every model of the catalogue: live with what executes it, or why it is not live."""
    return ModelList(models=models(_acquire(web)))


@router.post(
    "/sessions/{name}/stop",
    status_code=202,
    summary="Finish the pass, then end",
    responses=responses(404, 409, 413, 422, 503),
)
async def stop(request: Request, web: Web, name: SessionName, wish: CommandWish | None = None) -> CommandSent:
    """Sent twice, it does what it does once."""
    return await _command(request, web, name, "stop", wish)


@router.post(
    "/sessions/{name}/abort",
    status_code=202,
    summary="Blank the beam at once, then end",
    responses=responses(404, 409, 413, 422, 503),
)
async def abort(request: Request, web: Web, name: SessionName, wish: CommandWish | None = None) -> CommandSent:
    """Sent twice, it does what it does once."""
    return await _command(request, web, name, "abort", wish)


@metrics_router.get(
    "/metrics",
    summary="Prometheus metrics",
    response_class=PlainTextResponse,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
async def metrics(web: Web) -> Response:
    """In Prometheus' text format, made at most once a second."""
    return Response(web.metrics.text(), headers={"content-type": CONTENT_TYPE})


def _acquire(web: Web) -> Status:
    snapshot = web.console.snapshot
    if snapshot.status is None or not snapshot.reachable:
        raise NotConnected("The acquire process does not answer.", mend=RESTART_MEND)
    return snapshot.status


def _session(web: Web, name: str) -> SessionView:
    try:
        view = web.views.session(check_session_name(name))
    except InvalidInput as error:
        raise ApiError(404, "no_session", error.message, mend=error.mend) from error
    if view is None:
        raise ApiError(
            404, "no_session", f"There is no session {name}.", mend="GET /api/v1/sessions lists those there are."
        )
    return view


async def _command(
    request: Request, web: Web, name: str, action: Literal["stop", "abort"], wish: CommandWish | None
) -> CommandSent:
    _acquire(web)
    _session(web, name)
    where = request.client.host if request.client else "unknown"
    by = (wish.by if wish is not None else "").strip() or f"an operator at {where}"
    answer = await web.console.command(name, action, by)
    if isinstance(answer, Refused):
        mend = answer.mend or "Look at the session's state."
        raise ApiError(_COMMAND_STATUS[answer.code], answer.code, answer.reason, mend=mend)
    web.counters.commands_sent += 1
    web.views.note_command(name, Commanded(action=action, by=by, at_unix_s=time.time()))
    log.info("%s of session %s commanded by %r", action, name, by)
    return CommandSent(session=name, action=action, by=by)
