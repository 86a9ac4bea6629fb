"""Trains a model: `python -m scanmend_models.train CONFIG [--finish] [--set data.micrographs=DIR]`.

A run may be stopped and started as often as one likes: it goes on from its last checkpoint, on a processor or an
accelerator, with the batches that are due. `--finish` lets the learning rate fall and writes `final.pt`; the run itself
stays where it was, so that it can be trained longer and finished again.
"""

from __future__ import annotations

import argparse
import logging
import signal
import sys
from pathlib import Path
from typing import Any

import torch

from scanmend.errors import InvalidInput, ScanmendError
from scanmend_models.training.config import read_config
from scanmend_models.training.realistic import RealisticTrainer
from scanmend_models.training.run import Stop, Trainer

log = logging.getLogger("scanmend_models.train")


def _change(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        raise InvalidInput(f"--set {text} has no '='.", mend="Write --set name=value, such as data.batch=8.")
    for kind in (int, float):
        try:
            return name, kind(value)
        except ValueError:
            continue
    return name, value


def main(arguments: list[str] | None = None) -> int:
    """Train; 0 where the run was stopped or has ended, 1 where it cannot be done."""
    parser = argparse.ArgumentParser(prog="python -m scanmend_models.train", description=__doc__)
    parser.add_argument("config", type=Path, help="a TOML file; see models/scanmend_models/configs")
    parser.add_argument("--folder", type=Path, default=Path("checkpoints"), help="where runs are kept")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="change a field of the file")
    parser.add_argument("--finish", action="store_true", help="let the learning rate fall, and end")
    parser.add_argument("--steps", type=int, help="stop at this step")
    parser.add_argument("--minutes", type=float, help="stop after this time")
    parser.add_argument("--threads", type=int, help="of the processor")
    asked = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stdout)
    if asked.threads:
        torch.set_num_threads(asked.threads)
    stop = Stop(at_step=asked.steps, after_s=None if asked.minutes is None else 60 * asked.minutes)

    def on_signal(_number: int, _frame: object) -> None:
        stop.asked = True

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    try:
        config = read_config(asked.config, dict(_change(text) for text in asked.set))
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        kind = Trainer if config.adversarial is None else RealisticTrainer
        trainer = kind(config, asked.folder / config.name, device, finish=asked.finish)
        log.info("%s: %.2f million weights", config.name, sum(w.numel() for w in trainer.weights) / 1e6)
        ended = trainer.run(stop)
    except ScanmendError as error:
        log.error("%s", error)
        return 1
    log.info("ended" if ended else "stopped; the same command goes on")
    return 0


if __name__ == "__main__":
    sys.exit(main())
