"""Every model of the catalogue keeps the contract of docs/models.md, in every runtime."""

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scanmend.errors import ModelCorrupt, ModelFailedSelfTest
from scanmend_models import learned
from scanmend_models.arrays import INPUTS, OUTPUTS
from scanmend_models.entries import CLASSICAL
from scanmend_models.execute import with_onnxruntime, with_openvino, with_torch
from scanmend_models.export import CATALOGUE, check, difference, main
from scanmend_models.golden import question, read_golden
from scanmend_models.networks.identity import Identity, IdentityConfig
from scanmend_models.onnx_files import OPSET, sha256

ENTRIES = CLASSICAL | learned.entries(CATALOGUE)
NAMES = sorted(ENTRIES)
SHIPPED = {name: with_onnxruntime(CATALOGUE / f"{name}.onnx") for name in NAMES}


def ask(values, weight, units_per_electron=0.0, read_variance=0.0):
    values, weight = np.broadcast_arrays(np.asarray(values, np.float32), np.asarray(weight, np.float32))
    values, weight = (a.reshape((-1, 1, *a.shape[-2:])) for a in (values, weight))
    number = np.ones((len(values), 1, 1, 1), np.float32)
    return {
        "values": np.ascontiguousarray(values),
        "weight": np.ascontiguousarray(weight),
        "units_per_electron": number * np.float32(units_per_electron),
        "read_variance": number * np.float32(read_variance),
    }


def some(shape, seed=0, coverage=0.3):
    rng = np.random.default_rng(seed)
    weight = (rng.random(shape) < coverage) * rng.integers(1, 5, shape)
    return np.where(weight > 0, rng.random(shape), 0), weight


def hostile():
    rng = np.random.default_rng(3)
    noise = rng.normal(size=(40, 50))
    one = np.zeros((40, 50))
    one[20, 20] = 1
    yield "empty", 0 * one, 0 * one
    yield "one sample", 7 * one, one
    yield "all zero", 0 * one, 1 + 0 * one
    yield "constant", 5.0 + 0 * one, 1 + 0 * one
    yield "saturated", np.where(noise > 0, 65535.0, 0.0), 1 + 0 * one
    yield "negative", noise - 3, 1 + 0 * one
    yield "tiny", 1e-12 * noise, 1 + 0 * one
    yield "huge", 1e9 * noise, 1 + 0 * one
    yield "high offset", 3e4 + noise, 1 + 0 * one
    yield "outlier", noise + 1e8 * one, 1 + 0 * one
    yield "long dwell", noise, 1e6 + 0 * one
    yield "short dwell", noise, 1e-6 + 0 * one
    yield "dwell of every size", noise, np.exp(10 * rng.normal(size=(40, 50)))
    yield "not a number", np.where(one > 0, np.nan, noise), 1 + 0 * one
    yield "infinite", np.where(one > 0, np.inf, noise), 1 + 0 * one
    yield "values where there is no sample", noise, one


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("noise", [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1e4, 1e4), (1e-6, 1e-9)])
@pytest.mark.parametrize(("values", "weight"), [pytest.param(v, w, id=n) for n, v, w in hostile()])
def test_answers_are_finite_and_doubt_is_not_negative(name, noise, values, weight):
    answer = SHIPPED[name](ask(values, weight, *noise))
    for output in OUTPUTS:
        assert answer[output].shape == (1, 1, 40, 50)
        assert answer[output].dtype == np.float32
        assert np.isfinite(answer[output]).all()
    assert (answer["sigma"] >= 0).all()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (2, 1), (16, 16), (255, 257), (513, 511), (8192, 3)])
def test_any_size(name, shape):
    values, weight = some(shape)
    answer = SHIPPED[name](ask(values, weight, 0.01, 0.001))
    assert answer["estimate"].shape == answer["sigma"].shape == (1, 1, *shape)
    assert np.isfinite(answer["estimate"]).all()
    assert np.isfinite(answer["sigma"]).all()


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_is_restored_one_by_one(name):
    (a, wa), (b, wb) = some((30, 45), 1), some((30, 45), 2, coverage=1.0)
    asked = ask(np.stack([a, 1000 * b]), np.stack([wa, wb]), 0.02)
    asked["units_per_electron"][1] = 20.0
    together = SHIPPED[name](asked)
    for i in range(2):
        alone = SHIPPED[name]({key: array[i : i + 1] for key, array in asked.items()})
        for output in OUTPUTS:
            np.testing.assert_allclose(together[output][i], alone[output][0], rtol=1e-4, atol=1e-5 * 1000**i)


