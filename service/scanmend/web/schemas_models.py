"""What the routes of models answer with."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict
from pydantic import Field as Member


class _View(BaseModel):
    model_config = ConfigDict(frozen=True)


class ModelView(_View):
    """A model that is live, or why it is not."""

    name: str = Member(examples=["balanced"])
    version: str
    kind: str = Member(description="classical: an algorithm without weights; learned: a trained network.")
    summary: str
    card: str
    sha256: str
    live: bool
    default: bool
    problem: str = Member(description="Why it is not live.")
    runtime: str
    provider: str = Member(description="What really executes it, as the runtime reports.")
    precision: str
    tuned_ms: dict[str, float] = Member(description="Median ms on a 512² frame of each candidate that was tried.")


class ModelList(_View):
    """The catalogue as the engine sees it."""

    models: list[ModelView]


class CardSection(_View):
    """A paragraph of a card."""

    title: str = Member(examples=["Where it fails"])
    text: str


class CalibrationView(_View):
    """By what the model's standard deviation is multiplied, measured on pictures that it was not trained on."""

    pictures: int
    coverage: list[float] = Member(description="Rows of `factor`: share of sampled pixels.")
    electrons: list[float] = Member(description="Columns of `factor`: mean electrons a visited pixel.")
    factor: list[list[float]]
    noise_free_coverage: list[float]
    noise_free_factor: list[float] = Member(description="For samples without noise, one a coverage.")


class ModelFigures(_View):
    """What the catalogue says of a model."""

    purpose: Literal["measuring", "looking"] = Member(
        description="looking: it may draw what was not there, and is used only where it is asked for by name."
    )
    rank: int = Member(description="Among learned models, the higher one makes the better picture and takes longer.")
    licence: str
    trained_on: str
    receptive_field_px: int
    opset: int
    has_int8: bool = Member(description="Whether there is a twin with convolutions of eight bits.")
    domain: dict[str, tuple[float, float]] = Member(
        description="Range of each figure of an exposure in training; outside it the page shows a caution."
    )
    calibration: CalibrationView | None


class ModelDetail(ModelView):
    """A model with its card, paragraph by paragraph, and its figures."""

    sections: list[CardSection]
    figures: ModelFigures | None = Member(
        description="null where the catalogue's file is not the one of the model that runs."
    )
