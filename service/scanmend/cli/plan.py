"""`scanmend plan`: which way of scanning makes the best picture of a dose, tried on pictures before the beam is on."""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scanmend.advice.question import Question
from scanmend.cli.accounts import ProgressLine
from scanmend.errors import InvalidInput, ModelNotFound, ScanmendError
from scanmend.field import Channel, Field
from scanmend.humble import be_humble
from scanmend.ipc.parent import end_with_parent

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from scanmend.advice.compare import Comparison
    from scanmend.advice.stage import Floats, Sample
    from scanmend.cli.plan_pictures import Pictures
    from scanmend.engine.restorer import Restorer
    from scanmend.restoration import FloatPicture

HELP = (
    "Compare an even, a sparse and an adaptive scan of the same dose on pictures, and say which wins and by how much."
)

MOST_DRAWS = 32
COMPARISON_S, RESTORATIONS = 8.0, 9
"""About how long `auto` lets the restorations of a comparison take, and how many there are for a picture."""
NICE = 10
"""How much a calculation for the running service gives way to it."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the options."""
    parser.add_argument("--field", type=_shape, required=True, metavar="WIDTHxHEIGHT", help="pixels of the field")
    parser.add_argument("--pixel-size-nm", type=float, required=True, help="side of a pixel")
    parser.add_argument("--current-pa", type=float, required=True, help="beam current")
    parser.add_argument("--budget-e-per-nm2", type=float, required=True, help="most dose, averaged over the field")
    parser.add_argument("--time-s", type=float, help="most time for all passes; as long as the dose takes by default")
    parser.add_argument("--specimen", help="a drawn specimen such as nanoparticles:seed=3; several kinds by default")
    parser.add_argument("--image", type=Path, help="a picture (tif, png, npy) of a similar area, taken as the truth")
    parser.add_argument(
        "--yield", dest="detection_yield", type=float, default=0.3, help="share of the beam counted at the brightest"
    )
    parser.add_argument("--settle-ns", type=int, default=0, help="wait after each jump of the beam")
    parser.add_argument("--flyback-ns", type=int, default=0, help="more wait after a jump of over half the width")
    parser.add_argument("--command-ns", type=int, default=0, help="time that a pass costs before its first sample")
    parser.add_argument("--min-dwell-ns", type=int, default=100, help="shortest dwell of the scan generator")
    parser.add_argument("--model", default="auto", help="a model; auto takes the best that keeps up with such a scan")
    parser.add_argument("--draws", type=int, help="pictures of each kind (3; 8 of a single one)")
    parser.add_argument("--seed", type=int, default=0, help="of specimens, noise and sparse grids")
    parser.add_argument("--threads", type=int, default=2, help="threads of the runtime")
    parser.add_argument("--json", action="store_true", help="print one JSON document, also of what is wrong")
    # Ends with the process that started it, and gives way to it.
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)


def run(arguments: argparse.Namespace) -> int:
    """Compare, and print table and verdict."""
    if arguments.child:
        end_with_parent()
        be_humble(NICE)
    start = time.perf_counter()
    try:
        question = _question(arguments)
        pictures = _pictures(arguments, question)
        comparison, restorer = _compare(arguments, question, pictures)
    except ScanmendError as error:
        if arguments.json:
            kind = "impossible" if isinstance(error, InvalidInput | ModelNotFound) else "failed"
            print(json.dumps({"problem": {"code": kind, "detail": error.message, "mend": error.mend}}))
        raise
    document = _document(arguments, comparison, pictures, restorer, time.perf_counter() - start)
    print(json.dumps(document, ensure_ascii=False) if arguments.json else _text(comparison, document))
    return 0


def _question(arguments: argparse.Namespace) -> Question:
    return Question(
        field=Field(shape=arguments.field, pixel_size_nm=arguments.pixel_size_nm, beam_current_pa=arguments.current_pa),
        budget_e_per_nm2=arguments.budget_e_per_nm2,
        time_s=arguments.time_s,
        detection_yield=arguments.detection_yield,
        settle_ns=arguments.settle_ns,
        flyback_ns=arguments.flyback_ns,
        command_ns=arguments.command_ns,
        min_dwell_ns=arguments.min_dwell_ns,
    )


def _pictures(arguments: argparse.Namespace, question: Question) -> Pictures:
    if arguments.draws is not None and not 1 <= arguments.draws <= MOST_DRAWS:
        raise InvalidInput(f"{arguments.draws} draws.", mend=f"Give 1 to {MOST_DRAWS}.")
    if not 0 <= arguments.seed < 1 << 31:
        raise InvalidInput(f"A seed of {arguments.seed}.", mend="Give 0 to 2147483647.")
    if arguments.image is not None and arguments.specimen is not None:
        raise InvalidInput("Both a picture and a specimen were given.", mend="Leave out --image or --specimen.")
    from scanmend.cli.plan_pictures import drawn, of_image  # slow imports, and the simulator

    if arguments.image is not None:
        return of_image(arguments.image, question, arguments.draws, arguments.seed)
    return drawn(arguments.specimen, question, arguments.draws, arguments.seed)


