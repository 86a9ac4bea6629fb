"""From a checkpoint to a model of the catalogue that the engine believes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from scanmend import Exposure, Restorer
from scanmend.engine.catalogue import Catalogue
from scanmend_models import int8, release
from scanmend_models.data.batches import DataConfig
from scanmend_models.networks.pushpull import PushPullConfig
from scanmend_models.networks.unet import UNetConfig
from scanmend_models.training.config import TrainConfig
from scanmend_models.training.run import Stop, Trainer

pytestmark = pytest.mark.timeout(300)  # tracing a network takes its time

WORDS = """
name = "tiny"
version = "0.0.1"
rank = 3
summary = "Hardly trained."
receptive_field_px = 64
trained_on = "Drawn pictures."
card = "It knows nothing."
"""


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("release")
    config = TrainConfig(
        name="tiny",
        workers=0,
        mean_only_steps=1,
        decay_steps=2,
        data=DataConfig(batch=2, patch_px=32, drawn_side_px=64, pool=2),
        network=UNetConfig(channels=4, levels=2, full_channels=4, fill=PushPullConfig(levels=3)),
    )
    Trainer(config, folder / "run", torch.device("cpu")).run(Stop(at_step=2))
    Trainer(config, folder / "run", torch.device("cpu"), finish=True).run(Stop())
    (folder / "card.toml").write_text(WORDS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(release, "DRAWN", 3)
        patch.setattr(release, "SIDE_PX", 96)
        patch.setattr(release, "DOMAIN_BATCHES", 3)
        patch.setattr(int8, "EXAMPLES", 4)
        patch.setattr(int8, "SIDE_PX", 64)
        arguments = [str(folder / "run" / "final.pt"), "--card", str(folder / "card.toml")]
        assert release.main([*arguments, "--folder", str(folder / "catalogue")]) == 0
    return folder


def test_the_engine_takes_what_was_released(released: Path) -> None:
    manifest = Catalogue(released / "catalogue").manifest("tiny")
    assert (manifest.kind, manifest.rank, manifest.purpose) == ("learned", 3, "measuring")
    assert manifest.calibration is not None and manifest.calibration.pictures == 3
    assert {"coverage", "contrast", "roughness"} <= set(manifest.domain)
    assert "Drawn pictures. 4 steps" in manifest.trained_on and "cores" in manifest.trained_on
    model = Catalogue(released / "catalogue").load("tiny")
    assert model.int8 is not None and b"QuantizeLinear" in model.int8
    tiny = Restorer.load("tiny", threads=1, catalogue=released / "catalogue", tune_s=0.2)
    mended = tiny.restore(Exposure.from_samples(np.eye(40), np.ones((40, 40), np.uint8), electrons_per_unit=5.0))
    assert mended.model == "tiny" and np.isfinite(mended.image).all() and (mended.sigma > 0).all()


def test_a_card_is_renewed_without_touching_the_model(released: Path) -> None:
    path = released / "catalogue" / "tiny.json"
    before = json.loads(path.read_text())
    card = released / "new.toml"
    card.write_text(WORDS.replace("It knows nothing.", "It knows that it knows nothing."))
    arguments = ["--card", str(card), "--folder", str(path.parent)]
    assert release.main(arguments) == 0
    after = json.loads(path.read_text())
    assert after.pop("card") == "It knows that it knows nothing." and before.pop("card") == "It knows nothing."
    assert after == before
    Catalogue(path.parent).load("tiny")
    card.write_text(WORDS.replace('"tiny"', '"nobody"'))
    assert release.main(arguments) == 1


@pytest.mark.parametrize("text", ["name = ", None], ids=["not TOML", "not there"])
def test_a_card_that_cannot_be_read_is_an_error(released: Path, text: str | None, caplog: object) -> None:
    card = released / "bad.toml"
    card.unlink(missing_ok=True)
    if text is not None:
        card.write_text(text)
    assert release.main(["--card", str(card), "--folder", str(released / "catalogue")]) == 1
