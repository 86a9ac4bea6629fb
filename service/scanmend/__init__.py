"""Scanmend: makes every electron of a scanning electron microscope count."""

from scanmend._version import __version__

__all__ = ["__version__"]
