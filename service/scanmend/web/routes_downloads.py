"""Downloads of recordings: sent as they are asked for, or made first and fetched with a ticket."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from scanmend.web.exports import MAY_SHOW_RESTORED, MEDIA_TYPES, ExportWish
from scanmend.web.made_files import TICKET_S
from scanmend.web.problems import ApiError, responses
from scanmend.web.routes_recordings import TAG, Name, find_recording
from scanmend.web.schemas_recordings import DownloadView, DownloadWish, ExportKind, ExportPicture
from scanmend.web.state import Reader, Web

router = APIRouter(
    prefix="/api/v1/recordings", tags=[TAG], dependencies=[Reader], responses=responses(401, 403, 422, 503)
)
fetching = APIRouter(prefix="/api/v1/downloads", tags=[TAG], responses=responses(403, 422))
FILE: dict[int | str, dict[str, Any]] = {200: {"content": {media: {} for media in MEDIA_TYPES}}}

ModelName = Annotated[str | None, Query(max_length=32, pattern=r"^[a-z0-9][a-z0-9_-]*$")]


@router.get(
    "/{name}/export", summary="Download it", response_class=Response, responses={**FILE, **responses(404, 429, 500)}
)
async def export_recording(
    request: Request,
    web: Web,
    name: Name,
    to: Annotated[ExportKind, Query(description="Kind of file; docs/files.md has them.")] = "nexus",
    picture: Annotated[
        ExportPicture | None,
        Query(
            description="For tiff, png and movie: what they show; a movie shows what the model makes by itself, the "
            "others what was measured."
        ),
    ] = None,
    model: Annotated[ModelName, Query(description="Restores; `none` leaves restored pictures out.")] = None,
) -> Response:
    """The file is made first, which takes a while, and sent then. One at a time; it ends when its client leaves."""
    await find_recording(web, name)
    return await web.exports.download(_wish(name, to, picture, model), request)


@router.post(
    "/{name}/export",
    status_code=201,
    summary="Make a file of it, and get a ticket for it",
    responses=responses(404, 413, 429, 500),
)
async def make_download(
    request: Request, response: Response, web: Web, name: Name, wish: DownloadWish | None = None
) -> DownloadView:
    """For browsers, which cannot send a token with what they save by themselves. It ends when its client leaves."""
    await find_recording(web, name)
    wish = wish or DownloadWish.model_validate({})
    made = await web.exports.make(_wish(name, wish.to, wish.picture, wish.model), request)
    address = f"{fetching.prefix}/{web.tickets.issue(made)}"
    response.headers["location"] = address
    return DownloadView(address=address, file=made.name, bytes=made.size_bytes, good_for_s=TICKET_S)


@fetching.get(
    "/{ticket}",
    summary="Fetch a file with its ticket",
    response_class=Response,
    responses={**FILE, **responses(404)},
)
async def fetch_download(web: Web, ticket: Annotated[str, Path(max_length=64)]) -> Response:
    """Without a token: the ticket stands for it, once."""
    made = web.tickets.take(ticket)
    if made is None:
        web.counters.refuse("ticket")
        raise ApiError(
            404,
            "no_download",
            "This ticket is none, was used, or is too old.",
            mend="Have the file made again: POST to the recording's export gives another ticket.",
        )
    return made.response()


def _wish(name: str, to: ExportKind, picture: ExportPicture | None, model: str | None) -> ExportWish:
    if picture is not None and to not in MAY_SHOW_RESTORED:
        raise ApiError(
            422, "impossible", f"A file of the kind {to} does not show one picture.", mend="Ask for tiff, png or movie."
        )
    return ExportWish(name, to, picture, model)
