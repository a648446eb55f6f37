"""The rigid layer: what the skeleton alone says."""

from __future__ import annotations

import numpy as np

from ani3d_formats.progress import Progress
from ani3d_formats.shot import Shot
from ani3d_formats.skinning import skin


def pose_rigid(shot: Shot, progress: Progress) -> np.ndarray:
    """The rigid layer: skinned vertices (T,V,3), each object's as its Armature modifier blends bones."""
    transforms, preserve_volume = shot.skinning_transforms(), shot.preserve_volume
    vertices = np.empty((shot.frames, len(shot["vertices"]), 3), np.float32)
    for t in range(shot.frames):
        vertices[t] = skin(
            shot["vertices"], shot["weight_indices"], shot["weight_values"], transforms[t : t + 1], preserve_volume
        )[0]
        progress.advance()
    return vertices
