"""Answers with an ETag: whoever has the newest already is told so in no more words than that."""

from __future__ import annotations

import hashlib
from typing import Any

from fastapi import Request
from pydantic import BaseModel
from starlette.responses import Response

from scanmend.web.problems import ApiError

NOT_MODIFIED: dict[int | str, dict[str, Any]] = {
    304: {"description": "As before: `If-None-Match` names the present ETag. There is no body."}
}
"""For the OpenAPI document of a route that answers with `tagged`."""


def etag_of(data: bytes) -> str:
    """The ETag of a body."""
    return f'"{hashlib.sha256(data).hexdigest()[:20]}"'


def tagged(request: Request, body: BaseModel | bytes, media_type: str = "application/json") -> Response:
    """The body with its ETag, or 304 where the request names it."""
    data = body if isinstance(body, bytes) else body.model_dump_json().encode()
    etag = etag_of(data)
    headers = {"etag": etag, "cache-control": "no-cache"}
    if _names(request.headers.get("if-none-match", ""), etag):
        return Response(status_code=304, headers=headers)
    return Response(data, media_type=media_type, headers=headers)


def check_unchanged(request: Request, body: BaseModel) -> None:
    """Refuse a change where `If-Match` names something else than what is there now.

    Raises:
        ApiError: 412.
    """
    wanted = request.headers.get("if-match")
    if wanted is not None and not _names(wanted, etag_of(body.model_dump_json().encode())):
        raise ApiError(
            412, "changed", "Somebody else has changed it meanwhile.", mend="Read it again, and send the change anew."
        )


def _names(header: str, etag: str) -> bool:
    given = [part.strip().removeprefix("W/") for part in header.split(",")]
    return etag in given or given == ["*"]
