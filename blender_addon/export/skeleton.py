# SPDX-License-Identifier: GPL-3.0-or-later
"""The deforming bones: names, parents, rest matrices, and the evaluated pose of a frame.

Helper bones of a rig are left out; a bone's parent is its nearest ancestor that deforms.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import bpy
import numpy as np

from ani3d_formats.errors import Ani3DError

UNEVEN = 1e-3  # relative difference between a bone's axes that still counts as rounding


@dataclass(frozen=True)
class Rig:
    """Bone names, parents (-1 for a root), and rest matrices (B,4,4) and vectors (B,3) in armature space."""

    names: tuple[str, ...]
    parents: tuple[int, ...]
    rest: np.ndarray
    vectors: np.ndarray


@dataclass(frozen=True)
class RestPose:
    """World rest matrices (B,4,4) and lengths (B,) in metres, with the armature where it is at the first frame."""

    matrices: np.ndarray
    lengths: np.ndarray


def read_rig(armature: bpy.types.Object, warn: Callable[[str], None]) -> Rig:
    """The deforming bones of `armature`, parents before children as Blender keeps them."""
    bones = [bone for bone in armature.data.bones if bone.use_deform]
    if not bones:
        raise Ani3DError(
            "character.no_bones",
            f"'{armature.name}' has no deforming bone.",
            "Turn on Deform for the bones that do.",
        )
    bent = [bone.name for bone in bones if bone.bbone_segments > 1]
    if bent:
        warn(f"Bendy bones are skinned as straight ones: {', '.join(bent[:5])}{'...' if len(bent) > 5 else ''}.")
    rows = {bone.name: row for row, bone in enumerate(bones)}
    return Rig(
        names=tuple(rows),
        parents=tuple(_parent_row(bone, rows) for bone in bones),
        rest=np.array([bone.matrix_local for bone in bones], np.float64),
        vectors=np.array([bone.tail_local - bone.head_local for bone in bones], np.float64),
    )


def _parent_row(bone: bpy.types.Bone, rows: dict[str, int]) -> int:
    return next((rows[parent.name] for parent in bone.parent_recursive if parent.name in rows), -1)


def rest_pose(rig: Rig, evaluated: bpy.types.Object) -> RestPose:
    """Rest pose in world space, by the armature object's present transform."""
    world = np.array(evaluated.matrix_world, np.float64)
    return RestPose(world @ rig.rest, np.linalg.norm(rig.vectors @ world[:3, :3].T, axis=1))


def pose(rig: Rig, evaluated: bpy.types.Object, frame: int) -> np.ndarray:
    """World pose matrices (B,4,4) of the evaluated armature.

    Raises:
        Ani3DError: ``shot.non_uniform_bone_scale`` naming bone and frame.
    """
    world = np.array(evaluated.matrix_world, np.float64)
    local = np.array([evaluated.pose.bones[name].matrix for name in rig.names], np.float64)
    matrices = world @ local
    stretch = np.linalg.svd(matrices[:, :3, :3], compute_uv=False)
    uneven = np.flatnonzero(stretch[:, 0] > stretch[:, 2] * (1 + UNEVEN) + 1e-9)
    if len(uneven):
        largest, smallest = stretch[uneven[0], 0], stretch[uneven[0], 2]
        raise Ani3DError(
            "shot.non_uniform_bone_scale",
            f"Bone '{rig.names[uneven[0]]}' is scaled unevenly at frame {frame} "
            f"({largest:.3f} along one axis, {smallest:.3f} along another).",
            "Scale bones and the armature by the same amount on all three axes.",
        )
    return matrices
