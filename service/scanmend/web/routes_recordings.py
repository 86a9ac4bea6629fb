"""Recorded sessions: found, looked at, described, replayed; routes_downloads.py has their files."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from scanmend.errors import DamagedRecording, InvalidInput, NotConnected, RecordingError, RecordingNotWritable
from scanmend.sessions import Query as Wanted
from scanmend.sessions import SessionSummary, add_note, change_tags
from scanmend.web.console_client import RESTART_MEND
from scanmend.web.library import Asked, read_cursor
from scanmend.web.problems import ApiError, responses
from scanmend.web.schemas_recordings import (
    RecordingChange,
    RecordingDetail,
    RecordingList,
    ReplayView,
    ReplayWish,
)
from scanmend.web.state import Operator, Reader, Web, WebState, note, who
from scanmend.web.tagged import NOT_MODIFIED, check_unchanged, tagged
from scanmend.web.views_recordings import detail, recording

TAG = "recordings"
router = APIRouter(
    prefix="/api/v1/recordings", tags=[TAG], dependencies=[Reader], responses=responses(401, 403, 422, 503)
)
acting = APIRouter(
    prefix="/api/v1/recordings", tags=[TAG], dependencies=[Operator], responses=responses(401, 403, 422, 503)
)

Name = Annotated[
    str, Path(description="1 to 64 letters, digits, '_', '.' and '-'.", examples=["grid-3_hole-7"], max_length=300)
]
Seconds = Annotated[float | None, Query(ge=0, le=4e9, allow_inf_nan=False)]
Dose = Annotated[float | None, Query(ge=0, allow_inf_nan=False, description="Of the mean dose, in e/nm².")]


@router.get(
    "",
    summary="Find recorded sessions",
    response_model=RecordingList,
    responses={**NOT_MODIFIED},
)
async def list_recordings(
    request: Request,
    web: Web,
    search: Annotated[
        str, Query(max_length=200, description="Each word is in name, client, channels, policy, tags or notes.")
    ] = "",
    tag: Annotated[str, Query(max_length=64)] = "",
    model: Annotated[str, Query(max_length=64, description="It restored frames, or was asked for.")] = "",
    since_unix_s: Seconds = None,
    until_unix_s: Seconds = None,
    min_dose_e_per_nm2: Dose = None,
    max_dose_e_per_nm2: Dose = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[
        str | None, Query(max_length=400, pattern=r"^[A-Za-z0-9_-]+$", description="The `next` of the page before.")
    ] = None,
) -> Response:
    """The one that began last first. A value that is not known matches no question about it."""
    asked = Asked(
        query=Wanted(
            since_unix_ns=None if since_unix_s is None else round(since_unix_s * 1e9),
            until_unix_ns=None if until_unix_s is None else round(until_unix_s * 1e9),
            dose_max_e_per_nm2=max_dose_e_per_nm2,
            model=model,
            tag=tag,
            text=search,
        ),
        dose_min_e_per_nm2=min_dose_e_per_nm2,
        limit=limit,
        after=None if cursor is None else _cursor(cursor),
    )
    try:
        page = await web.library.page(asked)
    except RecordingError as error:
        raise _unreadable(error) from error
    found = RecordingList(
        recordings=[recording(session) for session in page.sessions],
        next=page.next,
        found=page.found,
        of=page.of,
        remarks=list(page.remarks),
    )
    return tagged(request, found)


@router.get(
    "/{name}",
    summary="One recorded session",
    response_model=RecordingDetail,
    responses={**responses(404), **NOT_MODIFIED},
)
async def get_recording(request: Request, web: Web, name: Name) -> Response:
    """With its receipt, files, tags and notes."""
    return tagged(request, await _detail(web, name))


@router.get(
    "/{name}/thumbnail.png",
    summary="A small picture of it",
    response_class=Response,
    responses={200: {"content": {"image/png": {}}}, **responses(404), **NOT_MODIFIED},
)
async def get_thumbnail(request: Request, web: Web, name: Name) -> Response:
    """Of what was measured last, at most 192 pixels wide and high; nothing in it was made by a model."""
    return tagged(request, await web.thumbnails.get(await find_recording(web, name)), "image/png")


@router.get("/{name}/replay", summary="How its replay goes", responses=responses(404))
async def get_replay(web: Web, name: Name) -> ReplayView:
    """The last one since the service started."""
    await find_recording(web, name)
    return _replay(web.replays.of(name), name)


@acting.patch(
    "/{name}",
    summary="Tag it, or add a note",
    response_model=RecordingDetail,
    responses=responses(404, 412, 413),
)
async def change_recording(request: Request, web: Web, name: Name, change: RecordingChange) -> Response:
    """A note that is the newest one already is not added again. `If-Match` refuses a change of what has changed."""
    before = await _detail(web, name)
    check_unchanged(request, before)

    def put() -> None:
        data_dir = web.library.data_dir
        if change.tags is not None:
            gone = set(before.tags) - set(change.tags)
            change_tags(data_dir, name, add=tuple(change.tags), remove=tuple(gone))
        if change.note is not None and change.note.strip() != before.note:
            add_note(data_dir, name, change.note)

    try:
        await asyncio.to_thread(put)
    except InvalidInput as error:
        raise ApiError(422, "invalid", error.message, mend=error.mend) from error
    except (RecordingNotWritable, DamagedRecording, RecordingError) as error:
        raise _unreadable(error) from error
    web.library.forget()
    await note(web, who(request, change.by), "describe", name)
    return tagged(request, await _detail(web, name))


@acting.post(
    "/{name}/replay",
    status_code=202,
    summary="Send it through the service again",
    responses=responses(404, 413, 429),
)
async def start_replay(request: Request, web: Web, name: Name, wish: ReplayWish | None = None) -> ReplayView:
    """Its frames come as from a microscope, in a session of their own. Sent twice, it does what it does once."""
    await find_recording(web, name)
    snapshot = web.console.snapshot
    if snapshot.status is None or not snapshot.reachable:
        raise NotConnected("The acquire process does not answer.", mend=RESTART_MEND)
    wish = wish or ReplayWish.model_validate({})
    by = who(request, wish.by)
    view = await web.replays.start(name, wish, by, snapshot.status.address)
    await note(web, by, "replay", name, replayed_as=view.session)
    return view


@acting.delete("/{name}/replay", summary="End its replay", responses=responses(404))
async def stop_replay(request: Request, web: Web, name: Name) -> ReplayView:
    """Its session is aborted; what was recorded of it stays. Where none runs, nothing is done."""
    await find_recording(web, name)
    view = _replay(await web.replays.stop(name), name)
    await note(web, who(request, ""), "replay_stop", name)
    return view


async def find_recording(web: WebState, name: str) -> SessionSummary:
    """A recorded session by its name.

    Raises:
        ApiError: 404, there is none; 503, the folder cannot be read.
    """
    try:
        return await web.library.find(name)
    except InvalidInput as error:
        raise _gone(name, error) from error
    except RecordingError as error:
        raise _unreadable(error) from error


async def _detail(web: WebState, name: str) -> RecordingDetail:
    session = await find_recording(web, name)
    try:
        return await asyncio.to_thread(detail, web.library.data_dir, session, web.replays.of(name))
    except InvalidInput as error:
        raise _gone(name, error) from error
    except RecordingError as error:
        raise _unreadable(error) from error


def _replay(view: ReplayView | None, name: str) -> ReplayView:
    if view is None:
        raise ApiError(404, "no_replay", f"{name} has not been replayed.", mend="POST to this address to replay it.")
    return view


def _gone(name: str, error: InvalidInput) -> ApiError:
    return ApiError(404, "no_recording", f"There is no recording {name[:64]!r}.", mend=error.mend)


def _unreadable(error: RecordingError | RecordingNotWritable) -> ApiError:
    return ApiError(503, "recordings", error.message, mend=error.mend or "Try it again.", headers={"Retry-After": "2"})


def _cursor(text: str) -> tuple[int, str]:
    try:
        return read_cursor(text)
    except InvalidInput as error:
        raise ApiError(422, "cursor", error.message, mend=error.mend) from error
