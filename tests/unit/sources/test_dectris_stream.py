"""Stream V2 and V1: golden bytes, every packing, and bytes that a hostile or broken sender could send."""

from __future__ import annotations

import struct
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from scanmend.errors import MalformedMessage, MissingExtra
from scanmend.sources import codecs
from scanmend.sources.dectris import extra, stream1, stream2
from scanmend.sources.dectris.packing import Packed, unpack
from scanmend.sources.dectris.stream2 import End, Image, Start
from scanmend_sim import packing
from scanmend_sim.dectris import cbor
from scanmend_sim.dectris.messages import SeriesInfo, StreamV1, StreamV2

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "dectris"
DEAD = np.zeros((4, 6), bool)
DEAD[1, 2] = DEAD[3, 5] = True
INFO = SeriesInfo(series_id=7, unique_id="01HBV3JPF9", images=12, shape=(4, 6), dead=DEAD)
PICTURE = (np.arange(24) * 2731 % 65536).astype(np.uint16).reshape(4, 6)


def golden() -> dict[str, bytes]:
    """What the files hold; `python tests/unit/sources/test_dectris_stream.py` writes them anew."""
    v2 = StreamV2()
    return {
        "start": v2.start(INFO)[0],
        "image_plain": v2.image(INFO, 5, PICTURE, "")[0],
        "image_lz4": v2.image(INFO, 6, PICTURE, "lz4")[0],
        "image_bslz4": v2.image(INFO, 7, PICTURE, "bslz4")[0],
        "end": v2.end(INFO)[0],
    }


def test_the_simulated_detector_still_sends_the_golden_bytes() -> None:
    """But for those that lz4 packs: another version of it may find a shorter way."""
    files = {path.stem: path.read_bytes() for path in GOLDEN.glob("*.cbor")}
    assert files.keys() == golden().keys()
    for name in ("start", "image_plain", "end"):
        assert files[name] == golden()[name]


def test_golden_bytes_are_read_to_their_values() -> None:
    read = {path.stem: stream2.decode(path.read_bytes()) for path in GOLDEN.glob("*.cbor")}
    start, end = read["start"], read["end"]
    assert isinstance(start, Start) and (start.series, start.images, start.remark) == ("7-01HBV3JPF9", 12, "")
    np.testing.assert_array_equal(start.dead, DEAD)
    assert end == End("7-01HBV3JPF9")
    for index, name in enumerate(["image_plain", "image_lz4", "image_bslz4"], 5):
        image = read[name]
        assert isinstance(image, Image) and (image.series, image.index) == ("7-01HBV3JPF9", index)
        assert image.acquired_s == pytest.approx((index + 1) * 1e-4) and image.series_unix_s == 1_700_000_000.0
        np.testing.assert_array_equal(unpack(image.channels["threshold_1"]), PICTURE)


def test_the_bytes_of_an_image_by_hand() -> None:
    """The standard's bytes, written down without any library: tags 40 and 69, and a head of each kind."""
    picture = np.array([[1, 258]], np.uint16)
    expected = bytes.fromhex("d828 82 82 01 02 d845 44 0100 0201".replace(" ", ""))
    assert cbor.encode(cbor.array(picture)) == expected
    np.testing.assert_array_equal(unpack(stream2.packed(extra.cbor2.loads(expected))), picture)
    assert cbor.encode([0, 23, 24, 255, 256, 65536, 1 << 32, -1, -500, "ü", None, True, 1.5]) == bytes.fromhex(
        "8d 00 17 1818 18ff 190100 1a00010000 1b0000000100000000 20 3901f3 62c3bc f6 f5 fb3ff8000000000000".replace(
            " ", ""
        )
    )


@pytest.mark.parametrize("kind", [list, tuple])
def test_arrays_as_cbor2_5_and_as_6_give_them(kind: type) -> None:
    def tag(number: int, value: object) -> SimpleNamespace:
        return SimpleNamespace(tag=number, value=value)

    data = cbor.pack(PICTURE, "bslz4")
    value = tag(40, kind([kind([4, 6]), tag(69, tag(56500, kind(["bslz4", 2, data])))]))
    np.testing.assert_array_equal(unpack(stream2.packed(value)), PICTURE)


