"""What a store may forget: jobs that ended long ago, and the oldest of them while it is larger than it may be."""

from __future__ import annotations

import math
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from .job_table import JobTable

DAY = 86_400.0


@dataclass(frozen=True)
class Quota:
    """Ended jobs are kept for `days`, and while all of them have at most `size` bytes; the newest stay."""

    days: float = math.inf
    size: float = math.inf


@dataclass(frozen=True)
class Leaving:
    """A job that a quota has no place for."""

    id: str
    name: str
    days: float
    size: int


def choose(table: JobTable, quota: Quota) -> list[Leaving]:
    """The jobs that have to go, oldest first. Those that wait or run are never among them."""
    leaving, total = [], 0
    now = time.time()
    for status, submitted in table.ended():  # newest first
        size = _size(table.folder(status.id))
        total += size
        days = (now - submitted) / DAY
        if days > quota.days or total > quota.size:
            leaving.append(Leaving(status.id, status.name, days, size))
            total -= size
    return leaving[::-1]


def collect(table: JobTable, quota: Quota) -> list[Leaving]:
    """Delete the jobs that have to go; which they were."""
    leaving = choose(table, quota)
    for job in leaving:
        table.delete(job.id)
    return leaving


def _size(folder: Path) -> int:
    """Bytes of all files below a folder; of those that several jobs have, one job's share."""
    total = 0
    for place, _folders, files in os.walk(folder):
        for name in files:
            with suppress(OSError):
                said = os.lstat(Path(place, name))
                total += said.st_size // max(1, said.st_nlink - 1)  # one more link is among the blobs
    return total
