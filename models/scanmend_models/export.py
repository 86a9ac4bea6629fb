"""Makes the catalogue: `python -m scanmend_models.export [NAME…] [--check]`.

A learned model is exported again from the weights in its own file; `scanmend_models.release` makes one from a training.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
from pathlib import Path

import numpy as np

from scanmend.errors import ModelCorrupt, ModelFailedSelfTest, ModelNotFound, ScanmendError
from scanmend_models import learned
from scanmend_models.arrays import INPUTS, OUTPUTS, Arrays, Run
from scanmend_models.entries import CLASSICAL, Entry
from scanmend_models.execute import with_onnxruntime, with_torch
from scanmend_models.golden import ATOL, RTOL, question, read_golden, write_golden
from scanmend_models.onnx_files import OPSET, sha256, write_onnx

CATALOGUE = Path(__file__).parent / "catalogue"
AGREEMENT = 1e-4
"""Largest difference between torch, ONNX Runtime and the shipped file, over the range of the answer."""

log = logging.getLogger("scanmend_models.export")


def export(entry: Entry, folder: Path) -> None:
    """Write a model, its golden answer and its manifest into a folder.

    Args:
        entry: The model.
        folder: An existing folder; files of the same name are replaced.
    """
    model, golden = folder / f"{entry.name}.onnx", folder / f"{entry.name}.golden.npz"
    write_onnx(entry.build(), model)
    asked = question()
    write_golden(golden, asked, with_onnxruntime(model)(asked))
    write_manifest(entry, folder)


def write_manifest(entry: Entry, folder: Path) -> None:
    """Write the manifest of a model whose files lie in a folder."""
    model, golden = folder / f"{entry.name}.onnx", folder / f"{entry.name}.golden.npz"
    text = json.dumps(manifest(entry, model, golden), indent=2, ensure_ascii=False)
    (folder / f"{entry.name}.json").write_text(text + "\n", encoding="utf-8")


def manifest(entry: Entry, model: Path, golden: Path) -> dict[str, object]:
    """Give the manifest of a written model; `docs/models.md` explains every field."""
    return {
        "name": entry.name,
        "version": entry.version,
        "kind": entry.kind,
        "summary": entry.summary,
        "file": model.name,
        "sha256": sha256(model),
        "opset": OPSET,
        "inputs": list(INPUTS),
        "outputs": list(OUTPUTS),
        "receptive_field_px": entry.receptive_field_px,
        "golden": {"file": golden.name, "sha256": sha256(golden), "rtol": RTOL, "atol": ATOL},
        "gate": {"max_psnr_drop_db": entry.max_psnr_drop_db, "max_abs_error_rel": entry.max_abs_error_rel},
        "licence": entry.licence,
        "trained_on": entry.trained_on,
        "card": entry.card,
        **entry.more,
    }


def check(entry: Entry, folder: Path = CATALOGUE) -> float:
    """Export a model again, and compare the network, the new file and the shipped one.

    Args:
        entry: The model.
        folder: Where the shipped files lie.

    Returns:
        The largest difference found, over the range of the answer.

    Raises:
        ModelCorrupt: If a shipped file is not the one that its manifest names.
        ModelFailedSelfTest: If the answers differ by more than `AGREEMENT`.
    """
    model, _ = shipped_files(entry, folder)
    with tempfile.TemporaryDirectory() as temporary:
        again = Path(temporary) / model.name
        write_onnx(entry.build(), again)
        return compare(entry, folder, {"the new file": with_onnxruntime(again)})


def compare(entry: Entry, folder: Path, others: dict[str, Run] | None = None) -> float:
    """Compare the network, the shipped file and others with the golden answer; raises and returns as `check` does."""
    model, golden = shipped_files(entry, folder)
    asked, answer = read_golden(golden)
    runs = {"the network in torch": with_torch(entry.build()), **(others or {})}
    runs["the shipped file"] = with_onnxruntime(model)
    worst = 0.0
    for name, run in runs.items():
        error = difference(run(asked), answer)
        worst = max(worst, error)
        if error > AGREEMENT:
            message = f"{entry.name}: {name} differs from the golden answer by {error:.1e} of its range."
            raise ModelFailedSelfTest(message, mend="Export the model again, or undo the change to its network.")
    return worst


def shipped_files(entry: Entry, folder: Path) -> tuple[Path, Path]:
    """A model's file and its golden answer, if they are those that its manifest names; raises as `check` does."""
    shipped = json.loads((folder / f"{entry.name}.json").read_text(encoding="utf-8"))
    model, golden = folder / shipped["file"], folder / shipped["golden"]["file"]
    for path, expected in ((model, shipped["sha256"]), (golden, shipped["golden"]["sha256"])):
        if sha256(path) != expected:
            raise ModelCorrupt(f"{path.name} is not the file in the manifest.", mend="Export the model again.")
    return model, golden


def difference(a: Arrays, b: Arrays) -> float:
    """Give the largest difference between two answers, over the range of the second one's estimate."""
    extent = float(np.ptp(b["estimate"])) or 1.0
    return max(float(np.abs(a[name] - b[name]).max()) for name in OUTPUTS) / extent


def main(arguments: list[str] | None = None) -> int:
    """Export or check models; 0 if all went well, 1 if a check failed."""
    parser = argparse.ArgumentParser(prog="python -m scanmend_models.export", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="models; all where none is given")
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    parser.add_argument("--folder", type=Path, default=CATALOGUE, help="the catalogue's folder")
    asked = parser.parse_args(arguments)
    out = logging.StreamHandler(sys.stdout)
    log.setLevel(logging.INFO)  # this module's words only: the exporter underneath is talkative
    log.addHandler(out)
    try:
        known = CLASSICAL | learned.entries(asked.folder)
        for name in asked.names or sorted(known):
            if name not in known:
                raise ModelNotFound(f"There is no model {name!r}.", mend=f"Choose among {', '.join(sorted(known))}.")
            if asked.check:
                log.info("%s agrees within %.1e of its range", name, check(known[name], asked.folder))
            else:
                asked.folder.mkdir(parents=True, exist_ok=True)
                export(known[name], asked.folder)
                log.info("%s written to %s", name, asked.folder)
    except ScanmendError as error:
        log.error("%s", error)
        return 1
    finally:
        log.removeHandler(out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
