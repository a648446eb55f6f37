"""A motion of another program on a character of ours: a new shot."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from ani3d_formats.names import safe_name
from ani3d_formats.shot import Shot

from ..motions.motion import Motion
from ..motions.retarget import Moved, retarget


def import_motion(
    motion: Motion, shot: Shot, out: Path, *, contact: bool = True, at_start: bool = True, follow: bool = False
) -> tuple[Shot, Moved]:
    """Write `shot` with the motion of a file to `out`.

    Args:
        contact, at_start: see `retarget`.
        follow: the camera goes along with the hips, level.

    Raises:
        Ani3DError: ``motion.file``; ``disk.full``, ``file.unwritable``.
    """
    moved = retarget(motion, shot, contact=contact, at_start=at_start)
    new = shot.moved(moved.bone_pose)
    if follow:
        new = _followed(shot, new)
    new = Shot(replace(new.meta, name=safe_name(out.stem)), new.arrays, new.textures)
    new.save(out)
    return new, moved


def _followed(shot: Shot, new: Shot) -> Shot:
    """The cameras moved as far as the character is from where it was in the same frame of the old shot."""
    at = np.minimum(np.arange(new.frames), shot.frames - 1)
    apart = (new["bone_pose"] - shot["bone_pose"][at])[:, :, :3, 3].astype(np.float64).mean(1) * [1, 1, 0]
    views = new["viewmats"].astype(np.float64)
    views[:, :3, 3] -= np.einsum("tij,tj->ti", views[:, :3, :3], apart)
    return Shot(new.meta, {**new.arrays, "viewmats": views.astype(np.float32)}, new.textures)
