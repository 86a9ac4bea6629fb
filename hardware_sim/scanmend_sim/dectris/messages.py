"""What a detector sends, in Stream V2 and in Stream V1."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from scanmend_sim.dectris.cbor import DATE, SELF_DESCRIBED, Tag, array, encode, pack

CLOCK_HZ = 100_000_000


@dataclass(frozen=True, kw_only=True)
class SeriesInfo:
    """What all messages of a series share."""

    series_id: int
    unique_id: str
    images: int
    shape: tuple[int, int]
    """`(height, width)`."""
    frame_time_s: float = 1e-4
    began_unix_s: float = 1_700_000_000.0
    threshold: str = "threshold_1"
    dead: npt.NDArray[np.bool_] | None = field(default=None, compare=False)


class StreamV2:
    """One CBOR map a message."""

    def start(self, info: SeriesInfo) -> list[bytes]:
        """A series begins."""
        height, width = info.shape
        mask = np.zeros(info.shape, np.uint32) if info.dead is None else info.dead.astype(np.uint32)
        return self._message(
            info,
            "start",
            arm_date=Tag(DATE, _date(info.began_unix_s)),
            beam_center_x=(width - 1) / 2,
            beam_center_y=(height - 1) / 2,
            channels=[info.threshold],
            count_time=info.frame_time_s,
            frame_time=info.frame_time_s,
            detector_description="Simulated pixelated detector",
            image_dtype="uint16",
            image_size_x=width,
            image_size_y=height,
            number_of_images=info.images,
            pixel_mask={info.threshold: array(mask)},
            pixel_mask_enabled=True,
        )

    def image(
        self,
        info: SeriesInfo,
        index: int,
        values: npt.NDArray[np.generic],
        compression: str = "bslz4",
        stop_s: float | None = None,
    ) -> list[bytes]:
        """One image; `stop_s` is the end of its exposure since the series began."""
        end_s = (index + 1) * info.frame_time_s if stop_s is None else stop_s
        ticks = [round(end_s * CLOCK_HZ), CLOCK_HZ]
        return self._message(
            info,
            "image",
            image_id=index,
            real_time=[round(info.frame_time_s * CLOCK_HZ), CLOCK_HZ],
            series_date=Tag(DATE, _date(info.began_unix_s)),
            start_time=[ticks[0] - round(info.frame_time_s * CLOCK_HZ), CLOCK_HZ],
            stop_time=ticks,
            data={info.threshold: array(values, compression)},
        )

    def end(self, info: SeriesInfo) -> list[bytes]:
        """A series has ended."""
        return self._message(info, "end")

    def _message(self, info: SeriesInfo, kind: str, **keys: object) -> list[bytes]:
        head = {"type": kind, "series_id": info.series_id, "series_unique_id": info.unique_id}
        return [encode(Tag(SELF_DESCRIBED, head | keys))]


class StreamV1:
    """JSON parts and a blob, packed with bslz4 or not at all; it has no unique id, no date, and here no mask."""

    def start(self, info: SeriesInfo) -> list[bytes]:
        """A series begins."""
        config = {"nimages": info.images, "ntrigger": 1, "frame_time": info.frame_time_s}
        return [_json(htype="dheader-1.0", series=info.series_id, header_detail="basic"), _json(**config)]

    def image(
        self,
        info: SeriesInfo,
        index: int,
        values: npt.NDArray[np.generic],
        compression: str = "bslz4",
        stop_s: float | None = None,
    ) -> list[bytes]:
        """One image; `stop_s` is the end of its exposure since the series began."""
        bits, (height, width) = 8 * values.dtype.itemsize, values.shape
        word = {"bslz4": f"bs{bits}-lz4<", "": "<"}.get(compression, compression)
        blob = pack(values, compression) if compression else values.tobytes()
        stop_ns = round(((index + 1) * info.frame_time_s if stop_s is None else stop_s) * 1e9)
        about = {"htype": "dimage_d-1.0", "shape": [width, height], "type": values.dtype.name, "encoding": word}
        return [
            _json(htype="dimage-1.0", series=info.series_id, frame=index, hash=""),
            _json(**about, size=len(blob)),
            blob,
            _json(htype="dconfig-1.0", start_time=0, stop_time=stop_ns, real_time=round(info.frame_time_s * 1e9)),
        ]

    def end(self, info: SeriesInfo) -> list[bytes]:
        """A series has ended."""
        return [_json(htype="dseries_end-1.0", series=info.series_id)]


def _json(**keys: object) -> bytes:
    return json.dumps(keys).encode()


def _date(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s, UTC).isoformat(timespec="microseconds")
