"""Instruments of other makers: an adapter for each, relayed to the service in a process of its own.

`kit` says what an adapter is, `relay` runs one, `registry` finds them, `reducers` make samples of images.
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
from scanmend.sources.series import SeriesOptions
from scanmend.sources.terms import RelayOptions, SeriesReport

__all__ = [
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
