"""The models of an engine: every one in the catalogue that passes its self-test is live."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from scanmend.engine.catalogue import FALLBACK, Catalogue
from scanmend.engine.choice import Choice, Option
from scanmend.engine.restorer import AUTO, Restorer, ranked
from scanmend.engine.tune import TUNE_SHAPE, Remembered
from scanmend.errors import ConfigurationError, ModelError, ScanmendError
from scanmend.ipc.engine_link import ModelInfo

log = logging.getLogger(__name__)

RECENT_S = 10.0
"""A session that had a frame restored so lately shares the engine's time."""


class LiveModels:
    """Loaded models by name, and why the others are not live.

    Args:
        restorers: Those that are live, by name.
        infos: All of the catalogue, live or not.
        order: What `auto` may take here, the best first; empty where no model is live.
    """

    def __init__(self, restorers: dict[str, Restorer], infos: list[ModelInfo], order: list[str]) -> None:
        self._restorers = restorers
        self.infos = infos
        self.default = order[0] if order else ""
        """What `auto` means where there is time enough."""
        self.choice = Choice([_option(restorers[name]) for name in order])
        self._worked_mono_s: dict[int, float] = {}
        """When each session last had a frame restored."""
        for name, restorer in restorers.items():
            self.choice.begin(name, TUNE_SHAPE[0] * TUNE_SHAPE[1], restorer.warm_ms)

    @classmethod
    def load(
        cls,
        *,
        preferred: str = AUTO,
        threads: int = 2,
        runtimes: Sequence[str],
        tune_s: float,
        catalogue: Path | None = None,
        memory: Path | None = None,
        beat: Callable[[], None] = lambda: None,
    ) -> LiveModels:
        """Load every model of the catalogue; one that fails is reported, and never stops the others.

        Args:
            preferred: What `auto` should mean; `auto` itself takes the best that is live.
            threads: Threads on the processor; 0 for whatever is fastest.
            runtimes: Runtimes that may be used.
            tune_s: About how long the choice of runtimes may take, all models together.
            catalogue: Folder of models; None for those that ship with Scanmend.
            memory: File of the run folder that keeps the choices, so that an engine started again is back sooner.
            beat: Called between steps.
        """
        found = Catalogue(catalogue)
        names = found.names()
        remembered = _recall(memory)
        restorers: dict[str, Restorer] = {}
        infos: list[ModelInfo] = []
        for name in names:
            beat()
            try:
                restorer = Restorer.load(
                    name,
                    threads=threads,
                    runtimes=runtimes,
                    tune_s=tune_s / len(names),
                    catalogue=catalogue,
                    remembered=remembered.get(_key(found, name)),
                    beat=beat,
                )
                restorer.warm_up(TUNE_SHAPE)
            except (ModelError, ConfigurationError) as error:
                log.error("model %s is not live: %s", name, error)
                infos.append(_not_live(found, name, error))
                continue
            restorers[name] = restorer
            infos.append(restorer.info)
            log.info("model %s is live: %s in %s", name, restorer.info.provider, restorer.info.precision)
        _remember(memory, {f"{r.info.name} {r.info.sha256}": r.chosen for r in restorers.values()})
        order = [name for name in ranked(found) if name in restorers]
        if preferred != AUTO and preferred in restorers:
            order = [preferred]
        return cls(restorers, infos, order)

    def get(self, name: str) -> Restorer | None:
        """The model of a name, or of `auto`; None where it is not live."""
        return self._restorers.get(self.default if name == AUTO else name)

    def best_for(self, pixels: int, coverage: float, time_ms: float, present: Restorer | None) -> Restorer | None:
        """The best model that there is time for; see `Choice.choose`. None where no model is live.

        Sessions that have frames restored share the engine's time.
        """
        if not self.choice.options:
            return None
        since = time.monotonic() - RECENT_S
        sharing = sum(worked > since for worked in self._worked_mono_s.values())
        name = self.choice.choose(
            pixels, coverage, time_ms / max(1, sharing), present.info.name if present is not None else ""
        )
        return self._restorers[name]

    def at_work(self, session_id: int) -> None:
        """Note that a session has a frame restored now."""
        self._worked_mono_s[session_id] = time.monotonic()

    def let_go(self, session_id: int) -> None:
        """Forget a session."""
        self._worked_mono_s.pop(session_id, None)

    @property
    def fallback(self) -> Restorer | None:
        """The model that steps in for one that fails; None where it is not live."""
        return self._restorers.get(FALLBACK)

    def close(self) -> None:
        """Let go of all models."""
        for restorer in self._restorers.values():
            restorer.close()


def _option(restorer: Restorer) -> Option:
    low, high = restorer.model.manifest.domain.get("coverage", (0.0, 1.0))
    return Option(restorer.info.name, low, high)


def _key(catalogue: Catalogue, name: str) -> str:
    return f"{name} {catalogue.manifest(name).sha256}"


def _recall(memory: Path | None) -> dict[str, Remembered]:
    if memory is None or not memory.exists():
        return {}
    try:
        return msgspec.json.decode(memory.read_bytes(), type=dict[str, Remembered])
    except (msgspec.DecodeError, OSError) as error:
        log.warning("what was chosen before cannot be read: %s", error)
        return {}


def _remember(memory: Path | None, chosen: dict[str, Remembered]) -> None:
    if memory is None:
        return
    aside = memory.with_suffix(".new")
    try:
        aside.write_bytes(msgspec.json.encode(chosen))
        aside.replace(memory)
    except OSError as error:
        log.warning("what was chosen cannot be kept: %s", error)


def _not_live(catalogue: Catalogue, name: str, error: ScanmendError) -> ModelInfo:
    try:
        manifest = catalogue.manifest(name)
    except ModelError:
        return ModelInfo(name=name, problem=str(error)[:500])
    return ModelInfo(
        name=name,
        version=manifest.version,
        sha256=manifest.sha256,
        kind=manifest.kind,
        summary=manifest.summary,
        card=manifest.card,
        problem=str(error)[:500],
    )
