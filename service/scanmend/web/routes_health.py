"""Is the process alive, is the service ready, and a page that says so without JavaScript: all without a token."""

from __future__ import annotations

from html import escape

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, JSONResponse

from scanmend import __version__
from scanmend.web.schemas import Health, Readiness, Reason
from scanmend.web.state import Web

router = APIRouter(tags=["health"])


@router.get("/healthz", summary="The web process is alive")
async def healthz() -> Health:
    """Answers as long as the process lives, whatever else is amiss."""
    return Health(version=__version__)


@router.get(
    "/readyz",
    summary="Frames that come now are recorded and restored",
    response_model=Readiness,
    responses={503: {"model": Readiness, "description": "Not ready, with the reasons."}},
)
async def readyz(web: Web) -> JSONResponse:
    """Ready: acquire answers, the engine has a live model, and recordings can be written."""
    readiness = _readiness(web)
    return JSONResponse(readiness.model_dump(), status_code=200 if readiness.ready else 503)


@router.get("/status", response_class=HTMLResponse, include_in_schema=False)
async def status_page(web: Web) -> HTMLResponse:
    """Health for people without JavaScript; it names nothing that needs a token."""
    readiness = _readiness(web)
    rows = "".join(
        f"<li><strong>{escape(reason.text)}</strong> {escape(reason.mend)}</li>" for reason in readiness.reasons
    )
    verdict = "Ready: frames are recorded and restored." if readiness.ready else "Not ready."
    mood = "good" if readiness.ready else "bad"
    return HTMLResponse(
        "<!doctype html><html lang='en'><head><meta charset='utf-8'><title>Scanmend: status</title>"
        "<meta name='viewport' content='width=device-width'><meta http-equiv='refresh' content='5'>"
        "<link rel='icon' href='/static/favicon.svg'>"
        "<link rel='stylesheet' href='/static/status.css'></head><body><main><h1>Scanmend</h1>"
        f"<p class='verdict {mood}'>{verdict}</p><ul>{rows}</ul>"
        f"<p class='quiet'>Version {escape(__version__)}. This page renews itself every five seconds. "
        "More needs the access token: <a href='/'>the live page</a>.</p></main></body></html>"
    )


def _readiness(web: Web) -> Readiness:
    reasons = web.views.not_ready(web.console.snapshot)
    return Readiness(ready=not reasons, reasons=[Reason(code=r.code, text=r.text, mend=r.mend) for r in reasons])
