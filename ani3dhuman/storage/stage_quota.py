"""Room for finished stages that many jobs share. No torch in here: the engine loads it and waits for requests."""

from __future__ import annotations

import shutil
from collections.abc import Set
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

LISTING = "stage.json"
ROOM = 20_000_000_000  # bytes of a shared folder where nobody says how many


@dataclass(frozen=True)
class SharedStages:
    """A folder of stages that many jobs share, also at the same time, and the bytes that all of them may have."""

    folder: Path
    room: int


def evict(folder: Path, room: int, kept: Set[str] = frozenset()) -> list[str]:
    """Remove the stages used longest ago until all have at most `room` bytes; their names. Never those in `kept`."""
    found = []
    for place in folder.glob("[!.]*"):
        with suppress(OSError):  # another process may be removing it too
            size = sum(file.stat().st_size for file in place.iterdir())
            found.append(((place / LISTING).stat().st_mtime, place, size))
    total, gone = sum(size for _, _, size in found), []
    for _, place, size in sorted(found):
        if total <= room:
            break
        if place.name not in kept:
            shutil.rmtree(place, ignore_errors=True)
            gone.append(place.name)
            total -= size
    return gone


def sweep(folder: Path, process: int | None = None) -> None:
    """Remove what a writer that was killed left in a shared folder; that of all of them only while none writes."""
    for partial in folder.glob(".*.partial" if process is None else f".*.{process}.partial"):
        shutil.rmtree(partial, ignore_errors=True)
