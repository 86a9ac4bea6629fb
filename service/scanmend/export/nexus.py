"""A recorded session as one NeXus file; `docs/files.md` has the layout.

The journal is read once, frame by frame, and the file grows chunk by chunk: memory holds the maps of one field, one
pass at most, and some megabytes, whatever the session's length.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path

import h5py

from scanmend._version import __version__
from scanmend.export import account
from scanmend.export.aside import written_aside
from scanmend.export.maps import write_dose, write_exposures
from scanmend.export.options import Compression, ExportReport, Loader
from scanmend.export.raw import RawWriter
from scanmend.export.restored import mend, write_restored
from scanmend.export.session import RecordedSession
from scanmend.export.sink import hdf5_file
from scanmend.export.sums import FieldSums, plan_of, sum_up
from scanmend.export.tree import group, iso_time, packing


def export_nexus(
    session_folder: Path,
    target: Path,
    *,
    compression: Compression = Compression.BLOSC,
    load: Loader | None = None,
    model: str | None = None,
    force: bool = False,
    beat: Callable[[], None] = lambda: None,
) -> ExportReport:
    """Write all that a session's journal holds into one HDF5 file.

    Works on finished sessions, on ones that were cut off or are damaged, and on one that is still running (as far as
    it has come). What cannot be exported is named in the file and in the report; it is no error.

    Args:
        session_folder: The session's folder, `<data_dir>/sessions/<name>`.
        target: The file; call it `.nxs`, by which HyperSpy knows it.
        compression: How arrays are packed.
        load: Gives the restorer, for instance `scanmend.export.model.model_loader()`; None for no restored picture.
        model: The model that restores; None for the one that the session asked for.
        force: Whether a file of that name may be replaced.
        beat: Called after each frame.

    Raises:
        RecordingError: There is no recording in the folder, or its HELLO is gone.
        InvalidInput: The file is there already.
        ExportError: It cannot be written; nothing is left of it.
    """
    begin = time.monotonic()
    with RecordedSession(session_folder) as session, written_aside(target, force=force) as aside:
        with hdf5_file(aside) as (file, sink):

            def watch() -> None:
                sink.check()
                beat()

            raw, restored_by = _write(file, session, packing(compression), load, model, watch)
        size = aside.stat().st_size
        return ExportReport(
            path=target,
            bytes=size,
            frames=raw.frames,
            passes=raw.passes,
            sample_bytes=raw.sample_bytes,
            finished=session.finished,
            frames_missing=sum(end - first for first, end in session.missing_seqs),
            frames_damaged=len(session.damaged_seqs),
            entries_lost=session.entries_lost,
            problems=tuple(session.problems.texts),
            restored_by=restored_by,
            elapsed_s=time.monotonic() - begin,
        )


def _write(
    file: h5py.File,
    session: RecordedSession,
    options: dict[str, object],
    load: Loader | None,
    model: str | None,
    beat: Callable[[], None],
) -> tuple[RawWriter, str]:
    file.attrs.update(
        {
            "NX_class": "NXroot",
            "default": "entry",
            "creator": "scanmend",
            "creator_version": __version__,
            "file_time": iso_time(time.time_ns()),
            "how_to_read": "import hdf5plugin before the file is opened, where it was packed with Blosc",
            "HDF5_Version": h5py.version.hdf5_version,
            "h5py_version": h5py.version.version,
        }
    )
    entry = group(file, "entry", "NXentry")
    account.write_about(entry, session)
    account.write_instrument(entry, session)
    raw = RawWriter(entry, session, options)
    sums = FieldSums(session, range(len(raw.names)) if session.adds_up else (), from_the_first=True)
    for recorded in session.frames():
        plan = plan_of(session, recorded)
        sums.add(recorded, plan)
        dose = session.hello.field.dose_e_per_nm2(sums.total_dwell_ns)
        raw.add(recorded, plan, math.nan if dose is None else dose)
        beat()
    raw.finish()
    sums.finish()
    beat()
    scanned_ns = sums.scanned_ns  # before the plans are written, which lets go of their expanded points
    account.write_plans(raw.raw, session, options)
    write_dose(entry, session, scanned_ns, sums.total_dwell_ns, options)
    restored_by = ""
    if raw.frames:
        if not session.adds_up:
            sums = sum_up(session, raw.last_pass, all_channels=True)
        exposure_name = write_exposures(entry, session, sums, options)
        beat()
        entry.attrs["default"] = f"frames_{raw.names[session.channel_index]}" if raw.pictures else exposure_name
        if load is not None and sums.frames:
            restored = mend(session, sums.exposure(), load, model)
            if restored is not None:
                write_restored(entry, session, sums.exposure(), restored, options)
                restored_by = restored.restoration.model
    else:
        session.problems.add("the recording holds no frame")
        entry.attrs["default"] = "dose"
    account.write_proposals(entry, session, options)
    account.write_receipt(entry, session)
    account.write_recording(entry, session)
    return raw, restored_by
