"""How the network of the rescan policy `gain` is trained: examples, losses, a small run in pieces, its file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from scanmend.errors import InvalidInput
from scanmend.field import Capabilities, Field
from scanmend.rescan import RescanState
from scanmend.rescan.policies.allotment import allotted as shared_out
from scanmend.rescan.policies.gain import Gain
from scanmend.rescan.policies.gain_features import see as see_in_service
from scanmend.rescan.policies.gain_network import FOLDER, Facts, GainNetwork
from scanmend_models.data.batches import DataConfig
from scanmend_models.gain import train
from scanmend_models.gain.examples import ExampleConfig, Gains, Maker, read_shard, write_shard
from scanmend_models.gain.network import FEATURES, GainNet, see
from scanmend_models.gain.outcome import Outcome, OutcomeConfig, allotted
from scanmend_models.gain.release import POLICIES, differs, release
from scanmend_models.gain.train import GainTraining, Round, Run, loss, read_config

QUICK = DataConfig(patch_px=32, drawn_side_px=64, pool=4)
EXAMPLES = ExampleConfig(data=QUICK, restorers=(("pushpull", 1.0),))
OUTCOME = OutcomeConfig(steps=3, batch=2, patch_px=32, restorers=(("live", 1.0),))


def state(shape: tuple[int, int] = (32, 48), seed: int = 0) -> list[torch.Tensor]:
    rng = np.random.default_rng(seed)
    truth = rng.random(shape)
    maps = (truth, 0.1 + 0.1 * truth, rng.poisson(9 * truth) / 9, np.ones(shape))
    tensors = [torch.from_numpy(np.asarray(one, np.float32))[None, None] for one in maps]
    return [*tensors, torch.full((1, 1, 1, 1), 1 / 9), torch.zeros(1, 1, 1, 1)]


def trained(seed: int = 0) -> GainNet:
    torch.manual_seed(seed)
    network = GainNet()
    torch.nn.init.normal_(network.out.weight, std=0.1)
    return network.eval()


def test_an_untrained_network_believes_sigma() -> None:
    given = state()
    error, exponent = GainNet()(*given)
    sigma2 = torch.nn.functional.avg_pool2d(given[1].square(), 4) / given[0].abs().max() ** 2
    torch.testing.assert_close(error, sigma2, rtol=1e-3, atol=1e-6)
    assert error.shape == exponent.shape == (1, 1, 8, 12) and exponent.unique().numel() == 1


def test_features_know_no_units() -> None:
    given = state()
    factor = 4096.0
    other = [given[0] * factor, given[1] * factor, given[2] * factor, given[3], given[4] * factor, given[5]]
    first, second = (see(*one).features for one in (given, other))
    assert first.shape == (1, FEATURES, 8, 12)
    torch.testing.assert_close(first, second, rtol=1e-3, atol=1e-3)


def rescan_state(given: list[torch.Tensor]) -> RescanState:
    estimate, sigma, values, weight = (one[0, 0].numpy() for one in given[:4])
    return RescanState(
        field=Field(shape=estimate.shape, pixel_size_nm=1.0),
        capabilities=Capabilities(),
        estimate=estimate,
        sigma=sigma,
        values=values,
        weight=weight,
        units_per_electron=float(given[4]),
        read_variance=float(given[5]),
        dwell_ns=1000.0 * weight,
        passes=1,
        affordable_dwell_ns=float("inf"),
    )


def sparse(given: list[torch.Tensor]) -> list[torch.Tensor]:
    """A third of the samples, one of them no number that can be."""
    estimate, sigma, values, weight, gain, _read = given
    weight = weight * (torch.rand(weight.shape, generator=torch.Generator().manual_seed(1)) < 0.3)
    values = torch.where(weight > 0, values, 0.0)
    values[0, 0, 5, 7] = torch.inf
    return [estimate - 0.2, sigma, values, 3 * weight, gain, torch.full((1, 1, 1, 1), 0.02)]


@pytest.mark.parametrize("shape", [(32, 48), (37, 90), (5, 3), (1, 1), (600, 128)])
@pytest.mark.parametrize("kind", [lambda given: given, sparse], ids=["dense", "sparse"])
def test_the_service_sees_what_the_network_was_trained_on(shape: tuple[int, int], kind: Callable[..., Any]) -> None:
    given = kind(state(shape)) if min(shape) > 7 else state(shape)
    trained_on, seen = see(*given), see_in_service(rescan_state(given))
    assert seen.features.shape == trained_on.features.shape[1:]
    # Where all is one grey, and the spread is none, the mean's last bit shows in the feature that is measured by it.
    np.testing.assert_allclose(seen.features, trained_on.features[0].numpy(), atol=2e-5 if max(shape) > 1 else 0.2)
    np.testing.assert_allclose(seen.sigma2, trained_on.sigma2[0, 0].numpy(), rtol=1e-5)


def test_examples_are_finite_and_the_same_each_time() -> None:
    makers = [Maker(EXAMPLES, 3, trained()) for _ in range(2)]
    for number in range(10):
        first, second = (maker.make(1, number) for maker in makers)
        for one, other in zip(first, second, strict=True):
            assert np.isfinite(one).all() and np.array_equal(one, other)
        assert first.features.shape == (FEATURES, 8, 8) and first.added.min() >= 0 and first.added.max() > 0


def test_examples_are_kept_in_files(tmp_path: Path) -> None:
    made = [Maker(EXAMPLES, 3).make(0, number) for number in range(2)]
    write_shard(tmp_path / "some.npz", made)
    kept = read_shard(tmp_path / "some.npz")
    np.testing.assert_array_equal(kept.before, np.stack([one.before for one in made]))
    np.testing.assert_allclose(kept.features, np.stack([one.features for one in made]), atol=4e-3)
    assert [path.name for path in tmp_path.iterdir()] == ["some.npz"]


def test_the_loss_is_least_at_the_mean_error_and_the_true_exponent() -> None:
    rng = np.random.default_rng(1)
    shape, added = (64, 1, 32, 32), np.full((64, 1, 32, 32), 1.5, np.float32)
    error = rng.gamma(0.5, 2.0, shape).astype(np.float32)  # of mean 1
    after = (error * 2.5**-0.6).astype(np.float32)
    batch = Gains(np.zeros(0, np.float32), np.ones(shape, np.float32), error, after, added)

    def at(factor: float, exponent: float) -> float:
        return float(loss((torch.full(shape, factor), torch.full(shape, exponent)), batch))

    assert at(1.0, 0.6) < min(at(0.9, 0.6), at(1.1, 0.6), at(1.0, 0.5), at(1.0, 0.7))


def test_dwell_is_shared_out_as_the_policy_does_it() -> None:
    rng = np.random.default_rng(2)
    error, had = (rng.lognormal(0, 1, (1, 1, 16, 12)).astype(np.float32) for _ in range(2))
    exponent = rng.uniform(0.2, 1.1, error.shape).astype(np.float32)
    mine = allotted(*(torch.from_numpy(one) for one in (error, exponent, had)), least=0.1, most=12.0)
    theirs = shared_out(error[0, 0], exponent[0, 0], had[0, 0], least=0.1, most=12.0)
    np.testing.assert_allclose(mine[0, 0].numpy(), theirs, rtol=5e-3)
    assert float(mine.mean()) == pytest.approx(1, rel=1e-5)


def test_the_outcome_teaches_the_network() -> None:
    network = trained().train()
    outcome = Outcome(OUTCOME, QUICK, 5)
    found = outcome.loss(network, 0)
    assert torch.isfinite(found) and float(found.detach()) == float(outcome.loss(network, 0).detach())
    found.backward()
    gradients = [weight.grad for weight in network.parameters()]
    assert all(one is not None and torch.isfinite(one).all() for one in gradients)
    assert any(bool(one.abs().max() > 0) for one in gradients if one is not None)


def test_a_run_in_pieces_ends_as_one_in_one_piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train, "SHARD", 4)
    monkeypatch.setattr(train, "OUTCOMES", 2)
    monkeypatch.setattr(train, "CHECK_BATCHES", 1)
    rounds = (Round(examples=4, epochs=2), Round(examples=4, epochs=1))
    config = GainTraining(rounds=rounds, batch=2, examples=EXAMPLES, outcome=OUTCOME)
    whole = Run(config, tmp_path / "whole").run()
    assert whole.step == 2 * 2 + 1 * 4 + 3 and (tmp_path / "whole" / "final.pt").exists()

    class Cut(Exception):
        pass

    kept = Run._descend
    for cut_at in (3, 9):

        def descend(self: Run, *given: object, at: int = cut_at) -> float:
            if self.step >= at:
                raise Cut
            return kept(self, *given)  # type: ignore[arg-type]

        monkeypatch.setattr(Run, "_descend", descend)
        with pytest.raises(Cut):
            Run(config, tmp_path / "pieces").run()
    monkeypatch.setattr(Run, "_descend", kept)
    pieces = Run(config, tmp_path / "pieces").run()
    assert pieces.step == whole.step
    for name, weight in whole.average.items():
        torch.testing.assert_close(pieces.average[name], weight, rtol=1e-4, atol=1e-5)

    release(trained(), whole, "a sentence", tmp_path)
    facts = json.loads((tmp_path / "gain.json").read_text())
    assert facts["score"] == "a sentence" and facts["training"]["steps"] == whole.step
    served, given = GainNetwork(tmp_path), sparse(state((37, 90)))
    assert isinstance(served.facts, Facts)
    with torch.inference_mode():
        expected = trained()(*given)
    judged = served.judge(rescan_state(given))
    for one, other in zip((judged.error, judged.exponent), expected, strict=True):
        np.testing.assert_allclose(one, other[0, 0].numpy(), rtol=1e-4)
    assert differs(trained(), tmp_path / "gain.onnx") < 1e-3 < differs(trained(1), tmp_path / "gain.onnx")


def test_what_is_shipped_came_from_this_network_and_goes_where_the_service_looks(tmp_path: Path) -> None:
    facts = json.loads((FOLDER / "gain.json").read_text())
    config = read_config(Path(train.__file__).with_name("config.toml"), "")
    assert facts["training"]["outcome"]["steps"] == config.outcome.steps
    assert [one["examples"] for one in facts["training"]["rounds"]] == [one.examples for one in config.rounds]
    assert POLICIES.resolve() == FOLDER.resolve()
    policy = Gain()
    assert (policy.least, policy.most) == (config.outcome.least, config.outcome.most)


def test_a_configuration_that_is_wrong_is_named(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("batch = 'many'\n")
    with pytest.raises(InvalidInput, match=r"config\.toml"):
        read_config(path, "")
