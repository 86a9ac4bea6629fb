"""The page's own files: read once at the start, served from memory, no path of a visitor ever opened."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib import resources
from importlib.abc import Traversable

from fastapi import APIRouter, Request, Response
from starlette.exceptions import HTTPException

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True)
class PageFile:
    """A file of the page."""

    data: bytes
    media_type: str
    etag: str


def load_page() -> dict[str, PageFile]:
    """Every file under `static/`, by its path there."""
    files: dict[str, PageFile] = {}
    _gather(resources.files("scanmend.web") / "static", "", files)
    return files


def _gather(folder: Traversable, prefix: str, files: dict[str, PageFile]) -> None:
    for item in folder.iterdir():
        path = f"{prefix}{item.name}"
        if item.is_dir():
            _gather(item, f"{path}/", files)
        elif (suffix := path[path.rfind(".") :]) in _TYPES:
            data = item.read_bytes()
            files[path] = PageFile(data, _TYPES[suffix], f'"{hashlib.sha256(data).hexdigest()[:20]}"')


def page_router(files: dict[str, PageFile]) -> APIRouter:
    """Routes for the page and its files."""
    router = APIRouter(include_in_schema=False)

    def serve(request: Request, path: str) -> Response:
        file = files.get(path)
        if file is None:
            raise HTTPException(404, "There is no such file")
        headers = {"etag": file.etag, "cache-control": "no-cache"}
        if request.headers.get("if-none-match") == file.etag:
            return Response(status_code=304, headers=headers)
        return Response(file.data, media_type=file.media_type, headers=headers)

    @router.get("/")
    async def index(request: Request) -> Response:
        return serve(request, "index.html")

    @router.get("/static/{path:path}")
    async def static(request: Request, path: str) -> Response:
        return serve(request, path)

    return router
