"""Pictures as browsers get them."""

from __future__ import annotations

import json

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from scanmend.errors import MalformedMessage
from scanmend.ipc.console import PictureInfo
from scanmend.web.console_client import Picture
from scanmend.web.pictures import MISSING, Plane, prepare, quantise

INFO = PictureInfo(
    ask=1,
    session="s",
    number=4,
    seq=3,
    shape=(3, 5),
    raw_dtype="float32",
    restored=True,
    reason="",
    model="m",
    provider="p",
    sha256="0",
    coverage=float("nan"),
    sigma_mean=0.5,
    dose_e_per_nm2=None,
    frames_included=1,
    latency_ms=2.0,
    acquired_unix_ns=10**18,
)


def values_of(plane: Plane, shape: tuple[int, int]) -> np.ndarray:
    numbers = np.frombuffer(plane.data, "<u1" if plane.dtype == "uint8" else "<u2").reshape(shape)
    values = plane.add + plane.scale * numbers.astype(np.float64)
    return values if plane.missing is None else np.where(numbers == plane.missing, np.nan, values)


@given(
    hnp.arrays(
        np.float32,
        hnp.array_shapes(min_dims=2, max_dims=2, max_side=8),
        elements=st.floats(width=32) | st.sampled_from([float("nan"), float("inf"), float("-inf")]),
    )
)
def test_values_come_back_within_a_step_and_missing_ones_stay_missing(values: np.ndarray) -> None:
    plane = quantise("raw", values)
    back = values_of(plane, values.shape)
    finite = np.isfinite(values)
    assert np.array_equal(np.isfinite(back), finite)
    if finite.any():
        spread = float(values[finite].max()) - float(values[finite].min())
        error = np.abs(back[finite] - values[finite].astype(np.float64))
        assert error.max() <= spread / 65534 + 1e-6 * np.abs(values[finite]).max() + 1e-30


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_detector_samples_go_as_they_are(dtype: str) -> None:
    values = np.array([[0, 1], [np.iinfo(dtype).max, 7]], dtype)
    plane = quantise("raw", values)
    assert (plane.dtype, plane.scale, plane.add, plane.missing) == (dtype, 1.0, 0.0, None)
    assert np.array_equal(values_of(plane, (2, 2)), values)


@pytest.mark.parametrize("dtype", ["int16", "int32", "uint32"])
def test_other_samples_are_scaled(dtype: str) -> None:
    values = np.array([[np.iinfo(dtype).min, 0], [5, np.iinfo(dtype).max]], dtype)
    back = values_of(quantise("raw", values), (2, 2))
    assert np.allclose(
        back, values.astype(np.float64), rtol=1e-4, atol=float(np.ptp(values.astype(np.float64))) / 60000
    )


def test_a_picture_without_a_sample_is_all_missing() -> None:
    plane = quantise("raw", np.full((2, 3), np.nan, np.float32))
    assert set(np.frombuffer(plane.data, "<u2").tolist()) == {MISSING}


def _picture(**changes: object) -> Picture:
    rng = np.random.default_rng(0)
    raw = np.where(rng.random((3, 5)) < 0.5, 1.0, np.nan).astype("<f4")
    estimate = rng.random((3, 5)).astype("<f4")
    return Picture(msgspec.structs.replace(INFO, **changes), raw.tobytes(), estimate.tobytes(), b"")


def test_the_message_is_laid_out_as_docs_say() -> None:
    message = prepare(_picture()).message(["raw", "estimate", "sigma"])
    size = int.from_bytes(message[:4], "little")
    header = json.loads(message[4 : 4 + size])
    assert (4 + size) % 8 == 0 and len(message) % 8 == 0
    assert [p["name"] for p in header["planes"]] == ["raw", "estimate"]
    assert header["coverage"] is None and header["shape"] == [3, 5] and header["number"] == 4
    for plane in header["planes"]:
        assert plane["offset"] % 8 == 0 and plane["bytes"] == 30 and plane["dtype"] == "uint16"
        assert 4 + size + plane["offset"] + plane["bytes"] <= len(message)


def test_only_wanted_planes_are_sent_and_each_message_is_made_once() -> None:
    picture = prepare(_picture())
    message = picture.message(["estimate"])
    assert picture.message(("estimate", "sigma")) is message
    assert len(message) < len(picture.message(["raw", "estimate"]))


@pytest.mark.parametrize("changes", [{"raw_dtype": "float64"}, {"raw_dtype": "object"}, {"shape": (3, 6)}])
def test_a_part_that_does_not_fit_its_header_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(MalformedMessage):
        prepare(_picture(**changes))
