"""`scanmend bench`: figures as ratios against a floor, or against other methods, measured in one run."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

HELP = "Measure the service against the least that any such service does, or models against other methods, in one run."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the benchmarks."""
    kinds = parser.add_subparsers(dest="bench", required=True, metavar="BENCH")
    stream = kinds.add_parser("stream", help="frames a second and latency of the streaming path")
    stream.add_argument("--models", nargs="+", default=["identity", "pushpull"], help="models to measure with")
    stream.add_argument("--size", type=int, default=512, help="side of a frame in pixels")
    stream.add_argument("--rounds", type=int, default=7, help="turns of each contender")
    stream.add_argument("--seconds", type=float, default=2.0, help="length of a turn")
    stream.add_argument("--threads", type=int, default=1, help="threads of the runtime, for floor and service alike")
    stream.add_argument("--data-dir", type=Path, help="where the recordings go; a temporary folder by default")
    stream.add_argument("--json", action="store_true", help="print one JSON document")
    restore = kinds.add_parser("restore", help="how good the models are, beside classical methods on the same samples")
    restore.add_argument("--images", type=Path, required=True, help="folder of pictures that are taken as the truth")
    restore.add_argument("--models", nargs="+", help="models to measure; all but identity by default")
    restore.add_argument("--pictures", type=int, help="at most so many pictures")
    restore.add_argument("--seeds", type=int, default=3, help="draws of masks and noise for each picture")
    restore.add_argument("--threads", type=int, default=2, help="threads of the runtime")
    restore.add_argument("--cache", type=Path, help="file that keeps what was measured, for the next run")
    restore.add_argument("--docs", type=Path, help="write the tables and a picture into this document")
    restore.add_argument("--json", action="store_true", help="print one JSON document")
    rescan = kinds.add_parser("rescan", help="rescan policies against a uniform pass of the same dose")
    rescan.add_argument("--images", type=Path, required=True, help="folder of pictures that are taken as the truth")
    rescan.add_argument("--count", type=int, default=30, help="at most so many pictures")
    rescan.add_argument("--seeds", type=int, default=1, help="draws of the noise for each picture")
    rescan.add_argument("--policies", nargs="+", help="policies to compare with uniform passes; all, with the oracles")
    rescan.add_argument("--model", default="auto", help="the restorer behind every policy")
    rescan.add_argument("--critical-passes", type=float, help="passes after which a fragile specimen has faded to 1/e")
    rescan.add_argument("--threads", type=int, default=2, help="threads of the runtime")
    rescan.add_argument("--cache", type=Path, help="file that keeps what was measured, for the next run")
    rescan.add_argument("--docs", type=Path, help="write the tables into this document")
    rescan.add_argument("--json", action="store_true", help="print one JSON document")
    loop = kinds.add_parser("loop", help="time from a frame to the next plan, through the running service")
    loop.add_argument("--models", nargs="+", default=["pushpull", "live", "quality"], help="models to measure with")
    loop.add_argument("--policies", nargs="+", default=["variance"], help="rescan policies to measure with")
    loop.add_argument("--size", type=int, default=512, help="side of the field in pixels")
    loop.add_argument("--turns", type=int, default=40, help="proposals that are timed")
    loop.add_argument("--threads", type=int, default=2, help="threads of the runtime")
    loop.add_argument("--data-dir", type=Path, help="where the recordings go; a temporary folder by default")
    loop.add_argument("--json", action="store_true", help="print one JSON document")
    record = kinds.add_parser(
        "record", help="the journal beside plain writes, and the way of a frame with and without it"
    )
    record.add_argument("--models", nargs="+", default=["identity"], help="models to measure the way of a frame with")
    record.add_argument("--size", type=int, default=512, help="side of a frame in pixels")
    record.add_argument("--rounds", type=int, default=7, help="turns of each contender")
    record.add_argument("--frames", type=int, default=256, help="frames in a turn")
    record.add_argument("--threads", type=int, default=1, help="threads of the runtime")
    record.add_argument("--data-dir", type=Path, help="a folder on the disk to be measured; one for temporary files")
    record.add_argument("--json", action="store_true", help="print one JSON document")
    export = kinds.add_parser("export", help="recorded sessions to NeXus files, beside h5py alone")
    export.add_argument("--modes", nargs="+", default=["frames", "exposure"], choices=("frames", "exposure"))
    export.add_argument("--size", type=int, default=1024, help="side of the field in pixels")
    export.add_argument("--megabytes", type=int, default=400, help="samples of the session, in MB")
    export.add_argument("--rounds", type=int, default=5, help="turns of each")
    export.add_argument("--compression", choices=("blosc", "gzip", "none"), default="blosc")
    export.add_argument("--data-dir", type=Path, help="where to write; a temporary folder by default")
    export.add_argument("--json", action="store_true", help="print one JSON document")
    page = kinds.add_parser("page", help="what browsers cost the microscope, and how fast the page paints")
    page.add_argument("--model", default="pushpull", help="the model that restores")
    page.add_argument("--size", type=int, default=512, help="side of a frame in pixels")
    page.add_argument("--browsers", type=int, default=4, help="how many watch")
    page.add_argument("--rounds", type=int, default=3, help="turns with and without browsers")
    page.add_argument("--seconds", type=float, default=6.0, help="length of a turn")
    page.add_argument("--threads", type=int, default=1, help="threads of the runtime")
    page.add_argument("--data-dir", type=Path, help="of the service; a temporary folder by default")
    page.add_argument("--json", action="store_true", help="print one JSON document")
    ingest = kinds.add_parser("ingest", help="the largest rate of an instrument's stream, beside programs of others")
    ingest.add_argument("--peers", type=Path, default=Path(".venv/peers"), help="environments of `make peers`")
    ingest.add_argument("--paths", nargs="+", default=["dectris", "epics"], choices=("dectris", "epics"))
    ingest.add_argument("--size", type=int, default=256, help="side of an image in pixels")
    ingest.add_argument("--seconds", type=float, default=60.0, help="length of the turn in which nothing may be missed")
    ingest.add_argument("--trial-s", type=float, default=5.0, help="length of the turns that search the rate")
    ingest.add_argument("--data-dir", type=Path, help="of the service; a temporary folder by default")
    ingest.add_argument("--json", action="store_true", help="print one JSON document")


