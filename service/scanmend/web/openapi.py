"""The OpenAPI document: what FastAPI finds in the routes, with our problems and names."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from scanmend.web.problems import MEDIA_TYPE
from scanmend.web.schemas import Problem
from scanmend.web.state import Reader

ABOUT = """\
What the service is doing and has recorded, and an operator's word to a microscope. Everything but `/healthz` and
`/readyz` needs `Authorization: Bearer TOKEN`: the token of the role `read` to look, that of the role `operate` to act.
A file that was made for a download is fetched with its ticket in the token's place.
Errors are `application/problem+json` with a `mend`. Pictures come over the WebSocket `/api/v1/live`, which docs/api.md
specifies."""

TAGS = [
    {"name": "health", "description": "Is it alive, is it ready: without a token."},
    {"name": "status", "description": "Everything at a glance."},
    {"name": "sessions", "description": "Sessions that the service knows now."},
    {"name": "commands", "description": "An operator's word, and the log of what was commanded."},
    {"name": "snapshots", "description": "Pictures that were kept, with all that was known of them."},
    {"name": "recordings", "description": "Recorded sessions: found, described, downloaded, replayed."},
    {"name": "models", "description": "The models with their cards and figures."},
    {"name": "advice", "description": "Which way of scanning makes the best picture of a dose."},
    {"name": "tokens", "description": "Who may ask."},
    {"name": "metrics", "description": "For Prometheus."},
]


def operation_id(route: APIRoute) -> str:
    """The operation's name: the route's function in camel case."""
    first, *rest = route.name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def install(app: FastAPI) -> None:
    """Serve the document, to those with a token."""

    @app.get("/api/v1/openapi.json", include_in_schema=False, dependencies=[Reader])
    async def openapi() -> dict[str, Any]:
        return app.openapi()

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]


def _document(app: FastAPI) -> dict[str, Any]:
    made = get_openapi(
        title=app.title,
        version=app.version,
        description=app.description,
        routes=app.routes,
        tags=app.openapi_tags,
        servers=[{"url": "/", "description": "This service."}],
    )
    schemas = made.setdefault("components", {}).setdefault("schemas", {})
    schemas["Problem"] = Problem.model_json_schema()
    for name in ("HTTPValidationError", "ValidationError"):  # ours are problems instead
        schemas.pop(name, None)
    for item in made["paths"].values():
        for operation in item.values():
            for status, answer in operation["responses"].items():
                # FastAPI adds the route's own media type to every answer: a problem has one, and 304 has none.
                content = answer.get("content", {})
                if MEDIA_TYPE in content:
                    answer["content"] = {MEDIA_TYPE: content[MEDIA_TYPE]}
                elif status == "304":
                    answer.pop("content", None)
    return made
