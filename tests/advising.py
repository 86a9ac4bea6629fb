"""Questions about a small field, and pictures to try the answers on."""

from __future__ import annotations

from scanmend.advice.question import Question
from scanmend.advice.stage import Sample
from scanmend.field import Field
from scanmend_sim.specimens import DrawnSpecimen


def ask(budget_e_per_nm2: float = 200.0, shape: tuple[int, int] = (64, 64), **others: object) -> Question:
    """Pixels of 0.5 nm, 20 pA: 200 e/nm² are 50 electrons and 400 ns a pixel."""
    pixel_size_nm, current_pa = others.pop("pixel_size_nm", 0.5), others.pop("current_pa", 20.0)
    field = Field(shape=shape, pixel_size_nm=pixel_size_nm, beam_current_pa=current_pa)  # type: ignore[arg-type]
    return Question(field=field, budget_e_per_nm2=budget_e_per_nm2, **others)  # type: ignore[arg-type]


def samples(shape: tuple[int, int] = (64, 64), count: int = 2, kinds: tuple[str, ...] = ("porous",)) -> list[Sample]:
    """Drawn specimens, `count` of each kind."""
    made = []
    for kind in kinds:
        for seed in range(count):
            truth = DrawnSpecimen(kind, seed).render(shape, 2.0)
            spread = float(truth.max() - truth.min())
            made.append(Sample(name=f"{kind}{seed}", group=kind, truth=truth, signal_range=spread))
    return made
