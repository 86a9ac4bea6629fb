"""What was said in the session: instrument, detectors, plans, proposals and what became of them, the account."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import h5py
import msgspec
import numpy as np

from scanmend._version import __version__
from scanmend.export.columns import Column
from scanmend.export.session import RecordedSession
from scanmend.export.tree import group, iso_time, known, nx_names, put, put_tree
from scanmend.plan import ScanPlan

_BAND = 1 << 20


def write_about(entry: h5py.Group, session: RecordedSession) -> None:
    """The session's name, times, and what wrote the file."""
    hello = session.hello
    put(entry, "title", f"Scanmend session {hello.session}")
    put(entry, "experiment_alias", hello.session)
    put(entry, "start_time", iso_time(session.opened_unix_ns))
    put(entry, "end_time", iso_time(session.last_unix_ns))
    put(entry, "program_name", "scanmend", version=__version__)
    put(entry, "session_id", np.uint64(hello.session_id))
    put(entry, "mode", str(hello.mode))
    put(entry, "client", hello.client or None)


def write_instrument(entry: h5py.Group, session: RecordedSession) -> None:
    """Beam, scan field and detectors, under the names of NXem."""
    hello, field = session.hello, session.hello.field
    measurement = group(entry, "measurement", "NXem_measurement")
    instrument = group(measurement, "instrument", "NXem_instrument")
    source = group(group(instrument, "ebeam_column", "NXebeam_column"), "electron_source", "NXsource")
    put(source, "probe", "electron")
    put(source, "voltage", None if field.beam_energy_kev is None else field.beam_energy_kev * 1e3, "V")
    optics = group(instrument, "optics", "NXem_optical_system")
    put(optics, "probe_current", None if field.beam_current_pa is None else field.beam_current_pa * 1e-12, "A")
    put(optics, "rotation", field.rotation_deg, "degree")
    scan = group(instrument, "scan_controller", "NXscan_controller")
    put(scan, "shape", np.asarray(field.shape), long_name="field in pixels (ny, nx)")
    put(scan, "pixel_size_nm", field.pixel_size_nm, "nm")
    put(scan, "capabilities", _json(hello.capabilities), content_type="application/json")
    for number, (name, channel) in enumerate(
        zip(nx_names(one.name for one in hello.channels), hello.channels, strict=True), start=1
    ):
        detector = group(instrument, f"detector{number}", "NXdetector")
        put(detector, "local_name", channel.name, name_in_file=name)
        put(detector, "kind", str(channel.kind))
        put(detector, "dtype", channel.dtype)
        put(detector, "units_per_electron", channel.units_per_electron)
        put(detector, "offset_units", channel.offset_units)
        put(detector, "read_noise_units", channel.read_noise_units)
        put(detector, "saturation_value", channel.saturation_units)
        put(detector, "reference_dwell_ns", channel.reference_dwell_ns, "ns")
    put(entry, "hello", _json(hello), content_type="application/json", long_name="what the microscope asked for")


def write_plans(raw: h5py.Group, session: RecordedSession, packing: Mapping[str, Any]) -> None:
    """The plans that were announced, each once however many passes ran it."""
    plans = group(raw, "plans", "NXcollection")
    for plan_id in session.plan_ids:
        plan = session.plan(plan_id)
        if plan is not None:
            write_plan(group(plans, f"plan_{plan_id}", "NXcollection"), plan, packing)


