"""The restored picture in a file, marked so that nobody takes it for data."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import h5py
import numpy as np

from scanmend._version import __version__
from scanmend.errors import ConfigurationError, ExposureError, ModelError
from scanmend.export.options import Loader, Restored
from scanmend.export.session import RecordedSession
from scanmend.export.tree import bands, group, iso_time, put, put_axes, put_map
from scanmend.exposure import Exposure
from scanmend.restoration import Restoration

ESTIMATE = "estimate, not data"


def mend(session: RecordedSession, exposure: Exposure, load: Loader, model: str | None) -> Restored | None:
    """Restore an exposure; what speaks against it is named in the session's problems.

    Args:
        session: The recording.
        exposure: What is to be restored.
        load: Gives restorers.
        model: A name; None for the one that the session asked for.
    """
    name = model or session.hello.model
    try:
        return load(name)(exposure)
    except (ModelError, ExposureError, ConfigurationError) as error:
        session.problems.add(f"not restored by {name}: {error}")
        return None


def marking(restoration: Restoration) -> str:
    """The words that go with every restored picture."""
    return f"restored by {restoration.model} {restoration.model_version} — {ESTIMATE}"


def write_restored(
    entry: h5py.Group, session: RecordedSession, exposure: Exposure, restored: Restored, packing: Mapping[str, Any]
) -> None:
    """Write estimate and standard deviation, and all that made them."""
    made, field = restored.restoration, session.hello.field
    units = "electrons" if exposure.electrons_per_unit is not None else "detector units"
    nxdata = group(
        entry,
        "restored",
        "NXdata",
        signal="restored",
        axes=["y", "x"],
        y_indices=0,
        x_indices=1,
        auxiliary_signals=["sigma"],
        interpretation="image",
        made_at_export=True,
    )
    put(nxdata, "title", f"{session.hello.session}: {session.channel.name}, {marking(made)}")
    put_axes(nxdata, field.shape, field.pixel_size_nm)
    lines = list(bands(field.shape))
    for name, picture, words in (
        ("restored", made.image, f"{ESTIMATE}: signal per {exposure.reference_dwell_ns:g} ns"),
        ("sigma", made.sigma, "standard deviation of the estimate, as the model gives it, calibrated"),
    ):
        written = put_map(nxdata, name, (picture[each] for each in lines), (field.shape, np.float32), **packing)
        written.attrs["units"], written.attrs["long_name"], written.attrs["made_at_export"] = units, words, True
    process = group(nxdata, "process", "NXprocess")
    put(process, "program", "scanmend", version=__version__)
    put(process, "date", iso_time(time.time_ns()))
    put(process, "made_at_export", True, long_name="not made while the session ran: the journal keeps no restorations")
    put(process, "note", f"An {ESTIMATE}: a model made it from the exposure when this file was written.")
    put(process, "channel", session.channel.name)
    put(process, "model", made.model)
    put(process, "model_version", made.model_version)
    put(process, "sha256", made.sha256)
    put(process, "provider", made.provider)
    put(process, "elapsed_ms", made.elapsed_ms, "ms")
    put(process, "caution", made.caution)
    for key, value in restored.settings.items():
        put(process, key, value)
