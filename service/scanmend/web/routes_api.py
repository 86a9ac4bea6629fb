"""Status, sessions and models under `/api/v1`, and `/metrics`."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import PlainTextResponse

from scanmend.errors import InvalidInput, NotConnected
from scanmend.ipc.console import Status
from scanmend.metrics import CONTENT_TYPE
from scanmend.web.console_client import RESTART_MEND
from scanmend.web.problems import ApiError, responses
from scanmend.web.schemas import (
    SessionList,
    SessionView,
    StatusView,
)
from scanmend.web.schemas_models import ModelDetail, ModelList
from scanmend.web.state import Reader, Web
from scanmend.web.tagged import NOT_MODIFIED, tagged
from scanmend.web.views_models import model_detail, models
from scanmend.wire.messages import check_session_name

router = APIRouter(prefix="/api/v1", dependencies=[Reader], responses=responses(401, 403))
metrics_router = APIRouter(tags=["metrics"], dependencies=[Reader], responses=responses(401, 403))

SessionName = Annotated[
    str, Path(description="1 to 64 letters, digits, '_', '.' and '-'.", examples=["grid-3_hole-7"], max_length=300)
]


@router.get("/status", tags=["status"], summary="Everything at a glance")
async def get_status(web: Web) -> StatusView:
    """Answers with the last known status even while acquire is away; `state` and `age_s` say so."""
    return web.views.status


@router.get("/sessions", tags=["sessions"], summary="The sessions", responses=responses(503))
async def get_sessions(web: Web) -> SessionList:
    """Open sessions first, newest first."""
    acquire_status(web)
    return SessionList(sessions=web.views.status.sessions)


@router.get("/sessions/{name}", tags=["sessions"], summary="One session", responses=responses(404, 422, 503))
async def get_session(web: Web, name: SessionName) -> SessionView:
    """The session with its account so far."""
    acquire_status(web)
    return session_view(web, name)


@router.get(
    "/models",
    tags=["models"],
    summary="The models",
    response_model=ModelList,
    responses={**responses(503), **NOT_MODIFIED},
)
async def get_models(request: Request, web: Web) -> Response:
    """Every model of the catalogue: live with what executes it, or why it is not live."""
    return tagged(request, ModelList(models=models(acquire_status(web))))


@router.get(
    "/models/{name}",
    tags=["models"],
    summary="One model with its card",
    response_model=ModelDetail,
    responses={**responses(404, 422, 503), **NOT_MODIFIED},
)
async def get_model(
    request: Request, web: Web, name: Annotated[str, Path(max_length=64, examples=["balanced"])]
) -> Response:
    """Its card paragraph by paragraph, what it was trained on, and how its standard deviation was calibrated."""
    view = next((view for view in models(acquire_status(web)) if view.name == name), None)
    if view is None:
        raise ApiError(
            404, "no_model", f"There is no model {name!r}.", mend="GET /api/v1/models lists those there are."
        )
    return tagged(request, await asyncio.to_thread(model_detail, view))


@metrics_router.get(
    "/metrics",
    summary="Prometheus metrics",
    response_class=PlainTextResponse,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
async def metrics(web: Web) -> Response:
    """In Prometheus' text format, made at most once a second."""
    return Response(web.metrics.text(), headers={"content-type": CONTENT_TYPE})


def acquire_status(web: Web) -> Status:
    """What acquire said last.

    Raises:
        NotConnected: It does not answer.
    """
    snapshot = web.console.snapshot
    if snapshot.status is None or not snapshot.reachable:
        raise NotConnected("The acquire process does not answer.", mend=RESTART_MEND)
    return snapshot.status


def session_view(web: Web, name: str) -> SessionView:
    """A session by its name.

    Raises:
        ApiError: 404.
    """
    try:
        view = web.views.session(check_session_name(name))
    except InvalidInput as error:
        raise ApiError(404, "no_session", error.message, mend=error.mend) from error
    if view is None:
        raise ApiError(
            404, "no_session", f"There is no session {name}.", mend="GET /api/v1/sessions lists those there are."
        )
    return view
