"""Scanmend: makes every electron of a scanning electron microscope count.

The public names are loaded when they are first used, so that a program that only makes scan plans does not
load ZeroMQ or a runtime.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from scanmend._version import __version__

if TYPE_CHECKING:
    from scanmend.client import AsyncClient, Client
    from scanmend.engine.restorer import Restorer
    from scanmend.errors import ScanmendError
    from scanmend.exposure import Exposure
    from scanmend.field import Capabilities, Channel, DetectorKind, Field
    from scanmend.frame import Frame
    from scanmend.plan import ScanPlan
    from scanmend.restoration import Restoration

_HOME = {
    "AsyncClient": "scanmend.client",
    "Client": "scanmend.client",
    "Restorer": "scanmend.engine.restorer",
    "ScanmendError": "scanmend.errors",
    "Exposure": "scanmend.exposure",
    "Capabilities": "scanmend.field",
    "Channel": "scanmend.field",
    "DetectorKind": "scanmend.field",
    "Field": "scanmend.field",
    "Frame": "scanmend.frame",
    "ScanPlan": "scanmend.plan",
    "Restoration": "scanmend.restoration",
}

__all__ = [
    "AsyncClient",
    "Capabilities",
    "Channel",
    "Client",
    "DetectorKind",
    "Exposure",
    "Field",
    "Frame",
    "Restoration",
    "Restorer",
    "ScanPlan",
    "ScanmendError",
    "__version__",
]


def __getattr__(name: str) -> Any:
    """Load a public name from the module that defines it."""
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'scanmend' has no attribute {name!r}")
