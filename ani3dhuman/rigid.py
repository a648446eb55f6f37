"""The rigid layer: what the skeleton alone says."""

from __future__ import annotations

import numpy as np

from ani3d_formats.progress import Progress
from ani3d_formats.shot import Shot
from ani3d_formats.skinning import skin


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
