"""The application: routes, errors, guard, and the life of the console's client."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.types import ASGIApp

from scanmend import __version__
from scanmend.ipc.console import Status
from scanmend.metrics import MetricsPage, StatusCollector, WebCounters
from scanmend.settings import Settings
from scanmend.web import problems, routes_advice, routes_api, routes_health, routes_live
from scanmend.web.adviser import Adviser
from scanmend.web.console_client import ConsoleClient
from scanmend.web.feed import Feeds
from scanmend.web.guard import Guard, Names
from scanmend.web.routes_page import load_page, page_router
from scanmend.web.schemas import Problem
from scanmend.web.state import Operator, WebState
from scanmend.web.views import Views

ABOUT = """\
What the service is doing, and an operator's word to a microscope. Everything but `/healthz` and `/readyz` needs
`Authorization: Bearer TOKEN`. Errors are `application/problem+json` with a `mend`. Pictures come over the
WebSocket `/api/v1/live`, which docs/api.md specifies."""


def build_app(settings: Settings, *, console_address: str, token: str, port: int) -> ASGIApp:
    """The whole application.

    Args:
        settings: The service's settings.
        console_address: Where acquire's console listens.
        token: The access token.
        port: The port that browsers use, for the Host and Origin checks.
    """
    counters = WebCounters()
    adviser = Adviser()
    console = ConsoleClient(console_address)
    views = Views(recording_allowed=settings.allow_recording)
    console.on_snapshot(views.take)

    def newest() -> tuple[Status | None, bool]:
        snapshot = console.snapshot
        return snapshot.status, snapshot.reachable

    def levels() -> list[str]:
        return [problem.level for problem in views.status.problems]

    collector = StatusCollector(newest, levels, counters, version=__version__, max_sessions=settings.max_sessions)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await console.start()
        try:
            yield
        finally:
            adviser.close()
            await console.close()

    app = FastAPI(
        title="Scanmend",
        version=__version__,
        description=ABOUT,
        lifespan=lifespan,
        docs_url=None,  # FastAPI's pages of documentation load scripts from strangers
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
    )
    app.state.web = WebState(
        adviser=adviser,
        console=console,
        views=views,
        feeds=Feeds(console),
        counters=counters,
        metrics=MetricsPage(collector),
        token=token,
    )
    problems.install(app)
    app.include_router(routes_health.router)
    app.include_router(routes_api.router)
    app.include_router(routes_advice.router)
    app.include_router(routes_api.metrics_router)
    app.include_router(routes_live.router)
    app.include_router(page_router(load_page()))
    _add_openapi(app)
    return Guard(app, names=Names.loopback(port), counters=counters)


def _add_openapi(app: FastAPI) -> None:
    @app.get("/api/v1/openapi.json", include_in_schema=False, dependencies=[Operator])
    async def openapi() -> dict[str, Any]:
        return app.openapi()

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            made = get_openapi(
                title=app.title,
                version=app.version,
                description=app.description,
                routes=app.routes,
                tags=app.openapi_tags,
            )
            schemas = made.setdefault("components", {}).setdefault("schemas", {})
            schemas["Problem"] = Problem.model_json_schema()
            for name in ("HTTPValidationError", "ValidationError"):  # ours are problems instead
                schemas.pop(name, None)
            app.openapi_schema = made
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]
