"""A PVAccess server with the PVs of an areaDetector: the arrays of an NDPva plugin, and a camera's records."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from scanmend.sources.epics import extra
from scanmend_sim import packing

PREFIX = "SIM:"
IMAGE = "SIM:Pva1:Image"
CAMERA = "SIM:cam1:"

_MEMBERS = {"|i1": "byte", "|u1": "ubyte", "<i2": "short", "<u2": "ushort", "<i4": "int", "<u4": "uint",
            "<i8": "long", "<u8": "ulong", "<f4": "float", "<f8": "double"}  # fmt: skip
_SCALARS = ("|b1", "|i1", "<i2", "<i4", "<i8", "|u1", "<u2", "<u4", "<u8", "<f4", "<f8")
_RECORDS = {"Acquire": 0, "NumImages": 1, "ImageMode": 1, "ArrayCounter": 0}
_CHOICES = {"Acquire": ["Done", "Acquire"], "ImageMode": ["Single", "Multiple", "Continuous"]}


class AreaDetector:
    """Serves arrays as they are posted, and obeys puts to its records.

    Args:
        port: Of the server; 0 for a free one.
        on_acquire: Told of every put to `Acquire`, in the server's thread.

    Raises:
        MissingExtra: p4p is not installed.
    """

    def __init__(self, port: int = 0, on_acquire: Callable[[bool], None] | None = None) -> None:
        extra.check_installed()
        from p4p.nt import NTEnum, NTNDArray, NTScalar
        from p4p.server import Server
        from p4p.server.raw import SharedPV

        self.unique_id = 0
        """Of the last array: `ArrayCounter_RBV`."""
        self.values = dict(_RECORDS)
        """Of the records, by name."""
        self.on_acquire = on_acquire
        """Told of every put to `Acquire`, in the server's thread."""
        self._type = NTNDArray.buildType()
        self._pvs: dict[str, Any] = {}
        for name, value in _RECORDS.items():
            structure = NTEnum() if name in _CHOICES else NTScalar("i")
            start = {"index": value, "choices": _CHOICES[name]} if name in _CHOICES else value
            handler = _Put(self, name)
            self._pvs[name] = SharedPV(nt=structure, initial=start, handler=handler)
            self._pvs[f"{name}_RBV"] = SharedPV(nt=structure, initial=start)
        self._image = SharedPV(initial=extra.Value(self._type, {}))
        provider = {f"{CAMERA}{name}": pv for name, pv in self._pvs.items()} | {IMAGE: self._image}
        conf = {
            "EPICS_PVAS_INTF_ADDR_LIST": "127.0.0.1",
            "EPICS_PVAS_SERVER_PORT": str(port),
            "EPICS_PVAS_BROADCAST_PORT": "0",
            "EPICS_PVAS_AUTO_BEACON_ADDR_LIST": "NO",
        }
        self._server = Server(providers=[provider], conf=conf, useenv=False)
        self.port = int(self._server.conf()["EPICS_PVAS_SERVER_PORT"])
        self.address = f"127.0.0.1:{self.port}"

    def set(self, name: str, value: int) -> None:
        """Change a record and its readback."""
        self.values[name] = value
        for pv in (self._pvs[name], self._pvs[f"{name}_RBV"]):
            pv.post(value)
        if name == "ArrayCounter":
            self.unique_id = value

    def put(self, name: str, value: int) -> None:
        """What a client's put does."""
        self.set(name, value)
        if name == "Acquire" and self.on_acquire is not None:
            self.on_acquire(bool(value))

    def post(
        self,
        values: npt.NDArray[np.generic],
        *,
        unique_id: int | None = None,
        codec: str = "",
        taken_unix_s: float | None = None,
        attributes: dict[str, int] | None = None,
    ) -> None:
        """Give out an array.

        Args:
            values: `(ny, nx)`, or of more dimensions.
            unique_id: Its number; the next one where it is None.
            codec: Empty, `lz4`, `bslz4` or `blosc`; another word is written down with bytes that mean nothing.
            taken_unix_s: When it was taken; now where it is None.
            attributes: NDAttributes of type int.
        """
        self.unique_id = self.unique_id + 1 if unique_id is None else unique_id
        plain = np.ascontiguousarray(values)
        data = pack(plain, codec) if codec else plain.reshape(-1)
        seconds, part = divmod(time.time() if taken_unix_s is None else taken_unix_s, 1.0)
        stamp = {"secondsPastEpoch": int(seconds), "nanoseconds": int(part * 1e9)}
        about: dict[str, object] = {
            "value": (f"{_MEMBERS[data.dtype.str]}Value", data),
            "uniqueId": self.unique_id,
            "compressedSize": data.nbytes,
            "uncompressedSize": plain.nbytes,
            "dataTimeStamp": stamp,
            "timeStamp": stamp,
            "codec.name": codec,
            "dimension": [{"size": side, "fullSize": side, "binning": 1} for side in reversed(plain.shape)],
            "attribute": [{"name": name, "value": value} for name, value in (attributes or {}).items()],
        }
        if codec:
            about["codec.parameters"] = _SCALARS.index(plain.dtype.str)
        value = extra.Value(self._type, {})
        for name, one in about.items():
            value[name] = one
        self._image.post(value)

    def close(self) -> None:
        """Go away without a word."""
        self._server.stop()


class _Put:
    """Takes puts to one record."""

    def __init__(self, detector: AreaDetector, name: str) -> None:
        self._detector, self._name = detector, name

    def put(self, pv: Any, operation: Any) -> None:
        self._detector.put(self._name, int(operation.value()))
        operation.done()


def pack(values: npt.NDArray[np.generic], codec: str) -> npt.NDArray[np.generic]:
    """The bytes of an array as areaDetector's codec plugin packs them."""
    match codec:
        case "bslz4":
            return np.frombuffer(packing.bslz4(values), np.uint8)
        case "lz4":
            return np.frombuffer(packing.lz4_block(values.tobytes()), np.uint8)
        case "blosc":
            return np.frombuffer(extra.Blosc("lz4", 5).encode(values.tobytes()), np.uint8)
    return np.zeros(16, np.uint8)
