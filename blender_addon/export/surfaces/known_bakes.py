# SPDX-License-Identifier: GPL-3.0-or-later
"""Baked pictures of earlier exports, in a folder of the user's; the oldest go when it grows."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import bpy
import numpy as np

from ani3d_formats.atomic import atomic_path

MOST_BYTES = 1 << 29


def folder() -> Path | None:
    """Where bakes are kept; None where there is no such place."""
    try:
        extension = ".".join(__package__.split(".")[:3])
        return Path(bpy.utils.extension_path_user(extension, path="bakes", create=True))
    except (ValueError, OSError):
        return None


def find(name: str) -> np.ndarray | None:
    """The picture of this name, if it is there and whole."""
    place = folder()
    if place is None:
        return None
    path = place / f"{name}.npy"
    try:
        picture = np.load(path, allow_pickle=False)
        os.utime(path)  # used now
        return picture if isinstance(picture, np.ndarray) else None
    except (OSError, ValueError, EOFError):
        return None


def keep(name: str, picture: np.ndarray) -> None:
    """Store a picture; a disk that does not take it is no error."""
    place = folder()
    if place is None:
        return
    with suppress(OSError):
        with atomic_path(place / f"{name}.npy") as partial, open(partial, "wb") as file:
            np.save(file, picture)
        _forget_oldest(place)


def _forget_oldest(place: Path) -> None:
    files = sorted(place.glob("*.npy"), key=lambda path: path.stat().st_mtime, reverse=True)
    total = 0
    for path in files:
        total += path.stat().st_size
        if total > MOST_BYTES:
            path.unlink()
