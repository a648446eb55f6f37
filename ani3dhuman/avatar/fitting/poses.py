"""Poses that a character may take, from its skeleton alone: what an avatar is fitted in, whatever the shot."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from ani3d_formats.shot import Shot
from ani3d_formats.skinning import skin

BEND = np.radians(8)  # standard deviation of a bone's turn about each axis
MOST = np.radians(20)


def tried_poses(shot: Shot, count: int, rng: np.random.Generator) -> np.ndarray:
    """Vertices (count,V,3) of the character: first at rest, then with every bone turned at random about its head."""
    rest = shot["bone_rest"].astype(np.float64)
    parents, bones = shot["bone_parents"], set(shot.meta.skeleton)
    transforms = np.tile(np.eye(4), (count, len(rest), 1, 1))
    for pose in transforms[1:]:
        done = np.zeros(len(rest), bool)
        while not done.all():
            ready = np.flatnonzero(~done & ((parents < 0) | done[parents]))
            for bone in ready if len(ready) else np.flatnonzero(~done):
                parent = parents[bone]
                if parent >= 0:
                    pose[bone] = pose[parent]
                    if bone in bones:
                        pose[bone] = pose[bone] @ _turned(rest[bone][:3, 3], rng)
                done[bone] = True
    vertices = skin(shot["vertices"], shot["weight_indices"], shot["weight_values"], transforms, shot.preserve_volume)
    return np.concatenate([shot["vertices"][None], vertices[1:]])


def _turned(head: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(4,4) of a random turn about a point."""
    turn = np.eye(4)
    turn[:3, :3] = Rotation.from_rotvec(np.clip(rng.normal(0, BEND, 3), -MOST, MOST)).as_matrix()
    turn[:3, 3] = head - turn[:3, :3] @ head
    return turn
