"""Clients of the native protocol: one core without sockets, a blocking and an asyncio shell around it.

>>> with Client() as client, client.session("gold-1", Field(shape=(512, 512), pixel_size_nm=0.5)) as session:
...     session.send(image)                       # uint16, (512, 512)
...     for restored in session:
...         show(restored.image, restored.sigma)
"""

from scanmend.client.adaptive import AdaptiveScan, AsyncAdaptiveScan
from scanmend.client.adaptive_options import AdaptiveOptions
from scanmend.client.aio import AsyncClient, AsyncSession
from scanmend.client.options import SessionOptions
from scanmend.client.restored import Restored
from scanmend.client.stats import SessionStats
from scanmend.client.steps import AsyncStep, Step
from scanmend.client.sync import Client, Session

__all__ = [
    "AdaptiveOptions",
    "AdaptiveScan",
    "AsyncAdaptiveScan",
    "AsyncClient",
    "AsyncSession",
    "AsyncStep",
    "Client",
    "Restored",
    "Session",
    "SessionOptions",
    "SessionStats",
    "Step",
]
