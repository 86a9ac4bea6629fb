"""Bridges to makers' own software: one loop for all of them, and what it asks of a microscope.

>>> with Client() as client:
...     receipt = Bridge(MyMicroscope(), client, BridgeOptions(budget_e_per_nm2=200)).run("gold-1")

It needs numpy, pyzmq, msgspec and xxhash, and nothing else that the package depends on.
"""

from scanmend.client.bridge.far import FarMicroscope
from scanmend.client.bridge.instrument import Described, Microscope
from scanmend.client.bridge.loop import Bridge, BridgeOptions
from scanmend.client.bridge.program import run_program

__all__ = ["Bridge", "BridgeOptions", "Described", "FarMicroscope", "Microscope", "run_program"]
