"""Room on the disks: how much is free, when it is used up, and whether an export may take some of it."""

from __future__ import annotations

import os
import shutil
from collections import deque
from dataclasses import dataclass
from pathlib import Path

WINDOW_S = 300.0
"""The rate at which a disk fills is that of the last minutes."""

LEAST_WINDOW_S = 60.0
_STEP_S = 5.0
_FAR_S = 30 * 86400.0
"""What is further off is not worth a number."""

LEFT_BYTES = 1 << 30
"""Exports leave this room and that of the setting `free_bytes` to the recordings on the same disk."""

LEFT_ELSEWHERE_BYTES = 64 << 20
"""On a disk without recordings they leave this much."""


@dataclass(frozen=True, slots=True)
class Room:
    """A disk."""

    free_bytes: int
    total_bytes: int


def room_on(folder: Path) -> Room | None:
    """The disk of a folder, or of the nearest one above it that is there; None where it cannot be asked."""
    for each in (folder, *folder.resolve().parents):
        try:
            usage = shutil.disk_usage(each)
        except FileNotFoundError:
            continue
        except OSError:
            return None
        return Room(usage.free, usage.total)
    return None


def left_bytes(exports: Path, recordings: Path, reserve_bytes: int) -> int:
    """The room that an export must leave to others: more where recordings need it.

    Args:
        exports: The folder of exports, which is there.
        recordings: The data folder.
        reserve_bytes: `free_bytes` of the settings.
    """
    try:
        same = os.stat(exports).st_dev == os.stat(recordings).st_dev
    except OSError:
        same = True
    return reserve_bytes + LEFT_BYTES if same else LEFT_ELSEWHERE_BYTES


class Forecast:
    """When a disk is full at the present rate."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque()

    def add(self, now_s: float, free_bytes: int) -> None:
        """Take the free room of now; called as often as one likes."""
        if self._samples and now_s - self._samples[-1][0] < _STEP_S:
            return
        self._samples.append((now_s, free_bytes))
        while self._samples[-1][0] - self._samples[0][0] > WINDOW_S:
            self._samples.popleft()

    @property
    def full_in_s(self) -> float | None:
        """Seconds from now on; None where the disk does not fill, fills slowly, or was not watched for a minute."""
        if not self._samples:
            return None
        (began_s, before), (now_s, free) = self._samples[0], self._samples[-1]
        if now_s - began_s < LEAST_WINDOW_S or free >= before:
            return None
        seconds = free * (now_s - began_s) / (before - free)
        return seconds if seconds < _FAR_S else None
