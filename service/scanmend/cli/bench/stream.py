"""`scanmend bench stream`: frames a second and latency of the streaming path."""

from __future__ import annotations

import argparse
import json

from scanmend.cli.bench.shared import add_data_dir, add_json, add_size, say

HELP = "frames a second and latency of the streaming path"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the options."""
    parser.add_argument("--models", nargs="+", default=["identity", "pushpull"], help="models to measure with")
    add_size(parser, 512, of="a frame")
    parser.add_argument("--rounds", type=int, default=7, help="turns of each contender")
    parser.add_argument("--seconds", type=float, default=2.0, help="length of a turn")
    parser.add_argument("--threads", type=int, default=1, help="threads of the runtime, for floor and service alike")
    add_data_dir(parser, "where the recordings go")
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run it and print its table."""
    from scanmend.bench.stream import bench_stream

    results = bench_stream(
        models=arguments.models,
        size=arguments.size,
        rounds=arguments.rounds,
        seconds=arguments.seconds,
        threads=arguments.threads,
        data_dir=arguments.data_dir,
        report=say,
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
