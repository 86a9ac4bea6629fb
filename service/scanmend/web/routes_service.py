"""Tokens, and how a session went."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request

from scanmend.errors import ConfigurationError
from scanmend.web.problems import ApiError, responses
from scanmend.web.routes_api import SessionName, acquire_status, session_view
from scanmend.web.schemas_service import HistorySample, HistoryView, RotateWish, TokenView
from scanmend.web.state import Operator, Reader, Web, note, who
from scanmend.web.token import FILE_NAMES

router = APIRouter(prefix="/api/v1", dependencies=[Reader], responses=responses(401, 403, 422))
acting = APIRouter(prefix="/api/v1", dependencies=[Operator], responses=responses(401, 403, 422))


@router.get(
    "/sessions/{name}/history",
    tags=["sessions"],
    summary="How it went in the last minutes",
    responses=responses(404, 503),
)
async def get_history(
    web: Web, name: SessionName, seconds: Annotated[int, Query(ge=1, le=600, description="So far back.")] = 600
) -> HistoryView:
    """A sample a second; those from before the web process started are not known."""
    acquire_status(web)
    session_view(web, name)
    return HistoryView(
        session=name,
        samples=[
            HistorySample(
                unix_s=sample.unix_s,
                p50_ms=sample.p50_ms,
                p95_ms=sample.p95_ms,
                frames_in=sample.frames_in,
                frames_out=sample.frames_out,
                queued=sample.queued,
                dropped=sample.dropped,
                missing=sample.missing,
            )
            for sample in web.history.of(name, seconds)
        ],
    )


@acting.post(
    "/tokens/rotate",
    tags=["tokens"],
    summary="Replace a token",
    responses=responses(413, 500),
)
async def rotate_token(request: Request, web: Web, wish: RotateWish) -> TokenView:
    """The old one is dead when this answers, and live sockets that were opened with it are closed with 4401."""
    try:
        token = await web.access.rotate(wish.role)
    except ConfigurationError as error:
        raise ApiError(500, "internal", error.message, mend=error.mend) from error
    await note(web, who(request, ""), "rotate_token", role_of_token=wish.role.value)
    return TokenView(role=wish.role, token=token, file=str(web.settings.data_dir / FILE_NAMES[wish.role]))