def write_plan(parent: h5py.Group, plan: ScanPlan, packing: Mapping[str, Any]) -> None:
    """A plan: its pattern in words, and its points.

    `x` and `y` are left out where the plan goes over the whole field in raster order; `dwell_ns` is one number where
    all points have the same.
    """
    about = msgspec.to_builtins(plan.pattern, builtin_types=(bytes,))
    compact = {key: value for key, value in about.items() if not isinstance(value, bytes)}
    put(parent, "pattern", msgspec.json.encode(compact).decode(), content_type="application/json")
    put(parent, "points", plan.points)
    put(parent, "settle_ns", plan.settle_ns, "ns")
    put(parent, "blank_between", plan.blank_between)
    put(parent, "total_dwell_ns", plan.total_dwell_ns, "ns")
    put(parent, "full_raster", plan.is_full_raster)
    if plan.dwell_list is None:
        put(parent, "dwell_ns", plan.dwell_ns, "ns")
    else:
        dwell = Column(parent, "dwell_ns", np.uint32, packing)
        dwell.append(plan.dwells_ns)
        dwell.finish()
        dwell.dataset.attrs["units"] = "ns"
    if not plan.is_full_raster:
        nx = np.int32(plan.shape[1])
        x, y = Column(parent, "x", np.uint16, packing), Column(parent, "y", np.uint16, packing)
        for first in range(0, plan.points, _BAND):
            pixels = plan.pixels[first : first + _BAND]
            x.append((pixels % nx).astype(np.uint16))
            y.append((pixels // nx).astype(np.uint16))
        x.finish()
        y.finish()
        plan.forget_pixels()


def write_proposals(entry: h5py.Group, session: RecordedSession, packing: Mapping[str, Any]) -> int:
    """The proposals, what became of each, and the service's word that no further one follows; gives how many."""
    proposals = group(entry, "proposals", "NXcollection")
    executed = {one.proposal_id: one for one in session.executed}
    count = 0
    for unix_ns, proposal in session.proposals():
        name = f"proposal_{proposal.proposal_id}"
        if name in proposals:
            continue
        count += 1
        made = group(proposals, name, "NXcollection")
        put(made, "time", iso_time(unix_ns))
        for key in ("policy", "reason", "based_on_frames"):
            put(made, key, getattr(proposal, key))
        put(made, "dose_e_per_nm2", known(proposal.dose_e_per_nm2), "1/nm^2")
        put(made, "duration_ns", proposal.duration_ns, "ns")
        put(made, "sigma_now", known(proposal.sigma_now))
        put(made, "sigma_expected", known(proposal.sigma_expected))
        put(made, "expires", iso_time(proposal.expires_unix_ns))
        answer = executed.get(proposal.proposal_id)
        put(made, "status", "unanswered" if answer is None else str(answer.status))
        if answer is not None:
            put(made, "executed_plan_id", answer.plan_id)
            put(made, "executed_reason", answer.reason or None)
        write_plan(group(made, "plan", "NXcollection"), proposal.plan, packing)
    for number, (unix_ns, enough) in enumerate(session.enough):
        made = group(proposals, f"enough_{number}", "NXcollection")
        put(made, "time", iso_time(unix_ns))
        for key in ("code", "reason", "based_on_frames", "passes"):
            put(made, key, getattr(enough, key))
        for key in ("sigma_now", "sigma_of_range", "dose_e_per_nm2"):
            put(made, key, known(getattr(enough, key)))
    return count


def write_receipt(entry: h5py.Group, session: RecordedSession) -> None:
    """The session's account, as JSON and field by field; absent where the session has not ended."""
    if session.receipt is None:
        return
    made = group(entry, "receipt", "NXcollection")
    put(made, "json", _json(session.receipt), content_type="application/json")
    values = msgspec.to_builtins(session.receipt)
    values.pop("type", None)
    put_tree(made, values)


def write_recording(entry: h5py.Group, session: RecordedSession) -> None:
    """How whole the recording is, and what of it is missing in this file."""
    made = group(entry, "recording", "NXcollection")
    put(made, "finished", session.finished, long_name="whether the session had come to its end")
    put(made, "sealed", session.sealed, long_name="whether the journal's writer came to its end")
    put(made, "entries", session.entries)
    put(made, "entries_lost", session.entries_lost)
    put(made, "frames_damaged", np.asarray(sorted(session.damaged_seqs), dtype=np.uint64))
    missing = np.asarray(session.missing_seqs, dtype=np.int64).reshape(-1, 2)
    put(made, "seqs_missing", missing, long_name="ranges of frames that are not there: first, last + 1")
    put(made, "problems", "\n".join(session.problems.texts) or None, long_name="what is missing here, one a line")
    put(made, "problems_count", session.problems.count)
    for number, model in enumerate(session.models):
        used = group(made, f"restored_live_by_{number}", "NXcollection")
        put(used, "model", model.name)
        put(used, "sha256", model.sha256)
        put(used, "provider", model.provider)


def _json(message: Any) -> str:
    return msgspec.json.encode(message).decode()
