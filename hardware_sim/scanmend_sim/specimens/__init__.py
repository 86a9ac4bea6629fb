"""Specimens: what the simulated microscope looks at."""

from scanmend_sim.specimens.base import LEAST_SIGNAL, Drawing, Specimen
from scanmend_sim.specimens.files import FileSpecimen, FolderSpecimen, default_folder
from scanmend_sim.specimens.registry import KINDS, DrawnSpecimen, load_specimen

__all__ = [
    "KINDS",
    "LEAST_SIGNAL",
    "DrawnSpecimen",
    "Drawing",
    "FileSpecimen",
    "FolderSpecimen",
    "Specimen",
    "default_folder",
    "load_specimen",
]
