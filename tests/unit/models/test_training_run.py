"""Training: resumable after any stop, honest about its configuration, and it learns."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest
import torch

from scanmend.errors import InvalidInput, ModelCorrupt
from scanmend_models.data.batches import DataConfig
from scanmend_models.networks.choice import build
from scanmend_models.networks.critic import Critics
from scanmend_models.networks.pushpull import PushPullConfig
from scanmend_models.networks.two_stage import TwoStageConfig
from scanmend_models.networks.unet import UNetConfig
from scanmend_models.training.checkpoint import load
from scanmend_models.training.config import AdversarialConfig, TrainConfig, from_plain, read_config, to_plain
from scanmend_models.training.losses import OutlierClip, beta_nll, error_db
from scanmend_models.training.realistic import RealisticTrainer
from scanmend_models.training.run import Stop, Trainer

CONFIGS = Path(__file__).parents[3] / "models" / "scanmend_models" / "configs"
TINY = TrainConfig(
    name="tiny",
    warmup_steps=2,
    mean_only_steps=3,
    decay_steps=4,
    log_every=2,
    check_every=1000,
    workers=0,
    data=DataConfig(batch=2, patch_px=32, drawn_side_px=64, pool=2),
    network=UNetConfig(channels=4, levels=2, full_channels=4, fill=PushPullConfig(levels=3)),
)
CPU = torch.device("cpu")
REALISTIC = dataclasses.replace(
    TINY,
    network=TwoStageConfig(outer_channels=4, inner_channels=8, inner_blocks=1, fill=PushPullConfig(levels=3)),
    adversarial=AdversarialConfig(from_step=2, channels=4, crops_px=(16, 32)),
)


def weights(folder: Path, name: str = "last.pt") -> dict[str, torch.Tensor]:
    return load(folder / name).network


def test_a_run_in_pieces_gives_the_weights_of_a_run_in_one(tmp_path):
    Trainer(TINY, tmp_path / "one", CPU).run(Stop(at_step=6))
    for step in (2, 5, 6):
        Trainer(TINY, tmp_path / "pieces", CPU).run(Stop(at_step=step))
    one, pieces = weights(tmp_path / "one"), weights(tmp_path / "pieces")
    assert one.keys() == pieces.keys() and all(torch.equal(one[name], pieces[name]) for name in one)
    assert load(tmp_path / "pieces" / "last.pt").step == 6
    assert (tmp_path / "pieces" / "curve.csv").read_text().count("\n") >= 3


def test_a_run_with_critics_in_pieces_gives_the_weights_of_a_run_in_one(tmp_path):
    one = RealisticTrainer(REALISTIC, tmp_path / "one", CPU)
    before = [weight.clone() for weight in one.critics.parameters()]
    one.run(Stop(at_step=6))
    assert any(not torch.equal(old, new) for old, new in zip(before, one.critics.parameters(), strict=True))
    for step in (3, 6):
        RealisticTrainer(REALISTIC, tmp_path / "pieces", CPU).run(Stop(at_step=step))
    first, second = weights(tmp_path / "one"), weights(tmp_path / "pieces")
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_critics_learn_what_is_restored_and_their_opinion_reaches_the_network():
    torch.manual_seed(3)
    critics = Critics(4, (16, 32))
    optimizer = torch.optim.Adam(critics.parameters(), lr=1e-2)
    sharp = torch.rand(8, 1, 8, 8).repeat_interleave(4, 2).repeat_interleave(4, 3)
    soft = torch.full((8, 1, 32, 32), 0.5)
    for _ in range(90):
        corners = critics.corners(32, 32, torch.Generator().manual_seed(1))
        loss = sum((v - 1).square().mean() for v in critics(sharp, corners))
        loss = loss + sum(v.square().mean() for v in critics(soft, corners))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    verdicts = zip(critics(sharp, corners), critics(soft, corners), strict=True)
    told_apart = [float(true.detach().mean() - restored.detach().mean()) for true, restored in verdicts]
    assert min(told_apart) > 0.8
    soft.requires_grad_(True)
    sum(v.mean() for v in critics(soft, corners)).backward()
    assert float(soft.grad.abs().sum()) > 0


def test_a_run_can_be_finished_and_goes_on_where_it_was_all_the_same(tmp_path):
    Trainer(TINY, tmp_path, CPU).run(Stop(at_step=4))
    ending = Trainer(TINY, tmp_path, CPU, finish=True)
    assert not ending.run(Stop(at_step=6))  # stopped in the middle of its end
    again = Trainer(TINY, tmp_path, CPU, finish=True)
    assert (again.step, again.last_step) == (6, 8) and again.rate() == pytest.approx(TINY.learning_rate * 0.5)
    assert again.run(Stop())
    assert load(tmp_path / "final.pt").step == 8
    assert Trainer(TINY, tmp_path, CPU).step == 4


def test_a_checkpoint_of_another_network_is_refused_with_the_mend(tmp_path):
    Trainer(TINY, tmp_path, CPU).run(Stop(at_step=2))
    for change in ({"channels": 8}, {"levels": 3}, {"levels": 1}):
        network = msgspec.structs.replace(TINY.network, **change)
        with pytest.raises(InvalidInput, match="another network.*Train in another folder"):
            Trainer(dataclasses.replace(TINY, network=network), tmp_path, CPU)


def test_training_makes_the_error_smaller():
    batch_of = dataclasses.replace(TINY.data, batch=4)
    trainer = Trainer(dataclasses.replace(TINY, data=batch_of, mean_only_steps=0), Path("unused"), CPU)
    batch = next(trainer._batches())
    first, *_ = (trainer._train_on(batch) for _ in range(1))
    for _ in range(60):
        last = trainer._train_on(batch)
    assert last[0] < first[0] - 0.05


def test_a_killed_run_leaves_a_whole_checkpoint(tmp_path):
    config = tmp_path / "tiny.toml"
    config.write_text(
        'name = "tiny"\nworkers = 0\nsave_every_s = 0.0\n'
        "[data]\nbatch = 2\npatch_px = 32\ndrawn_side_px = 64\npool = 2\n"
        "[network]\nchannels = 4\nlevels = 2\nfull_channels = 4\n"
    )
    command = [sys.executable, "-m", "scanmend_models.train", str(config), "--folder", str(tmp_path), "--threads", "1"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    last = tmp_path / "tiny" / "last.pt"
    until = time.monotonic() + 60
    while not last.exists() and time.monotonic() < until:
        time.sleep(0.05)
    time.sleep(0.3)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    step = load(last).step
    assert step >= 1
    done = subprocess.run([*command, "--steps", str(step + 2)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and f"goes on at step {step}" in done.stdout
    assert load(last).step == step + 2


def test_control_c_reaches_every_process_and_the_run_is_saved(tmp_path):
    config = tmp_path / "tiny.toml"
    config.write_text(
        'name = "tiny"\nworkers = 1\nlog_every = 1\n'
        "[data]\nbatch = 2\npatch_px = 32\ndrawn_side_px = 64\npool = 2\n"
        "[network]\nchannels = 4\nlevels = 2\nfull_channels = 4\n"
    )
    command = [sys.executable, "-u", "-m", "scanmend_models.train", str(config), "--folder", str(tmp_path)]
    command += ["--threads", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "step 3:" in line:
                break
        os.killpg(process.pid, signal.SIGINT)
        said = process.stdout.read()
        assert process.wait(timeout=60) == 0 and "goes on" in said
    assert load(tmp_path / "tiny" / "last.pt").step >= 3


def test_a_file_that_is_no_checkpoint_is_named(tmp_path):
    (tmp_path / "last.pt").write_bytes(b"nothing")
    with pytest.raises(ModelCorrupt, match=r"last\.pt"):
        Trainer(TINY, tmp_path, CPU)


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.toml")), ids=lambda path: path.stem)
def test_shipped_configurations_can_be_read_and_built(path):
    config = read_config(path, {"data.micrographs": "somewhere"})
    assert config.name == path.stem and config.data.micrographs == "somewhere"
    assert from_plain(to_plain(config), "a checkpoint") == config
    network = build(config.network)
    asked = (torch.rand(1, 1, 19, 33), torch.ones(1, 1, 19, 33), *torch.zeros(2, 1, 1, 1, 1))
    assert [tuple(answer.shape) for answer in network(*asked)] == [(1, 1, 19, 33)] * 2


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ('name = "a"\nspeed = 3', "speed"),
        ('name = "a"\n[data]\nbatch = "many"', "batch"),
        ("name = ", "not TOML"),
        ('name = "a"\n[network.fill]\nlevel = 3', "level"),
        ('name = "a"\n[network]\nkind = "oracle"', "oracle"),
        ('name = "a"\n[adversarial]\nweight = 0.1', "half-size"),
    ],
)
def test_a_bad_configuration_is_refused_with_its_field(tmp_path, text, word):
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(InvalidInput, match=word):
        read_config(path)


def test_the_surprise_is_least_at_the_true_standard_deviation():
    errors = 0.2 * torch.randn(1, 1, 200, 200, generator=torch.Generator().manual_seed(1))
    truth = torch.zeros_like(errors)
    loss = {s: float(beta_nll(errors, torch.full_like(errors, s), truth, 0.5)) for s in (0.14, 0.2, 0.28)}
    assert min(loss, key=loss.__getitem__) == 0.2
    half = torch.full_like(errors, 0.2)
    half[..., ::2] = 0  # exact pixels do not count
    assert float(beta_nll(errors, half, truth, 0.5)) == pytest.approx(loss[0.2], abs=0.02)


def test_the_error_is_that_of_each_patch_in_decibels():
    estimate = torch.stack([torch.full((1, 8, 8), 0.1), torch.full((1, 8, 8), 0.3)])
    both = error_db(estimate, torch.zeros_like(estimate), 5e-4)
    assert both.tolist() == pytest.approx([float(torch.log(torch.tensor(e**2 + 5e-4))) for e in (0.1, 0.3)])


def test_an_outlier_counts_as_much_as_the_bound():
    clip = OutlierClip()
    generator = torch.Generator().manual_seed(3)
    for _ in range(500):
        clip(torch.randn(8, generator=generator))
    wild = torch.tensor([0.5, 100.0], requires_grad=True)
    clip(wild).sum().backward()
    assert wild.grad is not None and wild.grad[0] == 1.0 and 0.02 < wild.grad[1] < 0.05
