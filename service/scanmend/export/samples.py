"""The exposure of a session as an npz, and its frames as a table."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np

from scanmend.export.aside import written_aside
from scanmend.export.pictures import exposure_of
from scanmend.export.session import RecordedSession
from scanmend.export.sums import FieldSums, plan_of
from scanmend.export.tree import iso_time
from scanmend.exposure import Exposure

COLUMNS = (
    "seq",
    "pass_index",
    "plan_id",
    "first_point",
    "points",
    "end_of_pass",
    "acquired",
    "recorded",
    "dropped_before",
    "dose_e_per_nm2",
)


def write_npz(session: RecordedSession, target: Path, *, force: bool) -> Exposure:
    """Write the exposure as `scanmend restore` reads it; gives it.

    `values` is the mean signal per visit of `reference_dwell_ns`, `visits` the dwell of each pixel in units of it.
    Where all visits have one dwell, that is what was scanned; else the reference is the largest dwell of which all
    are multiples, so that weights and noise are exact.

    Raises:
        RecordingError: There is nothing to write.
        ExportError: It cannot be written.
        InvalidInput: The file is there already.
    """
    exposure = exposure_of(session)
    reference, values, visits, read_noise = as_samples(exposure)
    gain = exposure.electrons_per_unit
    with written_aside(target, force=force) as aside, aside.open("wb") as file:
        np.savez_compressed(
            file,
            values=values,
            visits=visits,
            electrons_per_unit=math.nan if gain is None else gain,
            read_noise=read_noise,
            reference_dwell_ns=reference,
            pixel_size_nm=session.hello.field.pixel_size_nm,
            channel=session.channel.name,
        )
    return exposure


def as_samples(exposure: Exposure) -> tuple[float, np.ndarray, np.ndarray, float]:
    """An exposure as visits of one dwell: that dwell in ns, float32 values, u32 visits, and the noise of a visit."""
    dwell = exposure.dwell_ns.astype(np.int64)
    reference = int(exposure.reference_dwell_ns)
    if (dwell % reference).any():
        reference = int(np.gcd.reduce(dwell, axis=None))
    visits = dwell // reference
    per_dwell = np.divide(exposure.signal, exposure.dwell_ns, out=np.zeros(exposure.shape), where=exposure.visits > 0)
    shorter = reference / exposure.reference_dwell_ns
    read_noise = exposure.read_noise * math.sqrt(shorter)
    return float(reference), (per_dwell * reference).astype(np.float32), visits.astype(np.uint32), read_noise


def write_csv(session: RecordedSession, target: Path, *, force: bool) -> int:
    """Write one line a frame, in the order of acquisition; gives the number of frames.

    The last column is the dose of the field's mean up to and with the frame, with what the client discarded; empty
    where the beam current is not known. Times are ISO 8601 in UTC, empty where the microscope gave none.

    Raises:
        ExportError: It cannot be written.
        InvalidInput: The file is there already.
    """
    sums = FieldSums(session, (), from_the_first=True)
    count = 0
    with written_aside(target, force=force) as aside, aside.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(COLUMNS)
        for recorded in session.frames():
            header = recorded.header
            sums.add(recorded, plan_of(session, recorded))
            dose = session.hello.field.dose_e_per_nm2(sums.total_dwell_ns)
            table.writerow(
                (
                    header.seq,
                    header.pass_index,
                    header.plan_id,
                    header.first_point,
                    header.points,
                    int(header.end_of_pass),
                    iso_time(header.acquired_unix_ns) or "",
                    iso_time(recorded.recorded_unix_ns) or "",
                    header.dropped_before,
                    "" if dose is None else f"{dose:.9g}",
                )
            )
            count += 1
    return count
