"""From what the engine says of its models to the API's answers."""

from __future__ import annotations

from scanmend.ipc.console import Status
from scanmend.web.model_files import figures, sections
from scanmend.web.schemas_models import ModelDetail, ModelView


def models(status: Status) -> list[ModelView]:
    """The catalogue."""
    return [
        ModelView(
            name=m.name,
            version=m.version,
            kind=m.kind,
            summary=m.summary,
            card=m.card,
            sha256=m.sha256,
            live=m.live,
            default=m.name == status.engine.default_model,
            problem=m.problem,
            runtime=m.runtime,
            provider=m.provider,
            precision=m.precision,
            tuned_ms=m.tuned_ms,
        )
        for m in status.engine.models
    ]


def model_detail(view: ModelView) -> ModelDetail:
    """A model with its card's paragraphs and its figures; reads the catalogue's file."""
    return ModelDetail(**view.model_dump(), sections=sections(view.card), figures=figures(view.name, view.sha256))