@pytest.fixture(
    params=[None, *([codecs.decompress] if codecs.decompress else [])],
    ids=lambda one: "dectris" if one else "bitshuffle",
)
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """bitshuffle, and DECTRIS' own library where it is installed."""
    monkeypatch.setattr(codecs, "decompress", request.param)


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize("compression", ["", "lz4", "bslz4"])
@pytest.mark.parametrize("dtype", ["u1", "<u2", "<u4", "<f4"])
@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (64, 64), (129, 130)])
def test_every_packing_gives_the_array_back(compression: str, dtype: str, shape: tuple[int, int]) -> None:
    values = np.random.default_rng(0).poisson(2.0, shape).astype(dtype)
    message = cbor.encode(cbor.array(values, compression))
    np.testing.assert_array_equal(unpack(stream2.packed(extra.cbor2.loads(message))), values)


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize("compression", ["lz4", "bslz4"])
def test_packed_bytes_that_were_cut_or_changed_are_refused_and_never_crash(compression: str) -> None:
    values = np.random.default_rng(0).poisson(2.0, (100, 100)).astype(np.uint16)
    data = cbor.pack(values, compression)
    rng = np.random.default_rng(1)
    for cut in [*range(0, 20), *range(20, len(data), 997)]:
        with pytest.raises(MalformedMessage):
            unpack(Packed((100, 100), np.dtype("<u2"), compression, data[:cut]))
    for _ in range(300):
        damaged = bytearray(data)
        damaged[rng.integers(0, len(data))] ^= 1 << int(rng.integers(0, 8))
        try:
            assert unpack(Packed((100, 100), np.dtype("<u2"), compression, bytes(damaged))).shape == (100, 100)
        except MalformedMessage as error:
            assert error.message


@pytest.mark.parametrize(
    "packed",
    [
        Packed((1 << 20, 1 << 20), np.dtype("<u2"), "bslz4", b"\0" * 100),
        Packed((4, 6), np.dtype("<u2"), "", b"\0" * 47),
        Packed((4, 6), np.dtype("<u2"), "bslz4", struct.pack(">QI", 48, 0) + b"\0" * 60),
        Packed((4, 6), np.dtype("<u2"), "bslz4", struct.pack(">QII", 48, 8192, 0xFFFFFFFF) + b"\0" * 60),
        Packed((4, 6), np.dtype("<u2"), "bslz4", struct.pack(">QII", 1 << 60, 8192, 20) + b"\0" * 60),
        Packed((4, 6), np.dtype("<u2"), "lz4", struct.pack(">QII", 48, 1 << 30, 9) + b"\0" * 9),
        Packed((4, 6), np.dtype("<u2"), "lz4-block", b"\xff" * 9),
        Packed((4, 6), np.dtype("<u2"), "zip9", b"\0" * 48),
    ],
)
def test_sizes_are_compared_before_anything_is_allocated_or_read(packed: Packed) -> None:
    with pytest.raises(MalformedMessage):
        unpack(packed)


def message(**changes: object) -> bytes:
    head = {"type": "image", "series_id": 1, "series_unique_id": "a", "image_id": 0, "data": {"t": cbor.array(PICTURE)}}
    return cbor.encode({key: value for key, value in (head | changes).items() if value is not ...})


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\xff", b"\x9b" + b"\xff" * 8, b"\x81" * 5000 + b"\x00", cbor.encode([1, 2]),
        cbor.encode({"type": "end"}), message(type="begin"), message(type=...), message(series_id="x"),
        message(image_id=-1), message(image_id=1 << 63),
        message(data={}), message(data=[1]), message(data={"t": 5}), message(stop_time=[1, 0]), message(stop_time=3),
        message(series_date=5), message(data={"t": cbor.Tag(41, [[1], b"x"])}),
        message(data={"t": cbor.Tag(40, [[0, 5], cbor.Tag(69, b"")])}),
        message(data={"t": cbor.Tag(40, [[-1, 5], cbor.Tag(69, b"")])}),
        message(data={"t": cbor.Tag(40, [[1, 1], cbor.Tag(99, b"ab")])}),
        message(data={"t": cbor.Tag(40, [[1, 1], cbor.Tag(69, cbor.Tag(56500, ["lz4", 4, b"ab"]))])}),
        message(data={"t": cbor.Tag(40, [[1, 1], cbor.Tag(69, cbor.Tag(5, b""))])}),
    ],
)  # fmt: skip
def test_what_is_no_message_is_said_so(data: bytes) -> None:
    with pytest.raises(MalformedMessage) as caught:
        stream2.decode(data)
    assert caught.value.message


