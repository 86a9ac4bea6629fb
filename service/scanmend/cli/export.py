"""`scanmend export`: a recorded session as a file that other programs open."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scanmend.cli.as_child import add_option, as_child
from scanmend.errors import RecordingError, ScanmendError
from scanmend.record import session_path
from scanmend.settings import Settings

if TYPE_CHECKING:
    from scanmend.export import Loader, RecordedSession

HELP = "Write a recorded session for other programs: NeXus (HyperSpy, h5py), TIFF, Zarr (napari), PNG, movie, npz, csv."

SUFFIXES = {
    "nexus": ".nxs",
    "tiff": ".ome.tif",
    "zarr": ".ome.zarr",
    "npz": ".npz",
    "png": ".png",
    "movie": ".gif",
    "csv": ".csv",
}
_MOST_LINES = 12
NICE = 19
"""How far an export for a download gives way."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the options."""
    parser.add_argument("session", help="its name in the data folder, or the path of its folder (with a /)")
    parser.add_argument("--to", choices=tuple(SUFFIXES), default="nexus", help="kind of file")
    parser.add_argument("--out", type=Path, help="the file; by default SESSION with its suffix, here")
    parser.add_argument("--data-dir", type=Path, help="folder of recordings; the one of the service's settings")
    parser.add_argument(
        "--model", help="model for the restored picture, none for no such picture; the one that the session asked for"
    )
    parser.add_argument("--threads", type=int, default=2, help="threads of the model's runtime")
    parser.add_argument(
        "--picture",
        choices=("data", "restored", "sigma"),
        help="for tiff, png and movie: what was measured (tiff, png), the model's estimate (movie), or its standard "
        "deviation",
    )
    parser.add_argument(
        "--bits", type=int, choices=(16, 32), help="for tiff: 16-bit whole numbers or float32, in place of what fits"
    )
    parser.add_argument("--fps", type=float, default=10.0, help="for movie: pictures a second")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="for movie: a picture for each Nth pass")
    parser.add_argument(
        "--levels",
        choices=("fixed", "each"),
        default="fixed",
        help="for movie: black and white are the same in all pictures, or each picture's own",
    )
    parser.add_argument(
        "--compression",
        choices=("blosc", "gzip", "none"),
        default="blosc",
        help="for nexus: blosc is fast and needs hdf5plugin to read; gzip is slow and can be read by everything",
    )
    parser.add_argument("--force", action="store_true", help="replace a file of that name")
    parser.add_argument("--json", action="store_true", help="print one JSON object about the export")
    add_option(parser)


@as_child(NICE)
def run(arguments: argparse.Namespace) -> int:
    """Export; what is missing in the recording is said, and is no failure."""
    from scanmend.export.aside import check_folder_target, check_target

    logging.getLogger("scanmend").setLevel(logging.ERROR)  # a model that was passed over is named in the file
    folder = session_folder(arguments.session, arguments.data_dir)
    target = arguments.out or Path(f"{folder.resolve().name}{SUFFIXES[arguments.to]}")
    folder_wanted = arguments.to == "zarr" and target.suffix != ".zip"
    (check_folder_target if folder_wanted else check_target)(target, force=arguments.force)
    if arguments.to == "nexus":
        about = _nexus(folder, target, arguments)
    else:
        about = _other(folder, target, arguments)
    problems: list[str] = about["problems"]
    for line in problems[:_MOST_LINES]:
        print(f"Missing: {line}", file=sys.stderr)
    if len(problems) > _MOST_LINES:
        print(f"Missing: {len(problems) - _MOST_LINES} more, see --json", file=sys.stderr)
    if arguments.json:
        print(json.dumps(about, ensure_ascii=False))
    else:
        print(_sentence(about), file=sys.stderr)
    return 0


def session_folder(word: str, data_dir: Path | None) -> Path:
    """The folder of a session: a path where the word has a slash in it, else a name in the data folder.

    Raises:
        InvalidInput: It cannot be a session's name.
        RecordingError: There is no such recording; the text names some that there are.
    """
    if os.sep in word:
        folder = Path(word)
        here = folder.parent
    else:
        data_dir = Settings().data_dir if data_dir is None else data_dir
        folder = session_path(data_dir, word)
        here = data_dir / "sessions"
    if folder.is_dir():
        return folder
    names = sorted(path.parent.name for path in here.glob("*/journal-000000.smj"))
    listed = f"{', '.join(names[:8])}{' …' if len(names) > 8 else ''}"
    raise RecordingError(
        f"There is no recording {word!r} in {here}.",
        mend=f"Those that there are: {listed}." if names else "Name the service's data folder with --data-dir.",
    )


