"""`scanmend bench export`: recorded sessions to NeXus files, beside h5py alone."""

from __future__ import annotations

import argparse
import json

from scanmend.cli.bench.shared import add_data_dir, add_json, add_size, say

HELP = "recorded sessions to NeXus files, beside h5py alone"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the options."""
    modes = ("frames", "exposure")
    parser.add_argument("--modes", nargs="+", default=list(modes), choices=modes, help="modes of the sessions; both")
    add_size(parser, 1024, of="the field")
    parser.add_argument("--megabytes", type=int, default=400, help="samples of the session, in MB")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each")
    packed = ("blosc", "gzip", "none")
    parser.add_argument("--compression", choices=packed, default="blosc", help="of the NeXus file; blosc by default")
    add_data_dir(parser, "where to write")
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run it and print its table."""
    from scanmend.bench.export import bench_export

    results = [
        bench_export(
            mode=mode,
            size=arguments.size,
            megabytes=arguments.megabytes,
            rounds=arguments.rounds,
            compression=arguments.compression,
            folder=arguments.data_dir,
            report=say,
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
