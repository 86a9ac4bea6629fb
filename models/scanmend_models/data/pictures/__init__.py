"""Pictures without noise: drawn ones by kind, and quiet real micrographs."""

from scanmend_models.data.pictures.drawn import KINDS, draw
from scanmend_models.data.pictures.micrographs import Micrograph, is_held_out, read_micrographs

__all__ = ["KINDS", "Micrograph", "draw", "is_held_out", "read_micrographs"]
