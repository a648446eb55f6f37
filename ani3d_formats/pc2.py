"""PC2 point caches: deformed vertices per frame, as Blender's Mesh Cache modifier plays them.

Header, 32 bytes little-endian: ``POINTCACHE2\\0``, version 1 (int32), vertices (int32), first frame (float32),
frames per sample (float32), samples (int32); then samples x vertices x 3 float32.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .atomic import WrittenWhole, atomic_path
from .errors import Ani3DError

HEADER = struct.Struct("<12siiffi")
MAGIC = b"POINTCACHE2\0"


class PC2Writer(WrittenWhole):
    """Write a PC2 frame by frame; the file appears at `path` only when all `frames` were written.

    Args:
        path: where the file goes.
        vertex_count: vertices of every frame.
        start: scene frame of the first sample.
        frames: how many frames will be written.
    """

    def __init__(self, path: Path, vertex_count: int, start: int, frames: int) -> None:
        self.path, self.vertex_count, self.start, self.frames = Path(path), vertex_count, start, frames
        self.written = 0

    def write(self, vertices: np.ndarray) -> None:
        """Append one frame of vertices (V,3), metres. Raises `Ani3DError` ``pc2.shape``."""
        if vertices.shape != (self.vertex_count, 3) or self.written == self.frames:
            raise self._misused(f"frame {self.start + self.written} has vertices {vertices.shape}")
        self._file.write(np.ascontiguousarray(vertices, "<f4").data)
        self.written += 1

    @contextmanager
    def _write_whole(self) -> Iterator[None]:
        with atomic_path(self.path) as partial, open(partial, "wb") as self._file:
            self._file.write(HEADER.pack(MAGIC, 1, self.vertex_count, self.start, 1.0, self.frames))
            yield
            if self.written != self.frames:
                raise self._misused(f"the writer closed after {self.written} frames")

    def _misused(self, what: str) -> Ani3DError:
        return Ani3DError(
            "pc2.shape",
            f"In {self.path.name} {what}; expected {self.frames} frames of ({self.vertex_count}, 3).",
            "Write every frame of the range once, with the same vertices.",
        )


def write_pc2(path: Path, vertices: np.ndarray, start: int) -> None:
    """Write vertices (T,V,3), metres, whose first frame is scene frame `start`."""
    with PC2Writer(path, vertices.shape[1], start, len(vertices)) as writer:
        for frame in vertices:
            writer.write(frame)


@dataclass(frozen=True)
class PointCache:
    """A PC2 file opened for reading: `vertices` (T,V,3) float32 memory map, `start` scene frame of sample 0."""

    vertices: np.ndarray
    start: float
    rate: float


def read_pc2(path: Path) -> PointCache:
    """Open a PC2 file. Raises `Ani3DError` ``pc2.missing``, ``pc2.malformed`` or ``pc2.cut``."""
    path = Path(path)
    hint = "Make the cache again."
    if not path.is_file():
        raise Ani3DError("pc2.missing", f"There is no mesh cache {path}.", hint)
    with open(path, "rb") as file:
        head = file.read(HEADER.size)
    if len(head) < HEADER.size or not head.startswith(MAGIC):
        raise Ani3DError("pc2.malformed", f"{path} is not a PC2 file.", hint)
    _, version, vertex_count, start, rate, frames = HEADER.unpack(head)
    if version != 1 or vertex_count < 1 or frames < 1:
        raise Ani3DError(
            "pc2.malformed",
            f"{path} declares version {version}, {vertex_count} vertices, {frames} frames.",
            hint,
        )
    expected = HEADER.size + frames * vertex_count * 12
    if path.stat().st_size != expected:
        raise Ani3DError("pc2.cut", f"{path} has {path.stat().st_size} bytes, expected {expected}.", hint)
    vertices = np.memmap(path, "<f4", "r", HEADER.size, (frames, vertex_count, 3))
    return PointCache(vertices, start, rate)
