"""A recorded session as OME-Zarr (NGFF 0.4), for napari and whatever else reads Zarr; `docs/files.md` has its layout.

Pictures are OME-Zarr images, each in a group of its own, with the pixel size and units in the metadata. Samples that
make no picture are columns. As for NeXus, the journal is read frame by frame and arrays grow chunk by chunk.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from scanmend.export.drawn import levels_of
from scanmend.export.maps import mean_values
from scanmend.export.ngff import about_session, describe
from scanmend.export.options import Loader, Restored
from scanmend.export.passes import last_pass, pictures_and_rest
from scanmend.export.restored import ESTIMATE, marking, mend
from scanmend.export.session import RecordedFrame, RecordedSession
from scanmend.export.sums import FieldSums, plan_of, sum_up
from scanmend.export.tree import bands, iso_time, nx_names
from scanmend.export.zarr_store import Columns, new_store, put_array
from scanmend.exposure import Exposure
from scanmend.units import dose_e_per_nm2

if TYPE_CHECKING:
    import zarr


def export_zarr(
    session: RecordedSession, target: Path, load: Loader | None, model: str | None, *, force: bool = False
) -> str:
    """Write a session as OME-Zarr; gives the model that restored, or nothing.

    Args:
        session: The recording; what cannot be exported is named in its problems and in the root's attributes.
        target: The folder, or one file where it ends in `.zip`.
        load: Gives the restorer; None for no restored picture.
        model: The model that restores; None for the one that the session asked for.
        force: Whether a Zarr of that name may be replaced.

    Raises:
        ConfigurationError: The zarr library is not installed.
        InvalidInput: There is something of that name already.
        ExportError: It cannot be written; nothing is left of it.
    """
    with new_store(target, force=force) as root:
        sums, images = _write_samples(root, session)
        sums.finish()
        images.append(_write_dose(root, session, sums))
        restored_by = ""
        if not session.adds_up:
            sums = sum_up(session, last_pass(session), all_channels=True)
        if sums.frames:
            images.append(_write_exposures(root, session, sums))
            restored = None if load is None else mend(session, sums.exposure(), load, model)
            if restored is not None:
                images += _write_restored(root, session, sums.exposure(), restored)
                restored_by = restored.restoration.model
        else:
            session.problems.add("the recording holds no frame that has a place in the field")
        root.create_group("OME", attributes={"series": sorted(images, key=_shown_first)})
        root.attrs.update({"bioformats2raw.layout": 3, "scanmend": about_session(session)})
    return restored_by


def _shown_first(name: str) -> int:
    return ("passes", "exposure", "restored", "sigma", "dose", "dwell").index(name)


# Samples ------------------------------------------------------------------------------------------------------------


def _write_samples(root: zarr.Group, session: RecordedSession) -> tuple[FieldSums, list[str]]:
    """Write every sample once: in the stack of whole passes, or in columns. Gives the sums, and the images."""
    hello = session.hello
    names, kind = nx_names(channel.name for channel in hello.channels), hello.channels[0].numpy_dtype
    places: dict[str, npt.DTypeLike] = {"x": np.uint16, "y": np.uint16, "dwell_ns": np.uint32, "pass_index": np.uint32}
    rest = Columns(
        root,
        "samples",
        dict.fromkeys((f"channel_{name}" for name in names), kind) | places,
        {"scanmend": {"what": "samples in the order in which they were taken, with their pixels and dwell times"}},
    )
    sums = FieldSums(session, range(len(names)) if session.adds_up else (), from_the_first=True)

    def summed() -> Iterator[RecordedFrame]:
        for recorded in session.frames():
            sums.add(recorded, plan_of(session, recorded))
            yield recorded

    stack: zarr.Array[Any] | None = None
    indexes: list[int] = []
    times: list[str | None] = []
    frames = summed()
    for each in frames if session.adds_up else pictures_and_rest(session, frames):
        if isinstance(each, RecordedFrame):
            _append(rest, names, session, each)
            continue
        if stack is None:
            image = root.create_group("passes")
            stack = put_array(image, "0", (0, *each.samples.shape), kind, "tcyx")
            windows = [levels_of([picture]) for picture in each.samples]
        stack.resize((len(indexes) + 1, *each.samples.shape))
        stack[len(indexes)] = each.samples
        indexes.append(each.pass_index)
        times.append(iso_time(each.acquired_unix_ns))
    rest.finish()
    if stack is None:
        return sums, []
    about = {
        "what": "every complete pass over the whole field, in detector units",
        "pass_index": indexes,
        "acquired": times,
    }
    describe(image, session, "tcyx", [channel.name for channel in hello.channels], windows, about)
    return sums, ["passes"]


def _append(rest: Columns, names: Sequence[str], session: RecordedSession, recorded: RecordedFrame) -> None:
    header, plan = recorded.header, plan_of(session, recorded)
    if plan is None:
        session.problems.add(f"frame {header.seq} is not in this file, for its samples have no places; nexus has it")
        return
    first, last = header.first_point, header.first_point + header.points
    pixels, nx = plan.pixels[first:last], plan.shape[1]
    rest.append(
        **{f"channel_{name}": values for name, values in zip(names, recorded.samples, strict=True)},
        x=pixels % nx,
        y=pixels // nx,
        dwell_ns=np.asarray(plan.dwell_ns) if plan.dwell_list is None else plan.dwells_ns[first:last],
        pass_index=np.asarray(header.pass_index),
    )


# Pictures -----------------------------------------------------------------------------------------------------------


def _write_exposures(root: zarr.Group, session: RecordedSession, sums: FieldSums) -> str:
    channels = session.hello.channels
    image = root.create_group("exposure")
    made = put_array(image, "0", (len(channels), *session.hello.field.shape), np.float32, "cyx")
    known, windows = [], []
    for index, exposure in sums.exposures():
        for lines in bands(exposure.shape):
            made[index, lines] = mean_values(exposure, lines)
        windows.append(levels_of([mean_values(exposure, slice(0, exposure.shape[0]))]))
        known.append(
            {
                "channel": channels[index].name,
                "units": "electrons" if exposure.electrons_per_unit is not None else "detector units",
                "reference_dwell_ns": exposure.reference_dwell_ns,
                "electrons_per_unit": exposure.electrons_per_unit,
                "read_noise": exposure.read_noise,
            }
        )
    what = "all passes" if session.adds_up else "the last complete pass"
    about = {"what": f"{what}: mean signal per visit of the reference dwell; NaN where not sampled", "channels": known}
    describe(image, session, "cyx", [channel.name for channel in channels], windows, about)
    return "exposure"


def _write_dose(root: zarr.Group, session: RecordedSession, sums: FieldSums) -> str:
    field = session.hello.field
    current_pa = field.beam_current_pa
    known = current_pa is not None
    factor = 1.0 if current_pa is None else dose_e_per_nm2(current_pa, 1.0, field.pixel_size_nm**2)
    name = "dose" if known else "dwell"
    image = root.create_group(name)
    made = put_array(image, "0", field.shape, np.float32 if known else np.float64, "yx")
    scanned_ns = sums.scanned_ns
    for lines in bands(field.shape):
        made[lines] = scanned_ns[lines] * factor
    about = {
        "what": "dose of everything that was scanned" if known else "dwell of everything; the current is not known",
        "units": "1/nm^2" if known else "ns",
        "total_dwell_ns": sums.total_dwell_ns,
        "mean_e_per_nm2": field.dose_e_per_nm2(sums.total_dwell_ns),
    }
    describe(image, session, "yx", [name], [(0.0, float(scanned_ns.max()) * factor)], about)
    return name


def _write_restored(
    root: zarr.Group, session: RecordedSession, exposure: Exposure, restored: Restored
) -> tuple[str, str]:
    made, name = restored.restoration, session.channel.name
    about = {
        "made_at_export": True,
        "note": f"An {ESTIMATE}: a model made it from the exposure when this was written.",
        "date": iso_time(time.time_ns()),
        "channel": name,
        "units": "electrons" if exposure.electrons_per_unit is not None else "detector units",
        "reference_dwell_ns": exposure.reference_dwell_ns,
        "model": made.model,
        "model_version": made.model_version,
        "sha256": made.sha256,
        "provider": made.provider,
        "elapsed_ms": made.elapsed_ms,
        "caution": made.caution,
        "settings": dict(restored.settings),
    }
    for key, picture, what in (
        ("restored", made.image, f"{name}, {marking(made)}"),
        ("sigma", made.sigma, f"{name}, standard deviation of the picture {marking(made)}"),
    ):
        image = root.create_group(key)
        array = put_array(image, "0", picture.shape, np.float32, "yx")
        array[:] = picture
        describe(image, session, "yx", [f"{name} ({key}: {ESTIMATE})"], [levels_of([picture])], about | {"what": what})
    return "restored", "sigma"
