"""What the field looks like when its samples are put in their places, in an HDF5 file: signal, dwell, visits, dose."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from scanmend.export.session import RecordedSession
from scanmend.export.sums import FieldSums
from scanmend.export.tree import bands, group, known, nx_names, put, put_axes, put_map
from scanmend.exposure import Exposure
from scanmend.restoration import FloatPicture
from scanmend.units import dose_e_per_nm2


def mean_values(exposure: Exposure, lines: slice) -> FloatPicture:
    """Mean signal per visit of the reference dwell in some lines, float32 `(n, nx)`; NaN where not sampled."""
    out = np.full((lines.stop - lines.start, exposure.shape[1]), np.nan)
    dwell = exposure.dwell_ns[lines]
    np.divide(exposure.signal[lines] * exposure.reference_dwell_ns, dwell, out=out, where=exposure.visits[lines] > 0)
    return out.astype(np.float32)


def write_exposures(entry: h5py.Group, session: RecordedSession, sums: FieldSums, packing: Mapping[str, Any]) -> str:
    """Write an NXdata a channel; gives the name of the restored channel's."""
    hello, field = session.hello, session.hello.field
    names = nx_names(channel.name for channel in hello.channels)
    for index, exposure in sums.exposures():
        channel = hello.channels[index]
        nxdata = group(
            entry,
            f"exposure_{names[index]}",
            "NXdata",
            signal="values",
            axes=["y", "x"],
            y_indices=0,
            x_indices=1,
            auxiliary_signals=["summed_signal", "dwell_ns", "visits"],
            interpretation="image",
        )
        what = "all passes" if session.adds_up else "the last complete pass"
        units = "electrons" if exposure.electrons_per_unit is not None else "detector units"
        put(nxdata, "title", f"{hello.session}: {channel.name}, {what}, mean signal of {_dwell(exposure)}")
        put_axes(nxdata, field.shape, field.pixel_size_nm)
        shape, lines = field.shape, list(bands(field.shape))
        made = put_map(
            nxdata, "values", (mean_values(exposure, each) for each in lines), (shape, np.float32), **packing
        )
        made.attrs["units"], made.attrs["long_name"] = units, f"mean {units} per {_dwell(exposure)}"
        made.attrs["interpretation"] = "image"
        for name, array, unit, words in (
            ("summed_signal", exposure.signal, units, "sum over all visits"),
            ("dwell_ns", exposure.dwell_ns, "ns", "sum of the dwell of all visits"),
            ("visits", exposure.visits, "", "number of visits; 0: not sampled"),
        ):
            made = put_map(nxdata, name, (array[each] for each in lines), (shape, array.dtype), **packing)
            made.attrs["long_name"] = words
            if unit:
                made.attrs["units"] = unit
        put(nxdata, "reference_dwell_ns", exposure.reference_dwell_ns, "ns")
        put(nxdata, "electrons_per_unit", exposure.electrons_per_unit)
        put(nxdata, "read_noise", exposure.read_noise, units)
        put(nxdata, "coverage", exposure.coverage)
        put(nxdata, "frames", sums.frames)
    return f"exposure_{names[session.channel_index]}"


def write_dose(
    entry: h5py.Group,
    session: RecordedSession,
    dwell_ns: npt.NDArray[np.float64],
    total_dwell_ns: int,
    packing: Mapping[str, Any],
) -> None:
    """Write what the specimen has had, of all frames in the file.

    Args:
        entry: The NXentry.
        session: The recording.
        dwell_ns: Summed dwell of each pixel, `(ny, nx)`.
        total_dwell_ns: Its sum, exact.
        packing: Arguments of `create_dataset`.
    """
    field = session.hello.field
    lines = list(bands(field.shape))
    signal = "dwell_ns" if field.beam_current_pa is None else "dose_e_per_nm2"
    nxdata = group(
        entry,
        "dose",
        "NXdata",
        signal=signal,
        axes=["y", "x"],
        y_indices=0,
        x_indices=1,
        interpretation="image",
    )
    put_axes(nxdata, field.shape, field.pixel_size_nm)
    put(nxdata, "total_dwell_ns", total_dwell_ns, "ns")
    if field.beam_current_pa is None:
        put(nxdata, "title", f"{session.hello.session}: dwell of each pixel; the beam current is not known")
        made = put_map(nxdata, "dwell_ns", (dwell_ns[each] for each in lines), (field.shape, np.float64), **packing)
        made.attrs["units"] = "ns"
        return
    put(nxdata, "title", f"{session.hello.session}: dose of each pixel")
    factor = dose_e_per_nm2(field.beam_current_pa, 1.0, field.pixel_size_nm**2)
    rows = ((dwell_ns[each] * factor).astype(np.float32) for each in lines)
    made = put_map(nxdata, "dose_e_per_nm2", rows, (field.shape, np.float32), **packing)
    made.attrs["units"], made.attrs["long_name"] = "1/nm^2", "electrons per square nanometre"
    put(nxdata, "mean_e_per_nm2", known(field.dose_e_per_nm2(total_dwell_ns)), "1/nm^2")
    put(nxdata, "max_e_per_nm2", float(dwell_ns.max()) * factor, "1/nm^2")


def _dwell(exposure: Exposure) -> str:
    return f"{exposure.reference_dwell_ns:g} ns"
