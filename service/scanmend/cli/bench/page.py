"""`scanmend bench page`: what browsers cost the microscope, and how fast the page paints."""

from __future__ import annotations

import argparse
import json

from scanmend.cli.bench.shared import add_data_dir, add_json, add_size, add_threads, say

HELP = "what browsers cost the microscope, and how fast the page paints"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the options."""
    parser.add_argument("--model", default="pushpull", help="the model that restores")
    add_size(parser, 512, of="a frame")
    parser.add_argument("--browsers", type=int, default=4, help="how many watch")
    parser.add_argument("--rounds", type=int, default=3, help="turns with and without browsers")
    parser.add_argument("--seconds", type=float, default=6.0, help="length of a turn")
    add_threads(parser, 1)
    add_data_dir(parser, "of the service")
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run it and print its table."""
    from scanmend.bench.page import bench_page

    found = bench_page(
        model=arguments.model,
        size=arguments.size,
        browsers=arguments.browsers,
        rounds=arguments.rounds,
        seconds=arguments.seconds,
        threads=arguments.threads,
        data_dir=arguments.data_dir,
        report=say,
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
