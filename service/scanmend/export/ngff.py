"""What an OME-Zarr (NGFF 0.4) says of itself: axes, pixel size and units of an image, and where a session came from."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from scanmend._version import __version__
from scanmend.export.session import RecordedSession
from scanmend.export.tree import iso_time

if TYPE_CHECKING:
    import zarr

_TYPES = {"t": "time", "c": "channel", "y": "space", "x": "space"}


def describe(
    image: zarr.Group,
    session: RecordedSession,
    axes: str,
    channels: Sequence[str],
    windows: Sequence[tuple[float, float]],
    about: Mapping[str, Any],
) -> None:
    """Give a group the metadata of an OME-Zarr image of one resolution, its array `0`.

    Args:
        image: The group.
        session: The recording.
        axes: A letter for each axis of the array, out of t, c, y, x.
        channels: Names of the channels.
        windows: What each channel shows as black and white.
        about: What this project says of it; `what` is its title.
    """
    pixel_nm = session.hello.field.pixel_size_nm
    named: list[dict[str, Any]] = [{"name": axis, "type": _TYPES[axis]} for axis in axes]
    for axis in named[-2:]:
        axis["unit"] = "nanometer"
    scale = [1.0] * (len(axes) - 2) + [pixel_nm, pixel_nm]
    shown = [
        {
            "label": channel,
            "active": True,
            "color": "FFFFFF",
            "window": {"start": low, "end": high, "min": low, "max": high},
        }
        for channel, (low, high) in zip(channels, windows, strict=True)
    ]
    multiscale: dict[str, Any] = {
        "version": "0.4",
        "name": f"{session.hello.session}: {about['what']}",
        "axes": named,
        "datasets": [{"path": "0", "coordinateTransformations": [{"type": "scale", "scale": scale}]}],
    }
    omero: dict[str, Any] = {"version": "0.4", "channels": shown, "rdefs": {"model": "greyscale"}}
    image.attrs.update({"multiscales": [multiscale], "omero": omero, "scanmend": plain(about)})


def about_session(session: RecordedSession) -> dict[str, Any]:
    """The session, how whole its recording is, and what wrote this."""
    about = {
        "creator": f"scanmend {__version__}",
        "written": iso_time(time.time_ns()),
        "session": session.hello.session,
        "opened": iso_time(session.opened_unix_ns),
        "last_entry": iso_time(session.last_unix_ns),
        "hello": session.hello,
        "receipt": session.receipt,
        "restored_live_by": session.models,
        "recording": {
            "finished": session.finished,
            "sealed": session.sealed,
            "entries_lost": session.entries_lost,
            "frames_damaged": sorted(session.damaged_seqs),
            "seqs_missing": session.missing_seqs,
            "problems": session.problems.texts,
            "problems_count": session.problems.count,
        },
    }
    return {str(key): value for key, value in plain(about).items()}


def plain(value: Any) -> Any:
    """A message as JSON has it; NaN and infinity, which JSON has not, become null."""
    found = msgspec.to_builtins(value)

    def finite(each: Any) -> Any:
        if isinstance(each, float) and not math.isfinite(each):
            return None
        if isinstance(each, dict):
            return {key: finite(inner) for key, inner in each.items()}
        if isinstance(each, list | tuple):
            return [finite(inner) for inner in each]
        return each

    return finite(found)