def _loader(arguments: argparse.Namespace) -> Loader | None:
    """Gives restorers; a model that was named is loaded at once, so that a wrong name costs no time."""
    if arguments.model == "none":
        return None
    from scanmend.export.model import model_loader  # a runtime is slow to import

    load = model_loader(arguments.threads)
    if arguments.model is None:
        return load
    mender = load(arguments.model)
    return lambda _name: mender


def _nexus(folder: Path, target: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    from scanmend.export import Compression, export_nexus

    report = export_nexus(
        folder,
        target,
        compression=Compression(arguments.compression),
        load=_loader(arguments),
        model=arguments.model,
        force=arguments.force,
    )
    if report.finished and not arguments.child:  # a download is gone when it has been taken
        _note(folder, target)
    about: dict[str, Any] = {name: getattr(report, name) for name in report.__slots__}
    return about | {"path": str(report.path), "problems": list(report.problems)}


def _note(folder: Path, target: Path) -> None:
    """Remember the export in the session's folder: `scanmend sessions prune` deletes only what was exported."""
    from scanmend.sessions import note_export

    whole = folder.resolve()
    try:
        note_export(whole.parent.parent, whole.name, target)
    except ScanmendError as error:  # a folder that was copied somewhere else, or may only be read
        print(f"The session's folder does not know of this export: {error}", file=sys.stderr)


def _other(folder: Path, target: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    from scanmend.export import RecordedSession

    with RecordedSession(folder) as session:
        made = _write_other(session, target, arguments)
        return made | {
            "path": str(target),
            "bytes": _size(target),
            "finished": session.finished,
            "frames_missing": sum(end - first for first, end in session.missing_seqs),
            "frames_damaged": len(session.damaged_seqs),
            "entries_lost": session.entries_lost,
            "problems": list(session.problems.texts),
        }


def _size(target: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    if target.is_file():
        return target.stat().st_size
    return sum(each.stat().st_size for each in target.rglob("*") if each.is_file())


def _write_other(session: RecordedSession, target: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Write the file; gives what is to be said of it beyond what every file has."""
    if arguments.to in ("npz", "csv"):
        from scanmend.export import samples

        write = samples.write_npz if arguments.to == "npz" else samples.write_csv
        write(session, target, force=arguments.force)
        return {}
    if arguments.to == "zarr":
        from scanmend.export.zarr_session import export_zarr

        by = export_zarr(session, target, _loader(arguments), arguments.model, force=arguments.force)
        return {"restored_by": by}
    from scanmend.export import pictures

    # A movie is of what the model makes, where nothing else is asked for; a single picture is of the data.
    movie = arguments.to == "movie"
    shown = pictures.Shown(arguments.picture or ("restored" if movie and arguments.model != "none" else "data"))
    load = None if shown is pictures.Shown.DATA else _loader(arguments)
    if movie:
        from scanmend.export.movie import MovieOptions, write_movie

        how = MovieOptions(fps=arguments.fps, every=arguments.every, fixed_levels=arguments.levels == "fixed")
        count = write_movie(session, target, shown, load, arguments.model, options=how, force=arguments.force)
        return {"pictures": count}
    if arguments.to == "tiff":
        pictures.write_tiff(session, target, shown, load, arguments.model, bits=arguments.bits, force=arguments.force)
    else:
        pictures.write_png(session, target, shown, load, arguments.model, force=arguments.force)
    return {}


def _sentence(about: dict[str, Any]) -> str:
    words = [f"{about['path']}: {about['bytes'] / 1e6:.1f} MB"]
    if "frames" in about:
        rate = about["sample_bytes"] / 1e6 / max(about["elapsed_s"], 1e-9)
        words.append(f"{about['frames']} frames in {about['passes']} passes, {rate:.0f} MB/s")
    if "restored_by" in about:
        words.append(f"restored by {about['restored_by']}" if about["restored_by"] else "without a restored picture")
    if "pictures" in about:
        words.append(f"{about['pictures']} pictures")
    if not about["finished"]:
        words.append("the session had not ended")
    for name, text in (
        ("frames_damaged", "frames damaged"),
        ("frames_missing", "frames not in the recording"),
        ("entries_lost", "journal entries lost"),
    ):
        if about[name]:
            words.append(f"{about[name]} {text}")
    return "; ".join(words) + "."
