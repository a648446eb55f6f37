"""The playback files: what moves in a frame cache, packed as the points of one PC2, and what stands still as another.

Blender's Mesh Cache modifier plays a PC2 on its own, between frames too, but knows positions only. So each attribute
fills points of its own: N points with the first three numbers of every Gaussian, then, for attributes of
four, N/3 points with the fourth numbers, three to a point. Quaternions of consecutive frames lie in one hemisphere, so
that the point halfway between two frames is the rotation between them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .atomic import cannot_write
from .errors import Ani3DError
from .frames import FrameCache
from .pc2 import PC2Writer, read_pc2
from .progress import Progress

ROTATION = "rotation"


@dataclass(frozen=True)
class Block:
    """Where an attribute lies: the `first` point of its first three numbers, and that of its `fourth`, if any."""

    first: int
    fourth: int | None


@dataclass(frozen=True)
class Packing:
    """How the moving attributes of `count` Gaussians fill `points` points."""

    count: int
    points: int
    blocks: Mapping[str, Block]


def packing(cache: FrameCache, still: bool = False) -> Packing:
    """The packing of the attributes of `cache` that change, or of those that do not; without any it has no points."""
    count, points = cache.manifest.count, 0
    blocks = {}
    for name, array in sorted(cache.arrays.items()):
        if array.ndim == (2 if still else 3) and array.shape[-1] in (3, 4):
            fourth = points + count if array.shape[-1] == 4 else None
            blocks[name] = Block(points, fourth)
            points += count + (-(-count // 3) if fourth is not None else 0)
    return Packing(count, points, blocks)


def packed(packing: Packing, attributes: Mapping[str, np.ndarray]) -> np.ndarray:
    """One frame's points (P,3) float32 of its `attributes`, name -> (N,k)."""
    points = np.zeros((packing.points, 3), np.float32)
    for name, block in packing.blocks.items():
        points[block.first : block.first + packing.count] = attributes[name][:, :3]
        if block.fourth is not None:
            points[block.fourth :].reshape(-1)[: packing.count] = attributes[name][:, 3]
    return points


def playback_path(cache: FrameCache, still: bool = False) -> Path:
    """Where a playback file of `cache` lies: in its folder, named after what it was made of."""
    made_of = hashlib.sha256("".join(entry.sha256 for entry in cache.manifest.attributes).encode())
    return cache.path / f"playback-{made_of.hexdigest()[:12]}{'-still' if still else ''}.pc2"


def write_playback(cache: FrameCache, progress: Progress | None = None) -> Path:
    """Write the playback files of `cache` unless they are there; the path of what moves. Files made of an older cache
    there go away.

    Raises:
        Ani3DError: ``disk.full``, ``file.unwritable``, or ``cancelled`` by `progress`.
    """
    path, plan = playback_path(cache), packing(cache)
    own = {path, playback_path(cache, still=True)}
    for other in set(cache.path.glob("playback-*.pc2")) - own:
        with suppress(OSError):  # another Blender may read it
            other.unlink()
    if plan.points and not _is_whole(path, plan, cache.manifest.frames):
        _write_moving(cache, path, plan, progress)
    _write_still(cache)
    return path


def _write_moving(cache: FrameCache, path: Path, plan: Packing, progress: Progress | None) -> None:
    try:
        with PC2Writer(path, plan.points, cache.manifest.frame_start, cache.manifest.frames) as writer:
            before: np.ndarray | None = None
            for frame in range(cache.manifest.frame_start, cache.manifest.frame_end + 1):
                attributes = cache.frame(frame)
                if ROTATION in plan.blocks:
                    before = _in_one_hemisphere(attributes[ROTATION], before)
                    attributes[ROTATION] = before
                writer.write(packed(plan, attributes))
                if progress:
                    progress.advance()
    except OSError as error:
        raise cannot_write(path, error) from error


def _write_still(cache: FrameCache) -> None:
    path, plan = playback_path(cache, still=True), packing(cache, still=True)
    if not plan.points or _is_whole(path, plan, 1):
        return
    try:
        with PC2Writer(path, plan.points, cache.manifest.frame_start, 1) as writer:
            writer.write(packed(plan, cache.frame(cache.manifest.frame_start)))
    except OSError as error:
        raise cannot_write(path, error) from error


def _is_whole(path: Path, plan: Packing, frames: int) -> bool:
    try:
        return read_pc2(path).vertices.shape == (frames, plan.points, 3)
    except Ani3DError:  # missing, or cut when it was copied
        return False


def _in_one_hemisphere(quats: np.ndarray, before: np.ndarray | None) -> np.ndarray:
    """`quats` (N,4), each with the sign that brings it closest to the one `before`."""
    if before is None:
        return quats
    flipped = np.einsum("nk,nk->n", quats, before) < 0
    return np.where(flipped[:, None], -quats, quats)
