"""The playback files: each attribute of a frame cache that changes as points of a PC2, what stands still as another.

Blender's Mesh Cache modifier plays a PC2 on its own, between frames too, but knows positions only. So each attribute
fills points of its own: N points with the first three numbers of every Gaussian, then, for attributes of
four, N/3 points with the fourth numbers, three to a point. Quaternions of consecutive frames lie in one hemisphere, so
that the point halfway between two frames is the rotation between them. Attributes have files of their own since
Blender reads several side by side.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .atomic import cannot_write
from .errors import Ani3DError
from .frames import FrameCache
from .pc2 import PC2Writer, read_pc2
from .progress import Progress

ROTATION = "rotation"
STILL, FOURTH = "still", "-fourth"  # the file of what does not change; ends the names of files of fourth numbers


@dataclass(frozen=True)
class Block:
    """Where an attribute lies in a file: the `first` point of its first three numbers, and of its `fourth`; None where
    the file has none of them."""

    first: int | None
    fourth: int | None


@dataclass(frozen=True)
class Packing:
    """How attributes of `count` Gaussians fill the `points` points of a file."""

    count: int
    points: int
    blocks: Mapping[str, Block]


def packings(cache: FrameCache) -> dict[str, Packing]:
    """The packing of each file: `STILL` of all attributes that never change, if any; by their names those that do, and
    with `FOURTH` behind it a file of the fourth numbers."""
    count, still, points, found = cache.manifest.count, dict[str, Block](), 0, dict[str, Packing]()
    for name, array in sorted(cache.arrays.items()):
        if array.shape[-1] not in (3, 4):
            continue
        thirds = -(-count // 3) if array.shape[-1] == 4 else 0
        if array.ndim == 2:
            still[name] = Block(points, points + count if thirds else None)
            points += count + thirds
            continue
        found[name] = Packing(count, count, {name: Block(0, None)})
        if thirds:
            found[name + FOURTH] = Packing(count, thirds, {name: Block(None, 0)})
    return ({STILL: Packing(count, points, still)} if still else {}) | found


def packed(packing: Packing, attributes: Mapping[str, np.ndarray]) -> np.ndarray:
    """One frame's points (P,3) float32 of its `attributes`, name -> (N,k)."""
    points = np.zeros((packing.points, 3), np.float32)
    for name, block in packing.blocks.items():
        if block.first is not None:
            points[block.first : block.first + packing.count] = attributes[name][:, :3]
        if block.fourth is not None:
            points[block.fourth :].reshape(-1)[: packing.count] = attributes[name][:, 3]
    return points


def playback_path(cache: FrameCache, file: str) -> Path:
    """Where the playback file of an attribute of `cache`, or `STILL`, lies: in its folder, named after what it was made
    of."""
    made_of = hashlib.sha256("".join(entry.sha256 for entry in cache.manifest.attributes).encode())
    return cache.path / f"playback-{made_of.hexdigest()[:12]}-{file.replace(':', '-')}.pc2"


def write_playback(cache: FrameCache, progress: Progress | None = None) -> list[Path]:
    """Write the playback files of `cache` unless they are there; their paths. Files made of an older cache there go
    away.

    Raises:
        Ani3DError: ``disk.full``, ``file.unwritable``, or ``cancelled`` by `progress`.
    """
    plans = packings(cache)
    paths = {name: playback_path(cache, name) for name in plans}
    for other in set(cache.path.glob("playback-*.pc2")) - set(paths.values()):
        with suppress(OSError):  # another Blender may read it
            other.unlink()
    moving = range(cache.manifest.frame_start, cache.manifest.frame_end + 1)
    missing = {
        name: plan
        for name, plan in plans.items()
        if not _is_whole(paths[name], plan, 1 if name == STILL else len(moving))
    }
    still = missing.pop(STILL, None)
    if missing:
        _write(cache, {paths[name]: plan for name, plan in missing.items()}, moving, progress)
    if still:
        _write(cache, {paths[STILL]: still}, moving[:1], None)
    return list(paths.values())


def _write(cache: FrameCache, files: Mapping[Path, Packing], frames: range, progress: Progress | None) -> None:
    try:
        with ExitStack() as stack:
            writers = [
                (stack.enter_context(PC2Writer(path, plan.points, frames.start, len(frames))), plan)
                for path, plan in files.items()
            ]
            before: np.ndarray | None = None
            for frame in frames:
                attributes = cache.frame(frame)
                if ROTATION in attributes:
                    before = attributes[ROTATION] = _in_one_hemisphere(attributes[ROTATION], before)
                for writer, plan in writers:
                    writer.write(packed(plan, attributes))
                if progress:
                    progress.advance()
    except OSError as error:
        raise cannot_write(next(iter(files)), error) from error


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
