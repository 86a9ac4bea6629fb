"""What is shipped: one entry a model, with the words of its card."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from scanmend_models.networks.identity import Identity
from scanmend_models.networks.pushpull import PushPull


@dataclass(frozen=True, slots=True)
class Entry:
    """A model of the catalogue, and how to build it."""

    name: str
    version: str
    kind: str
    """`classical`: an algorithm without weights; `learned`: a trained network."""
    summary: str
    """One plain sentence."""
    build: Callable[[], nn.Module]
    receptive_field_px: int
    """How far tiles have to overlap for a tiled restoration to agree with a whole one."""
    max_psnr_drop_db: float
    """Most that a faster arithmetic may lose against float32, on the runtime's own test picture."""
    max_abs_error_rel: float
    """Largest difference of a pixel from float32, over the range of the picture."""
    trained_on: str
    card: str
    licence: str = "BSD-3-Clause"
    more: dict[str, Any] = field(default_factory=dict)
    """Further fields of the manifest: rank, network, training, calibration, domain."""


IDENTITY = Entry(
    name="identity",
    version="1.0.0",
    kind="classical",
    summary="Gives the samples back as they came, and the mean of all samples where there are none.",
    build=Identity,
    receptive_field_px=0,
    max_psnr_drop_db=0.1,
    max_abs_error_rel=0.01,
    trained_on="nothing: classical, no weights",
    card="""\
How it works: a sampled pixel keeps its value, with the standard deviation of the noise model; every other pixel
gets the dwell-weighted mean of all samples, with their spread as its standard deviation.
What it is for: passing a picture through at almost no cost, comparing others with it, timing the path of a frame.
Where it fails: it restores nothing. Tiles of a large sparse field each get the mean of their own samples.
What it invents: nothing in sampled pixels; a flat grey elsewhere.
""",
)

PUSHPULL = Entry(
    name="pushpull",
    version="1.0.0",
    kind="classical",
    summary="Fills what was not sampled and smooths noise with a pyramid of local averages, and says how sure it is.",
    build=PushPull,
    receptive_field_px=128,
    max_psnr_drop_db=0.1,
    max_abs_error_rel=0.02,
    trained_on="nothing: classical, no weights",
    card="""\
How it works: samples are averaged over ever larger windows; from the coarsest on, each level predicts the next
finer one and is corrected by the samples there, by as much as their noise and their number deserve. How much detail
a level has is measured in the picture itself.
How good (PSNR in dB, mean of eight quiet real micrographs, 512x512, scaled to 0...1): without noise 30.5 on a
jittered grid of 1/20 (linear interpolation 29.6), 34.9 on 25 % random pixels (34.2), 23.5 on a spiral of 1/20 (22.7);
fully sampled 26.5, 28.2 and 30.8 at 2, 5 and 20 counts a pixel (the Gaussian of the best width 25.4, 27.6 and 30.5).
Nominal 95 % intervals hold 93 to 97 % of the pixels, 83 % on a spiral.
Where it fails: between the arms of a spiral its standard deviation is too small by about 1.6; it blurs what is finer
than the samples, and at few counts fine lattices a little more than the best Gaussian does. Regions of one field that
differ much are judged by their common mean.
What it invents: smooth transitions between samples; soft blotches where counts are few. On lattices it loses atoms:
of drawn oxide crystals 14 % of the whole columns looked vacant at 5 counts a pixel, 23 % on a grid of 1/20.
""",
)

CLASSICAL = {entry.name: entry for entry in (IDENTITY, PUSHPULL)}
"""Learned models come from the catalogue itself: `scanmend_models.learned`."""
