"""How an engine is: what it uses and what it has left, in numbers that travel with its welcome."""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from .processes import available_memory, resident

LITTLE_GB = 1.0  # free on the store's disk, below which jobs are likely to fail
LITTLE_MEMORY_MB = 1000.0


class _Count(logging.Handler):
    """Counts what the engine logs as an error."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.errors = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.errors += 1


class Health:
    """Of the engine in this process, from now on."""

    def __init__(self, store: Path) -> None:
        self._store, self._since, self._count = store, time.monotonic(), _Count()
        logging.getLogger("engine").addHandler(self._count)

    def report(self, running: int) -> dict[str, Any]:
        """Numbers by name; `running` is how many jobs do. What the system does not say is left out."""
        said: dict[str, Any] = {"up_s": round(time.monotonic() - self._since, 1), "running": running}
        said["errors"] = self._count.errors
        if used := resident(os.getpid()):
            said["memory_mb"] = round(used / 1e6, 1)
        with suppress(OSError):
            said["free_gb"] = round(shutil.disk_usage(self._store).free / 1e9, 3)
        if (free := available_memory()) is not None:
            said["free_memory_mb"] = round(free / 1e6, 1)
        return said


def told(health: Mapping[str, Any]) -> str:
    """A health report as one line, of what it has."""
    wordings = {
        "up_s": lambda seconds: f"up {seconds / 3600:.1f} h",
        "errors": lambda number: f"{number} errors in its log",
        "memory_mb": lambda size: f"has {size:.0f} MB",
        "free_gb": lambda size: f"{size:.1f} GB free",
        "free_memory_mb": lambda size: f"{size:,.0f} MB of memory free",
    }
    return "; ".join(say(health[name]) for name, say in wordings.items() if name in health)


def complaints(health: Mapping[str, Any]) -> list[str]:
    """What somebody should look at, one sentence each."""
    found = []
    if health.get("free_gb", LITTLE_GB) < LITTLE_GB:
        found.append(f"The store's disk has {health['free_gb']:.2f} GB left: delete jobs, or see `gc`.")
    if health.get("free_memory_mb", LITTLE_MEMORY_MB) < LITTLE_MEMORY_MB:
        found.append(f"The machine has {health['free_memory_mb']:.0f} MB of memory left.")
    return found
