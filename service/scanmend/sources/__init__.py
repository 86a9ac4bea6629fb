"""Instruments of other makers: an adapter for each, relayed to the service in a process of its own.

`kit` says what an adapter is, `relay` runs one and tells the way of a point, `registry` finds them, `reducers` make
samples of images.
"""

from scanmend.sources.kit import (
    Adapter,
    Event,
    Images,
    Instrument,
    Lost,
    Remark,
    Samples,
    ScanController,
    SeriesBegan,
    SeriesEnded,
    Source,
)
from scanmend.sources.problems import Code, Problem, ProblemLog
from scanmend.sources.relay import Relay
from scanmend.sources.terms import AdaptiveTerms, RelayOptions, SeriesOptions, SeriesReport

__all__ = [
    "AdaptiveTerms",
    "Adapter",
    "Code",
    "Event",
    "Images",
    "Instrument",
    "Lost",
    "Problem",
    "ProblemLog",
    "Relay",
    "RelayOptions",
    "Remark",
    "Samples",
    "ScanController",
    "SeriesBegan",
    "SeriesEnded",
    "SeriesOptions",
    "SeriesReport",
    "Source",
]