def test_a_mask_that_cannot_be_read_does_not_cost_the_series() -> None:
    start = stream2.decode(
        cbor.encode({"type": "start", "series_id": 1, "series_unique_id": "a", "pixel_mask": {"t": b"?"}})
    )
    assert isinstance(start, Start) and start.dead is None and "mask" in start.remark


V1_IMAGE = b'{"htype": "dimage-1.0", "series": 1, "frame": 1}'


def test_stream_v1() -> None:
    v1 = StreamV1()
    assert stream1.decode(v1.start(INFO)) == Start("7", 12, None)
    assert stream1.decode(v1.end(INFO)) == End("7")
    for compression in ("", "bslz4"):
        image = stream1.decode(v1.image(INFO, 3, PICTURE, compression))
        assert isinstance(image, Image) and image.index == 3 and image.acquired_s == pytest.approx(4e-4)
        np.testing.assert_array_equal(unpack(image.channels[stream1.CHANNEL]), PICTURE)


def test_a_bare_block_and_a_size_of_nothing_as_v1_senders_send_them() -> None:
    parts = StreamV1().image(INFO, 0, PICTURE, "bslz4")
    parts[2] = bytes(8) + parts[2][8:]  # a simulator leaves the size at 0
    np.testing.assert_array_equal(unpack(stream1.decode(parts).channels[stream1.CHANNEL]), PICTURE)
    block = packing.lz4_block(PICTURE.tobytes())
    parts = [parts[0], parts[1].replace(b"bs16-lz4<", b"lz4<"), block]
    image = stream1.decode(parts)
    assert image.acquired_s is None
    np.testing.assert_array_equal(unpack(image.channels[stream1.CHANNEL]), PICTURE)


@pytest.mark.parametrize(
    "parts",
    [
        [b"{"], [b"{}"], [b"[]"], [b'{"htype": "dimage-1.0", "series": 1, "frame": 0, "hash": ""}'],
        [b'{"htype": "dother-1.0", "series": 1}'], [b'{"htype": "dheader-1.0", "series": "x"}'],
        [V1_IMAGE.replace(b"1}", b"-1}"), b'{"shape": [6, 4], "type": "uint16", "encoding": "<"}', bytes(48)],
        [V1_IMAGE, b'{"shape": [6], "type": "uint16", "encoding": "<"}', b""],
        [V1_IMAGE, b'{"shape": [6, 0], "type": "uint16", "encoding": "<"}', b""],
        [V1_IMAGE, b'{"shape": [6, 4], "type": "f80", "encoding": "<"}', b""],
    ],
)  # fmt: skip
def test_what_is_no_message_of_v1_is_said_so(parts: list[bytes]) -> None:
    with pytest.raises(MalformedMessage):
        stream1.decode(parts)


def test_a_package_that_is_missing_is_named_with_its_mend(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extra, "_missing", "cbor2")
    with pytest.raises(MissingExtra, match=r"cbor2.*scanmend\[dectris\]"):
        extra.check_installed()
    monkeypatch.setattr(extra, "_missing", None)
    monkeypatch.setattr(codecs, "missing", "bitshuffle")
    with pytest.raises(MissingExtra, match=r"bitshuffle.*scanmend\[dectris\]"):
        extra.check_installed()
    monkeypatch.setattr(packing, "_missing", "bitshuffle")
    with pytest.raises(MissingExtra, match=r"bitshuffle.*scanmend\[dectris\]"):
        packing.lz4_block(b"")


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    for name, data in golden().items():
        (GOLDEN / f"{name}.cbor").write_bytes(data)
