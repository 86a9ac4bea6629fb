"""What the catalogue's files say of a model, beyond what the engine tells: the figures for the models page."""

from __future__ import annotations

import json
import re
from importlib import resources
from typing import Any

from pydantic import ValidationError

from scanmend.web.schemas_models import CalibrationView, CardSection, ModelFigures

MOST_BYTES = 1 << 20
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}\Z")
_TITLE = re.compile(r"([A-Z][^:.\n]{2,40}): +")
"""At the beginning of a line of a card, what its paragraph is about."""


def figures(name: str, sha256: str) -> ModelFigures | None:
    """The figures of a model; None where the catalogue's file is missing, damaged, or another model's.

    Args:
        name: The model's.
        sha256: Of its ONNX file, as the engine has it.
    """
    if not _NAME.fullmatch(name):
        return None
    try:
        file = resources.files("scanmend_models") / "catalogue" / f"{name}.json"
        with file.open("rb") as opened:
            manifest: dict[str, Any] = json.loads(opened.read(MOST_BYTES))
        if str(manifest["sha256"]).lower() != sha256.lower():
            return None
        return ModelFigures(
            purpose=manifest.get("purpose", "measuring"),
            rank=manifest.get("rank", 0),
            licence=manifest.get("licence", ""),
            trained_on=manifest.get("trained_on", ""),
            receptive_field_px=manifest["receptive_field_px"],
            opset=manifest["opset"],
            has_int8=manifest.get("int8") is not None,
            domain=manifest.get("domain", {}),
            calibration=_calibration(manifest.get("calibration")),
        )
    except (OSError, ModuleNotFoundError, ValueError, LookupError, TypeError, ValidationError):
        return None


def sections(card: str) -> list[CardSection]:
    """A card's paragraphs: each line that begins with some words and a colon begins one."""
    found: list[tuple[str, list[str]]] = []
    for line in card.splitlines():
        match = _TITLE.match(line)
        if match is not None:
            found.append((match[1], [line[match.end() :]]))
        elif line.strip():
            if not found:
                found.append(("", []))
            found[-1][1].append(line.strip())
    return [CardSection(title=title, text=" ".join(lines)) for title, lines in found]


def _calibration(table: dict[str, Any] | None) -> CalibrationView | None:
    if table is None:
        return None
    return CalibrationView(
        pictures=table["pictures"],
        coverage=table["noisy"]["coverage"],
        electrons=table["noisy"]["electrons"],
        factor=table["noisy"]["factor"],
        noise_free_coverage=table["noise_free"]["coverage"],
        noise_free_factor=table["noise_free"]["factor"],
    )