def run(arguments: argparse.Namespace) -> int:
    """Run the benchmark and print its table."""
    benches = {
        "restore": _restore,
        "rescan": _rescan,
        "loop": _loop,
        "stream": _stream,
        "record": _record,
        "export": _export,
        "page": _page,
        "ingest": _ingest,
    }
    return benches[arguments.bench](arguments)


def _restore(arguments: argparse.Namespace) -> int:
    # Slow imports, and extras that only this command needs.
    from scanmend.bench.restore import contenders
    from scanmend_models.quality.document import comparisons, figures, write
    from scanmend_models.quality.evaluation import Cache, evaluate, means
    from scanmend_models.quality.lattices import lattice_test
    from scanmend_models.quality.truths import read_truths

    models = contenders(arguments.models, arguments.threads)
    learned = [one.name for one in models if one.learned]
    best = models[0]
    rows = evaluate(
        read_truths(arguments.images, arguments.pictures),
        models,
        seeds=arguments.seeds,
        cache=Cache(arguments.cache),
        denoiser=best,
        report=_say,
    )
    lattices = lattice_test(models)
    text = figures(rows, lattices, learned)
    if arguments.docs:
        write(arguments.docs, text, best)
    if arguments.json:
        found = {
            "pictures": len({row.picture for row in rows}),
            "groups": len({row.group for row in rows}),
            "seeds": arguments.seeds,
            "models": {one.name: one.sha256 for one in models},
            "tasks": means(rows),
            "comparisons": comparisons(rows, learned),
            "lattices": [{name: getattr(one, name) for name in one.__slots__} for one in lattices],
        }
        print(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        print(text)
    return 0


def _say(line: str) -> None:
    """Tell how far a benchmark is, beside its result."""
    print(line, file=sys.stderr, flush=True)


def _rescan(arguments: argparse.Namespace) -> int:
    # Slow imports, and extras that only this command needs.
    from scanmend.bench.rescan import Bench, chosen
    from scanmend.bench.rescan_document import tables, write
    from scanmend.bench.rescan_results import results
    from scanmend.engine.restorer import Restorer
    from scanmend_models.quality.evaluation import Cache
    from scanmend_models.quality.truths import read_truths

    restorer = Restorer.load(arguments.model, threads=arguments.threads, runtimes=("onnxruntime",))
    bench = Bench(restorer, chosen(arguments.policies), arguments.critical_passes, oracles=arguments.policies is None)
    judged = bench.run(
        read_truths(arguments.images, arguments.count),
        seeds=arguments.seeds,
        cache=Cache(arguments.cache),
        report=_say,
    )
    found = results(judged)
    pictures = len({one.picture for one in judged})
    fading = arguments.critical_passes
    text = tables(found, model=restorer.info.name, pictures=pictures, seeds=arguments.seeds, critical_passes=fading)
    if arguments.docs:
        write(arguments.docs, text)
    if arguments.json:
        about = {"model": restorer.info.name, "sha256": restorer.info.sha256, "pictures": pictures}
        about |= {"seeds": arguments.seeds, "critical_passes": fading}
        print(json.dumps({**about, "results": found}, indent=2, ensure_ascii=False))
    else:
        print(text)
    return 0


def _loop(arguments: argparse.Namespace) -> int:
    from scanmend.bench.loop import bench_loop

    results = bench_loop(
        models=arguments.models,
        policies=arguments.policies,
        size=arguments.size,
        turns=arguments.turns,
        threads=arguments.threads,
        data_dir=arguments.data_dir,
        report=_say,
    )
    if arguments.json:
        print(json.dumps({"results": results}, indent=2))
        return 0
    print(f"{'model':<10} {'policy':<12} {'frame to proposal':>22} {'restoration':>22} {'around it':>22}")
    for one in results:
        cells = (
            f"{one[name]['p50']:8.1f} / {one[name]['p99']:.1f} ms" for name in ("loop_ms", "restore_ms", "around_ms")
        )
        print(f"{one['model']:<10} {one['policy']:<12} " + " ".join(f"{cell:>22}" for cell in cells))
    return 0


def _stream(arguments: argparse.Namespace) -> int:
    from scanmend.bench.stream import bench_stream

    results = bench_stream(
        models=arguments.models,
        size=arguments.size,
        rounds=arguments.rounds,
        seconds=arguments.seconds,
        threads=arguments.threads,
        data_dir=arguments.data_dir,
        report=_say,
    )
    if arguments.json:
        print(json.dumps({"results": results}, indent=2))
        return 0
    for result in results:
        floor = result["floor"]
        print(
            f"\n{result['model']}, {result['shape'][0]}² u16, {result['rounds']} rounds, run {result['run_ms']:.2f} ms"
        )
        print(f"  {'floor':<9} {floor['frames_per_s']:7.0f} frames/s {floor['mb_per_s_in']:6.0f} MB/s  ", end="")
        print("added latency p50 {p50:.2f} ms, p99 {p99:.2f} ms".format(**floor["added_latency_ms"]))
        for name in ("received", "durable"):
            turn = result[name]
            print(f"  {name:<9} {turn['frames_per_s']:7.0f} frames/s {turn['mb_per_s_in']:6.0f} MB/s  ", end="")
            print("added latency p50 {p50:.2f} ms, p99 {p99:.2f} ms  ".format(**turn["added_latency_ms"]), end="")
            print("{median:.2f} of the floor ({min:.2f} to {max:.2f})".format(**turn["ratio_to_floor"]))
    return 0


def _record(arguments: argparse.Namespace) -> int:
    from scanmend.bench.record import LEAST_RATE, MOST_LATENCY, bench_recording

    journal, paths = bench_recording(
        models=arguments.models,
        size=arguments.size,
        rounds=arguments.rounds,
        frames=arguments.frames,
        threads=arguments.threads,
        data_dir=arguments.data_dir,
        report=_say,
    )
    if arguments.json:
        print(json.dumps({"journal": journal.figures(), "frame_path": [one.summary() for one in paths]}, indent=2))
        return 0
    rate = journal.figures()["ratio_to_plain"]
    verdict = "reached" if rate["median"] >= LEAST_RATE else "missed"
    print(f"\nrecording over write + fdatasync: {_spread(rate)}; at least {LEAST_RATE}: {verdict}")
    for one in (path.summary() for path in paths):
        verdict = "reached" if one["p99_ratio"]["median"] <= MOST_LATENCY else "missed"
        print(f"p99 of a frame's way with recording over that without, {one['model']}, {one['size']}²: ", end="")
        print(f"{_spread(one['p99_ratio'])}; at most {MOST_LATENCY}: {verdict}")
        for name, text in (("without_ms", "without"), ("recorded_ms", "recorded")):
            print(f"  {text:<9}" + "{p50:7.2f} ms p50 {p99:8.2f} ms p99".format(**one[name]))
    return 0


def _spread(values: dict[str, float]) -> str:
    return "{median:.2f} ({min:.2f} to {max:.2f})".format(**values)


def _export(arguments: argparse.Namespace) -> int:
    from scanmend.bench.export import bench_export

    results = [
        bench_export(
            mode=mode,
            size=arguments.size,
            megabytes=arguments.megabytes,
            rounds=arguments.rounds,
            compression=arguments.compression,
            folder=arguments.data_dir,
            report=_say,
        )
        for mode in arguments.modes
    ]
    if arguments.json:
        print(json.dumps({"results": results}, indent=2))
        return 0
    for one in results:
        print(
            f"\n{one['mode']}, {one['samples_mb']:.0f} MB in {one['frames']} frames of {one['size']}², "
            f"{one['compression']}, {arguments.rounds} rounds"
        )
        for name, text in (("export_mb_per_s", "export"), ("h5py_mb_per_s", "h5py alone")):
            print(f"  {text:<11}" + " {median:6.0f} MB/s ({min:.0f} to {max:.0f})".format(**one[name]))
        print("  ratio       {median:6.2f}      ({min:.2f} to {max:.2f})".format(**one["ratio"]))
        print(f"  peak memory {one['peak_memory_mb']:6.0f} MB; file over samples {one['file_over_samples']:.2f}")
    return 0


def _page(arguments: argparse.Namespace) -> int:
    from scanmend.bench.page import bench_page

    found = bench_page(
        model=arguments.model,
        size=arguments.size,
        browsers=arguments.browsers,
        rounds=arguments.rounds,
        seconds=arguments.seconds,
        threads=arguments.threads,
        data_dir=arguments.data_dir,
        report=_say,
    )
    if arguments.json:
        print(json.dumps(found, indent=2))
        return 0
    page = found["page"]
    print(f"{found['model']}, {found['shape'][0]}² u16, {found['restored_per_s_alone']:.1f} frames/s without a browser")
    for name, text in (
        ("flat_out", f"{found['browsers']} browsers, flat out"),
        ("paced", f"{found['browsers']} browsers, half the rate"),
        ("stalled", "a browser that hangs, half the rate"),
    ):
        print(f"  {text:<38}" + " {median:.3f} of it ({min:.3f} to {max:.3f})".format(**found[name]))
    print(
        f"  page: {page['pictures_per_s']:.1f} pictures/s, {page['frames_per_s']:.1f} frames of the screen/s "
        f"(longest {page['longest_ms']:.0f} ms); a key is answered in {page['key_p50_ms']:.0f} ms, "
        f"at most {page['key_most_ms']:.0f} ms"
    )
    return 0


def _ingest(arguments: argparse.Namespace) -> int:
    from scanmend.bench.ingest import bench_ingest

    found = bench_ingest(
        peers=arguments.peers,
        paths=arguments.paths,
        side=arguments.size,
        seconds=arguments.seconds,
        trial_s=arguments.trial_s,
        data_dir=arguments.data_dir,
        report=_say,
    )
    if arguments.json:
        print(json.dumps(found, indent=2))
        return 0
    load = found["load_before"][0]
    print(f"{found['side']}² u16, nothing missed for {found['seconds']:.0f} s; load of the machine before: {load:.1f}")
    for one in found["results"]:
        verdict = "reached" if one["reached"] else "missed"
        for name in ("floor", "ours"):
            print(f"  {one['path']:<8} {one[name]['rate']:8.0f} images/s  {one[name]['about']}")
        print(f"  {'':<8} {one['ratio']:8.2f} of it; at least {one['aim']}: {verdict}")
    return 0
