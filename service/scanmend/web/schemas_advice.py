"""What the adviser is asked and answers, for the API; `docs/adviser.md` says what the figures mean."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict
from pydantic import Field as Member

from scanmend.advice.question import (
    CURRENTS_PA,
    LEAST_MIN_DWELL_NS,
    LEAST_SIDE_PX,
    MOST_MIN_DWELL_NS,
    MOST_WAIT_NS,
    PIXEL_SIZES_NM,
    Question,
)
from scanmend.field import MAX_SIDE_PX, Field

Side = Annotated[int, Member(ge=LEAST_SIDE_PX, le=MAX_SIDE_PX)]
Wait = Annotated[int, Member(ge=0, le=MOST_WAIT_NS)]


class AdviceWish(BaseModel):
    """A field, a beam, a dose, a time, and what the scan generator can do."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "shape": [64, 64],
                    "pixel_size_nm": 0.5,
                    "beam_current_pa": 20.0,
                    "budget_e_per_nm2": 200.0,
                    "specimen": "nanoparticles",
                    "model": "live",
                    "draws": 2,
                }
            ]
        },
    )

    shape: tuple[Side, Side] = Member(description="(ny, nx) in pixels.")
    pixel_size_nm: float = Member(ge=PIXEL_SIZES_NM[0], le=PIXEL_SIZES_NM[1])
    beam_current_pa: float = Member(ge=CURRENTS_PA[0], le=CURRENTS_PA[1])
    budget_e_per_nm2: float = Member(gt=0, le=1e15, description="Most dose, averaged over the field.")
    time_s: float | None = Member(None, gt=0, le=1e6, description="Most time for all passes; null for no limit.")
    detection_yield: float = Member(0.3, gt=0, le=1, description="Share of the beam counted at the brightest place.")
    settle_ns: Wait = Member(0, description="Wait after each jump of the beam.")
    flyback_ns: Wait = Member(0, description="More wait after a jump of over half the field's width.")
    command_ns: Wait = Member(0, description="Time that a pass costs before its first sample.")
    min_dwell_ns: int = Member(100, ge=LEAST_MIN_DWELL_NS, le=MOST_MIN_DWELL_NS)
    specimen: str | None = Member(
        None,
        pattern="^[a-z]{1,32}(:seed=[0-9]{1,9})?$",
        description="A drawn specimen; null tries several kinds.",
        examples=["nanoparticles:seed=3"],
    )
    model: str = Member("auto", pattern="^[a-z0-9][a-z0-9_-]{0,63}$", description="A model of the catalogue.")
    draws: int | None = Member(None, ge=1, le=8, description="Pictures of each kind.")

    def question(self) -> Question:
        """The same, checked as a whole.

        Raises:
            InvalidInput: The figures do not go together.
        """
        return Question(
            field=Field(shape=self.shape, pixel_size_nm=self.pixel_size_nm, beam_current_pa=self.beam_current_pa),
            budget_e_per_nm2=self.budget_e_per_nm2,
            time_s=self.time_s,
            detection_yield=self.detection_yield,
            settle_ns=self.settle_ns,
            flyback_ns=self.flyback_ns,
            command_ns=self.command_ns,
            min_dwell_ns=self.min_dwell_ns,
        )

    def words(self) -> list[str]:
        """The same as options of `scanmend plan`; a value cannot be taken for an option."""
        options: dict[str, float | int | str | None] = {
            "field": f"{self.shape[1]}x{self.shape[0]}",
            "pixel-size-nm": self.pixel_size_nm,
            "current-pa": self.beam_current_pa,
            "budget-e-per-nm2": self.budget_e_per_nm2,
            "time-s": self.time_s,
            "yield": self.detection_yield,
            "settle-ns": self.settle_ns,
            "flyback-ns": self.flyback_ns,
            "command-ns": self.command_ns,
            "min-dwell-ns": self.min_dwell_ns,
            "specimen": self.specimen,
            "model": self.model,
            "draws": self.draws,
        }
        return [f"--{name}={value}" for name, value in options.items() if value is not None]


class _View(BaseModel):
    model_config = ConfigDict(frozen=True)


class IntervalView(_View):
    """A mean with its 95 % interval over the pictures."""

    mean: float
    low: float
    high: float


class QuestionView(_View):
    """What was asked."""

    shape: tuple[int, int] = Member(description="(ny, nx) in pixels.")
    pixel_size_nm: float
    beam_current_pa: float
    budget_e_per_nm2: float
    time_s: float | None
    detection_yield: float
    settle_ns: int
    flyback_ns: int
    command_ns: int
    min_dwell_ns: int


class TriedOn(_View):
    """The pictures that stand in for the sample."""

    shape: tuple[int, int] = Member(description="(ny, nx) of the part of the field that was tried.")
    pictures: int
    kinds: list[str]
    drawn: bool = Member(description="Drawn by the simulator, and no picture of the user's.")
    about: str


class StrategyFigures(_View):
    """What a strategy costs and gives."""

    dose_e_per_nm2: float = Member(description="Averaged over the field; the largest of all pictures.")
    dose_max_e_per_nm2: float = Member(description="Of the pixel that had most.")
    whole_budget: bool = Member(description="False where time or dwell times did not allow the whole dose.")
    time_s: float = Member(description="Of all passes over the whole field, waits included.")
    passes: int
    coverage: float = Member(description="Share of the pixels that were visited.")
    dwell_ns: float = Member(description="Mean of a visited pixel, all passes together.")
    rmse_share: IntervalView = Member(description="Root mean square error over the picture's range.")
    psnr_db: IntervalView
    sigma_share: float = Member(description="Root mean square of the model's own sigma over the same range.")
    gain_db: IntervalView | None = Member(description="Over the first feasible strategy; null for that one.")
    standing: Literal["base", "better", "worse", "tie", "no matter"]
    gain_db_by_kind: dict[str, float]
    caution: str = Member(description="In what way the scans were unlike those that the model was made for.")


class StrategyView(_View):
    """A way to scan."""

    name: str
    feasible: bool
    reason: str = Member(description="Why it is not feasible.")
    needs_s: float | None = Member(description="Time that it would need, where that is what it lacks.")
    figures: StrategyFigures | None


class AdviceView(_View):
    """Which way of scanning wins, by how much, and on what that rests."""

    question: QuestionView
    electrons_per_px: float = Member(description="Of the beam, where the budget is spent evenly.")
    tried_on: TriedOn
    model: str
    model_version: str
    strategies: list[StrategyView]
    winner: str
    verdict: list[str] = Member(description="Sentences, the most important first.")
    elapsed_s: float