def _compare(arguments: argparse.Namespace, question: Question, pictures: Pictures) -> tuple[Comparison, Restorer]:
    from scanmend.advice.compare import compare
    from scanmend.advice.stage import Tools
    from scanmend_sim.detector import Detector

    # Counts as they are: no gain, no read noise, and no saturation at any dose that is accepted.
    detector = Detector(channel=Channel(name="counts", dtype="uint32"), efficiency=question.detection_yield)

    def detect(
        signal: FloatPicture, beam_electrons: Floats, dwell_ns: Floats, rng: np.random.Generator
    ) -> npt.NDArray[np.generic]:
        return detector.read(detector.mean_electrons(signal, beam_electrons), dwell_ns, rng)

    restorer = _restorer(arguments.model, arguments.threads, question, pictures.samples)
    line = ProgressLine(sys.stderr)
    try:
        found = compare(
            question,
            pictures.samples,
            Tools(detect=detect, restorer=restorer),
            seed=arguments.seed,
            report=lambda done, of: line.show(f"{done} of {of} trials"),
        )
    finally:
        line.clear()
        restorer.close()
    return found, restorer


def _restorer(name: str, threads: int, question: Question, samples: Sequence[Sample]) -> Restorer:
    """The model of a name; for `auto`, the best learned one that keeps up with the scan and with this comparison."""
    from scanmend.engine.catalogue import Catalogue
    from scanmend.engine.choice import LEAST_MS
    from scanmend.engine.restorer import AUTO, Restorer, ranked

    ny, nx = samples[0].truth.shape
    catalogue = Catalogue()
    names = [name]
    if name == AUTO:
        names = [one for one in ranked(catalogue) if catalogue.manifest(one).kind == "learned"] or [AUTO]
    scan_ms = 1e-6 * question.dwell_ns * question.field.pixels
    if question.time_s is not None:
        scan_ms = min(scan_ms, 1e3 * question.time_s)
    # The engine's own rule for a whole frame, and a part of this command's time for all the parts that are restored.
    most_ms = min(
        max(LEAST_MS, scan_ms) * ny * nx / question.field.pixels, 1e3 * COMPARISON_S / RESTORATIONS / len(samples)
    )
    for candidate in names:
        restorer = Restorer.load(candidate, threads=threads)
        restorer.warm_up((ny, nx))
        if restorer.warm_ms <= most_ms or candidate == names[-1]:
            break
        restorer.close()
    return restorer


def _document(
    arguments: argparse.Namespace, comparison: Comparison, pictures: Pictures, restorer: Restorer, elapsed_s: float
) -> dict[str, Any]:
    from scanmend.advice.words import specimens, strategies_json, verdict, winner

    question, manifest = comparison.question, restorer.model.manifest
    return {
        "question": {
            "shape": list(question.field.shape),
            "pixel_size_nm": question.field.pixel_size_nm,
            "beam_current_pa": question.current_pa,
            "budget_e_per_nm2": question.budget_e_per_nm2,
            "time_s": question.time_s,
            "detection_yield": question.detection_yield,
            "settle_ns": question.settle_ns,
            "flyback_ns": question.flyback_ns,
            "command_ns": question.command_ns,
            "min_dwell_ns": question.min_dwell_ns,
        },
        "electrons_per_px": question.electrons_per_px,
        "tried_on": {
            "shape": list(comparison.crop),
            "pictures": len(pictures.samples),
            "kinds": list(dict.fromkeys(comparison.groups)),
            "drawn": pictures.drawn,
            "about": pictures.about,
        },
        "model": manifest.name,
        "model_version": manifest.version,
        "strategies": strategies_json(comparison),
        "winner": winner(comparison).name,
        "verdict": [
            *verdict(comparison),
            *specimens(comparison, drawn=pictures.drawn, kinds_named=arguments.specimen is not None),
        ],
        "elapsed_s": elapsed_s,
    }


def _text(comparison: Comparison, document: dict[str, Any]) -> str:
    from scanmend.advice.words import number, table

    question, tried = comparison.question, document["tried_on"]
    ny, nx = question.field.shape
    counted = question.electrons_per_px * question.detection_yield
    lines = [
        f"{nx} × {ny} pixels of {question.field.pixel_size_nm:g} nm, {question.current_pa:g} pA, "
        f"{question.budget_e_per_nm2:g} e/nm²: {number(question.electrons_per_px)} electrons a pixel, of which "
        f"{number(counted)} are counted at the brightest places.",
        f"Tried on {tried['pictures']} pictures of {tried['shape'][1]} × {tried['shape'][0]} pixels "
        f"({tried['about']}), restored by {document['model']} {document['model_version']}.",
        "",
        table(comparison),
    ]
    if any(comparison.cut(outcome) for outcome in comparison.feasible):
        lines.append("* less than the budget: no time for more, or no dwell that spends it.")
    if any(outcome.caution for outcome in comparison.feasible):
        lines += [
            f"The model's caution about {outcome.name}: {outcome.caution}."
            for outcome in comparison.feasible
            if outcome.caution
        ]
    return "\n".join([*lines, "", *document["verdict"]])


def _shape(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"(\d{1,6})[x×](\d{1,6})", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text} is not WIDTHxHEIGHT, such as 512x512")
    return int(found[2]), int(found[1])
