"""What the processes of one service share on one machine: memory, doorbells, heartbeats, a folder for them.

Nothing here knows what a frame is. `RunDir` is made by the supervisor; `SlotRing` and `SlotPool` are owned by
one process and filled by another; a `Doorbell` carries the small messages that say which slot is ready; the
`HeartbeatBoard` tells who is still alive.
"""

from __future__ import annotations

from scanmend.ipc.doorbell import PEER_GONE, Doorbell, Listener, PeerGone, Sent
from scanmend.ipc.heartbeat import HeartbeatBoard
from scanmend.ipc.pool import Lease, SlotPool
from scanmend.ipc.ring import SlotRing
from scanmend.ipc.rundir import RunDir, remove_stale_run_dirs

__all__ = [
    "PEER_GONE",
    "Doorbell",
    "HeartbeatBoard",
    "Lease",
    "Listener",
    "PeerGone",
    "RunDir",
    "Sent",
    "SlotPool",
    "SlotRing",
    "remove_stale_run_dirs",
]
