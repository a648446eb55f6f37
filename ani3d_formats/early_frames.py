"""Frames that can be seen while the rest is computed: a file that grows, of which a reader takes what is there.

Header, 16 bytes little-endian: ``ANI3EARLY\\0``, 2 bytes unused, frames that are ready (int32) counted from the first;
and after it all vertices of every frame, 3 float32 each; vertices are known from the shot.
"""

from __future__ import annotations

import struct
from pathlib import Path
from threading import Lock

import numpy as np

HEADER = struct.Struct("<10s2xi")
MAGIC = b"ANI3EARLY\0"
NAME = ".early"  # in a job's result folder, while it works


class EarlyFrames:
    """Writes such a file, at first with the frames `vertices` (T,V,3), of which none is ready."""

    def __init__(self, path: Path, vertices: np.ndarray) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "wb") as file:
            file.write(HEADER.pack(MAGIC, 0))
            for frame in vertices:
                file.write(np.ascontiguousarray(frame, "<f4").data)
        self._frames = np.memmap(path, "<f4", "r+", HEADER.size, vertices.shape)
        self._ready, self._lock = 0, Lock()

    def show(self, frame: int, rows: np.ndarray, places: np.ndarray) -> None:
        """Put the vertices `rows` (P,) of a frame at `places` (P,3); a frame is ready once it was shown.

        Several threads may do so.
        """
        with self._lock:
            self._frames[frame, rows] = places
            if frame >= self._ready:
                self._ready = frame + 1
                self._frames.flush()
                with open(self.path, "r+b") as file:
                    file.write(HEADER.pack(MAGIC, self._ready))


def ready_of(header: bytes) -> int:
    """How many frames are ready by the file's first bytes; 0 where they are no header."""
    if len(header) < HEADER.size:
        return 0
    magic, ready = HEADER.unpack(header[: HEADER.size])
    return ready if magic == MAGIC and ready > 0 else 0
