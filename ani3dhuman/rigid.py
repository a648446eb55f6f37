"""The rigid layer: what the skeleton alone says."""

from __future__ import annotations

import numpy as np

from ani3d_formats.progress import Progress
from ani3d_formats.shot import Shot
from ani3d_formats.skinning import skin

SAME_SIZE = 0.1  # share by which bones may stretch before Gaussians do: they overlap enough for that


def pose_rigid(shot: Shot, progress: Progress) -> np.ndarray:
    """The rigid layer (T,V,3): skinned as each object's Armature modifier blends bones, or as recorded in Blender."""
    transforms, preserve_volume, recorded = shot.skinning_transforms(), shot.preserve_volume, shot.recorded
    vertices = np.empty((shot.frames, len(shot["vertices"]), 3), np.float32)
    for t in range(shot.frames):
        vertices[t] = skin(
            shot["vertices"], shot["weight_indices"], shot["weight_values"], transforms[t : t + 1], preserve_volume
        )[0]
        if recorded.any():
            vertices[t, recorded] = shot["recorded_vertices"][t]
        progress.advance()
    return vertices


def bone_sizes(shot: Shot) -> np.ndarray | None:
    """How many times larger than at rest bones make what they carry: (T,V) float32; None where all keep their size.

    Of a bone that stretches unevenly the largest stretch counts, so that no gaps open along it; vertices blend theirs.
    """
    stretch = np.linalg.norm(shot.skinning_transforms()[..., :3, :3], 2, (-2, -1))
    bones, weights = shot["weight_indices"], shot["weight_values"]
    if np.abs(stretch[:, np.unique(bones[weights > 0])] - 1).max() <= SAME_SIZE:
        return None
    return np.stack([(weights * now[bones]).sum(1) for now in stretch.astype(np.float32)])
