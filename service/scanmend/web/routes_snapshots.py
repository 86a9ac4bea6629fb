"""Snapshots: the newest picture of a session, kept with all that is known of it."""

from __future__ import annotations

import time
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from scanmend.ipc.console import Refused
from scanmend.web.console_client import Picture
from scanmend.web.problems import ApiError, responses
from scanmend.web.routes_api import SessionName, acquire_status, session_view
from scanmend.web.schemas_snapshots import SnapshotList, SnapshotView, SnapshotWish
from scanmend.web.snapshots import CURSOR, MEDIA_TYPES
from scanmend.web.state import Operator, Reader, Web, WebState, note, who
from scanmend.web.tagged import NOT_MODIFIED, tagged

TAG = "snapshots"
PATIENCE_S = 8.0
router = APIRouter(prefix="/api/v1", tags=[TAG], dependencies=[Reader], responses=responses(401, 403, 422))
acting = APIRouter(prefix="/api/v1", tags=[TAG], dependencies=[Operator], responses=responses(401, 403, 422))

SnapshotName = Annotated[str, Path(max_length=300, examples=["20260331T105243.512Z_grid-3"])]


@acting.post(
    "/sessions/{name}/snapshot",
    status_code=201,
    summary="Keep its newest picture",
    responses=responses(404, 409, 413, 500, 503, 507),
)
async def take_snapshot(
    request: Request, response: Response, web: Web, name: SessionName, wish: SnapshotWish | None = None
) -> SnapshotView:
    """What was measured, and what a model made of it, marked as such, with session, model, dose and times."""
    status, session = acquire_status(web), session_view(web, name)
    picture = await _newest(web, name, "" if wish is None else wish.channel)
    model = next((m for m in status.engine.models if m.sha256 == picture.info.sha256), None)
    by = who(request, "" if wish is None else wish.by)
    taken = await web.snapshots.take(picture, session, model, by)
    web.counters.snapshots_taken += 1
    await note(web, by, "snapshot", name, snapshot=taken.name)
    response.headers["location"] = f"/api/v1/snapshots/{taken.name}"
    return taken


@router.get(
    "/snapshots",
    summary="The snapshots",
    response_model=SnapshotList,
    responses={**NOT_MODIFIED},
)
async def list_snapshots(
    request: Request,
    web: Web,
    session: Annotated[str, Query(max_length=64, description="Of this session.")] = "",
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[str | None, Query(pattern=CURSOR, description="The `next` of the page before.")] = None,
) -> Response:
    """The newest first."""
    views, more = await web.snapshots.page(session, limit, cursor)
    return tagged(request, SnapshotList(snapshots=views, next=more))


@router.get(
    "/snapshots/{name}",
    summary="One snapshot",
    response_model=SnapshotView,
    responses={**responses(404), **NOT_MODIFIED},
)
async def get_snapshot(request: Request, web: Web, name: SnapshotName) -> Response:
    """What it is, and where its files are."""
    view = await web.snapshots.find(name)
    if view is None:
        raise _gone(name)
    return tagged(request, view)


@router.get(
    "/snapshots/{name}/{file}",
    summary="A file of a snapshot",
    response_class=Response,
    responses={
        200: {"content": {media: {} for media in MEDIA_TYPES.values()}},
        **responses(404),
        **NOT_MODIFIED,
    },
)
async def get_snapshot_file(
    request: Request,
    web: Web,
    name: SnapshotName,
    file: Annotated[str, Path(max_length=64, examples=["picture.png"], description="As its `files` name it.")],
) -> Response:
    """A PNG with a scale bar, a TIFF with the pixel size, or all that is known as JSON."""
    data = await web.snapshots.file(name, file)
    if data is None:
        raise _gone(f"{name}/{file}")
    answer = tagged(request, data, MEDIA_TYPES[file[file.rindex(".") :]])
    answer.headers["content-disposition"] = f'inline; filename="{name}.{file}"'
    return answer


async def _newest(web: WebState, name: str, channel: str) -> Picture:
    """The newest picture; where nobody has looked yet none was kept, and the next one is waited for."""
    until_s = time.monotonic() + PATIENCE_S
    while True:
        answer = await web.console.picture(name, 0, channel)
        if not isinstance(answer, Refused):
            return answer
        if answer.code == "no_session":
            raise ApiError(404, "no_session", answer.reason, mend=answer.mend or "It has just gone.")
        if answer.code == "no_channel":
            raise ApiError(
                404, "no_channel", answer.reason, mend=f"GET /api/v1/sessions/{name} has the channels of the session."
            )
        if answer.code != "nothing_new" or time.monotonic() > until_s:
            raise ApiError(
                409,
                "no_picture",
                f"Session {name} has no picture that could be kept.",
                mend="Pictures are kept only while somebody looks: open the page, and wait for the next frame.",
            )


def _gone(name: str) -> ApiError:
    return ApiError(
        404, "no_snapshot", f"There is no snapshot {name[:100]!r}.", mend="GET /api/v1/snapshots lists those there are."
    )
