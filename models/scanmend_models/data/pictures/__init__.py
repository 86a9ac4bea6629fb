"""Pictures without noise: drawn ones by kind, and quiet real micrographs."""

from scanmend_models.data.pictures.drawn import KINDS, draw
from scanmend_models.data.pictures.micrographs import Micrograph, Use, read_micrographs, use_of

__all__ = ["KINDS", "Micrograph", "Use", "draw", "read_micrographs", "use_of"]
