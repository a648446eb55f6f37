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
_File = tuple[int, int]  # device and number: what jobs share is one file


@dataclass(frozen=True)
class Quota:
    """Ended jobs are kept for `days`, and while all of them have at most `size` bytes; the newest stay."""

    days: float = math.inf
    size: float = math.inf


@dataclass(frozen=True)
class Leaving:
    """A job that a quota has no place for; `size` are the bytes that go with it, of shared ones with the newest."""

    id: str
    name: str
    days: float
    size: int


def choose(table: JobTable, quota: Quota) -> list[Leaving]:
    """The jobs that have to go, oldest first. Those that wait or run are never among them."""
    leaving, stays, total = [], set[_File](), 0
    now = time.time()
    for status, submitted in table.ended():  # newest first
        files = _files(table.folder(status.id))
        days = (now - submitted) / DAY
        more = sum(size for file, size in files.items() if file not in stays)
        if days > quota.days or total + more > quota.size:
            leaving.append((status, days, files))
        else:
            stays |= files.keys()
            total += more
    said = []
    for status, days, files in leaving:
        freed = sum(size for file, size in files.items() if file not in stays)
        stays |= files.keys()  # said once
        said.append(Leaving(status.id, status.name, days, freed))
    return said[::-1]


def collect(table: JobTable, quota: Quota) -> list[Leaving]:
    """Delete the jobs that have to go; which they were."""
    leaving = choose(table, quota)
    for job in leaving:
        table.delete(job.id)
    return leaving


def _files(folder: Path) -> dict[_File, int]:
    """The bytes of every file below a folder."""
    found = {}
    for place, _folders, files in os.walk(folder):
        for name in files:
            with suppress(OSError):
                said = os.lstat(Path(place, name))
                found[said.st_dev, said.st_ino] = said.st_size
    return found
