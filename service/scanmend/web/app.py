"""The application: routes, errors, guard, and the life of what runs beside them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI
from starlette.types import ASGIApp

from scanmend import __version__
from scanmend.ipc.console import ProblemInfo, Status
from scanmend.metrics import MetricsPage, StatusCollector, WebCounters
from scanmend.settings import Settings
from scanmend.web import (
    openapi,
    problems,
    routes_advice,
    routes_api,
    routes_commands,
    routes_downloads,
    routes_health,
    routes_live,
    routes_recordings,
    routes_service,
    routes_snapshots,
)
from scanmend.web.access import Access
from scanmend.web.adviser import Adviser
from scanmend.web.command_log import CommandLog
from scanmend.web.console_client import ConsoleClient
from scanmend.web.desk import Desk
from scanmend.web.exports import Exports
from scanmend.web.feed import Feeds
from scanmend.web.guard import Guard, Names
from scanmend.web.history import History
from scanmend.web.keeper_watch import KeeperWatch
from scanmend.web.library import Library
from scanmend.web.made_files import Tickets
from scanmend.web.repeats import Repeats
from scanmend.web.replays import Replays
from scanmend.web.routes_page import load_page, page_router
from scanmend.web.snapshots import Snapshots
from scanmend.web.state import WebState
from scanmend.web.thumbnails import Thumbnails
from scanmend.web.views import Views


def build_app(settings: Settings, *, run_dir: Path, access: Access, port: int) -> ASGIApp:
    """The whole application.

    Args:
        settings: The service's settings.
        run_dir: Where acquire's console listens, and the keeper leaves its status.
        access: The tokens.
        port: The port that browsers use, for the Host and Origin checks.
    """
    counters = WebCounters()
    console, keeper = ConsoleClient(f"ipc://{run_dir / 'console'}"), KeeperWatch(run_dir)

    def more_problems() -> list[ProblemInfo]:
        return [*access.problems(), *keeper.problems()]

    views = Views(recording_allowed=settings.allow_recording, keeper=keeper.view, more_problems=more_problems)
    history, library = History(), Library(settings.data_dir)
    for_snapshots, for_thumbnails = Desk(), Desk()  # a thumbnail of a long session must not hold a snapshot up
    console.on_snapshot(views.take)
    console.on_snapshot(history.take)

    def newest() -> tuple[Status | None, bool]:
        snapshot = console.snapshot
        return snapshot.status, snapshot.reachable

    def levels() -> list[str]:
        return [problem.level for problem in views.status.problems]

    collector = StatusCollector(
        newest, levels, counters, lambda: keeper.status, version=__version__, max_sessions=settings.max_sessions
    )
    web = WebState(
        settings=settings,
        access=access,
        adviser=Adviser(),
        console=console,
        views=views,
        feeds=Feeds(console),
        history=history,
        counters=counters,
        metrics=MetricsPage(collector),
        commands=CommandLog(settings.data_dir),
        repeats=Repeats(),
        keeper=keeper,
        library=library,
        thumbnails=Thumbnails(library, for_thumbnails),
        exports=Exports(settings.data_dir, counters),
        tickets=Tickets(),
        replays=Replays(settings.data_dir, counters),
        snapshots=Snapshots(settings.data_dir, for_snapshots, settings.free_bytes),
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await asyncio.to_thread(web.exports.tidy)
        await console.start()
        access.start()
        keeper.start()
        try:
            yield
        finally:
            web.adviser.close()
            web.exports.close()
            web.tickets.close()
            for desk in (for_snapshots, for_thumbnails):
                await desk.close()
            await web.replays.close()
            await keeper.close()
            await access.close()
            await console.close()

    app = FastAPI(
        title="Scanmend",
        version=__version__,
        description=openapi.ABOUT,
        lifespan=lifespan,
        docs_url=None,  # FastAPI's pages of documentation load scripts from strangers
        redoc_url=None,
        openapi_url=None,
        openapi_tags=openapi.TAGS,
        generate_unique_id_function=openapi.operation_id,
        redirect_slashes=False,
    )
    app.state.web = web
    problems.install(app)
    for router in (
        routes_health.router,
        routes_api.router,
        routes_service.router,
        routes_service.acting,
        routes_commands.router,
        routes_snapshots.router,
        routes_snapshots.acting,
        routes_recordings.router,
        routes_recordings.acting,
        routes_downloads.router,
        routes_downloads.fetching,
        routes_advice.router,
        routes_api.metrics_router,
        routes_live.router,
        page_router(load_page()),
    ):
        app.include_router(router)
    openapi.install(app)
    return Guard(app, names=Names.loopback(port), counters=counters)
