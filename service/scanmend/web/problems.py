"""Errors as problem+json (RFC 9457): what is wrong, and the mend."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from scanmend.errors import NotConnected, ScanmendError
from scanmend.web.schemas import Problem

MEDIA_TYPE = "application/problem+json"

_MENDS = {
    404: "Ask for a path that /api/v1/openapi.json lists.",
    405: "Use a method that /api/v1/openapi.json lists for this path.",
    422: "Send what /api/v1/openapi.json describes.",
}


class ApiError(Exception):
    """An answer other than the one hoped for.

    Args:
        status: The HTTP status.
        code: A word for programs.
        detail: What is wrong, in one sentence.
        mend: What can be done about it.
        headers: More headers for the answer.
    """

    def __init__(
        self, status: int, code: str, detail: str, *, mend: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.mend = mend
        self.headers = dict(headers or {})


def answer(status: int, code: str, detail: str, *, mend: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """The problem as a response."""
    problem = Problem(
        type=f"urn:scanmend:problem:{code}",
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        mend=mend,
    )
    return JSONResponse(problem.model_dump(), status_code=status, media_type=MEDIA_TYPE, headers=dict(headers or {}))


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI entries of the problems that a route may answer with."""
    schema = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": HTTPStatus(status).phrase, "content": schema} for status in statuses}


def install(app: FastAPI) -> None:
    """Let every error of the app be answered this way."""

    async def api_error(_: Request, error: Exception) -> Response:
        if not isinstance(error, ApiError):
            raise error
        return answer(error.status, error.code, error.detail, mend=error.mend, headers=error.headers)

    async def http_error(_: Request, error: Exception) -> Response:
        if not isinstance(error, HTTPException):
            raise error
        if error.status_code == 400:  # FastAPI's word for a body of which not even the bytes can be read
            return answer(422, "invalid", f"{error.detail}.", mend=_MENDS[422])
        mend = _MENDS.get(error.status_code, "Read docs/api.md.")
        code = HTTPStatus(error.status_code).phrase.lower().replace(" ", "_")
        return answer(error.status_code, code, f"{error.detail}.", mend=mend, headers=error.headers)

    async def invalid(_: Request, error: Exception) -> Response:
        if not isinstance(error, RequestValidationError):
            raise error
        found = "; ".join(
            f"{'.'.join(str(part) for part in item['loc'])}: {item['msg']}" for item in error.errors()[:5]
        )
        return answer(422, "invalid", f"The request cannot be understood: {found}.", mend=_MENDS[422])

    async def ours(_: Request, error: Exception) -> Response:
        if not isinstance(error, ScanmendError):
            raise error
        if isinstance(error, NotConnected):
            return answer(503, "acquire_unreachable", error.message, mend=error.mend, headers={"Retry-After": "2"})
        return answer(500, "internal", error.message, mend=error.mend)

    app.add_exception_handler(ApiError, api_error)
    app.add_exception_handler(HTTPException, http_error)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(ScanmendError, ours)