@pytest.mark.parametrize("name", NAMES)
@given(
    ny=st.integers(1, 40),
    nx=st.integers(1, 40),
    seed=st.integers(0, 2**31),
    coverage=st.sampled_from([0.02, 0.3, 1.0]),
    brightness=st.sampled_from([1e-3, 1.0, 3e4]),
)
@settings(max_examples=25, deadline=None)
def test_noise_free_samples_come_out_as_they_went_in(name, ny, nx, seed, coverage, brightness):
    values, weight = some((ny, nx), seed, coverage)
    values = np.float32(brightness) * values.astype(np.float32)
    answer = SHIPPED[name](ask(values, weight))
    seen = weight > 0
    assert np.array_equal(answer["estimate"][0, 0][seen], values[seen])
    assert (answer["sigma"][0, 0][seen] == 0).all()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("factor", [1e-4, 0.37, 5e3])
def test_the_unit_of_the_values_does_not_matter(name, factor):
    asked = question()
    plain = SHIPPED[name](asked)
    scaled = SHIPPED[name](
        {
            "values": asked["values"] * np.float32(factor),
            "weight": asked["weight"],
            "units_per_electron": asked["units_per_electron"] * np.float32(factor),
            "read_variance": asked["read_variance"] * np.float32(factor**2),
        }
    )
    for output in OUTPUTS:
        np.testing.assert_allclose(scaled[output] / factor, plain[output], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_runtimes_agree_with_the_network(name):
    network = with_torch(ENTRIES[name].build())
    openvino = with_openvino(CATALOGUE / f"{name}.onnx")
    sparse = ask(*some((65, 83), 5, 0.1))
    for asked in (question(7), sparse):
        expected = network(asked)
        assert difference(SHIPPED[name](asked), expected) < 1e-4
        assert difference(openvino(asked), expected) < 1e-4


@pytest.mark.parametrize("name", NAMES)
def test_manifest_and_golden_answer(name):
    manifest = json.loads((CATALOGUE / f"{name}.json").read_text(encoding="utf-8"))
    assert manifest["name"] == name
    assert manifest["sha256"] == sha256(CATALOGUE / manifest["file"])
    assert manifest["golden"]["sha256"] == sha256(CATALOGUE / manifest["golden"]["file"])
    assert (manifest["inputs"], manifest["outputs"]) == (list(INPUTS), list(OUTPUTS))
    assert manifest["opset"] == OPSET
    asked, expected = read_golden(CATALOGUE / manifest["golden"]["file"])
    answer = SHIPPED[name](asked)
    tolerance = {key: manifest["golden"][key] for key in ("rtol", "atol")}
    for output in OUTPUTS:
        np.testing.assert_allclose(answer[output], expected[output], **tolerance)


def test_exporting_again_gives_the_same_bytes(tmp_path):
    # Of the quick model only: tracing push-pull takes most of a minute. `export --check` does it for all.
    for folder in (tmp_path / "first", tmp_path / "second"):
        folder.mkdir()
        assert main(["identity", "--folder", str(folder)]) == 0
    for suffix in (".onnx", ".json", ".golden.npz"):
        assert sha256(tmp_path / "first" / f"identity{suffix}") == sha256(tmp_path / "second" / f"identity{suffix}")
    assert sorted(path.suffix for path in (tmp_path / "first").iterdir()) == [".json", ".npz", ".onnx"]
    assert main(["identity", "--check", "--folder", str(tmp_path / "first")]) == 0


def test_a_changed_file_fails_the_check(tmp_path):
    for suffix in (".onnx", ".json", ".golden.npz"):
        (tmp_path / f"identity{suffix}").write_bytes((CATALOGUE / f"identity{suffix}").read_bytes())
    with (tmp_path / "identity.onnx").open("ab") as file:
        file.write(b"\0")
    with pytest.raises(ModelCorrupt, match="identity.onnx"):
        check(ENTRIES["identity"], tmp_path)


def test_a_network_that_changed_fails_the_check():
    other = dataclasses.replace(ENTRIES["identity"], build=lambda: Identity(IdentityConfig(largest=0.5)))
    with pytest.raises(ModelFailedSelfTest, match="torch"):
        check(other)


def test_an_unknown_name_is_refused():
    assert main(["no-such-model"]) == 1


def test_identity_gives_the_mean_and_the_spread_where_nothing_was_sampled():
    values = np.array([[2.0, 0.0, 6.0]])
    answer = SHIPPED["identity"](ask(values, [[1.0, 0.0, 3.0]], 0.5, 1.0))
    np.testing.assert_allclose(answer["estimate"][0, 0], [[2.0, 5.0, 6.0]])
    np.testing.assert_allclose(answer["sigma"][0, 0] ** 2, [[2.0, 3.0, 4 / 3]], rtol=1e-6)


def test_identity_of_an_empty_field_is_zero_give_or_take_one():
    answer = SHIPPED["identity"](ask(np.zeros((4, 5)), np.zeros((4, 5))))
    assert (answer["estimate"] == 0).all()
    assert (answer["sigma"] == 1).all()
