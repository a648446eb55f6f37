# SPDX-License-Identifier: GPL-3.0-or-later
"""Which takes are dropped: cloth that exploded, was torn, or left the character."""

from __future__ import annotations

import numpy as np

from ani3d_formats.skinning import skin

from ..sentence import said

STRETCH = 1.6  # 99.5th percentile of edge length over rest length
LONGEST = 6.0  # the longest edge over its rest length
SPEED = 9.0  # metres a second against the skeleton, 99.5th percentile
SHORT = 1e-4  # metres: edges shorter than this at rest say nothing


def why_dropped(shot: dict[str, np.ndarray], truth: np.ndarray, loose: np.ndarray, fps: float) -> str:
    """What is wrong with the simulated vertices `truth` (T,V,3) of a shot, or nothing.

    `loose` (V,) says which vertices are simulated.
    """
    if not np.isfinite(truth).all():
        return "positions are not finite"
    faces = shot["faces"][loose[shot["faces"]].all(1)]
    edges = np.unique(np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1), axis=0)
    rest = np.linalg.norm(shot["vertices"][edges[:, 0]] - shot["vertices"][edges[:, 1]], axis=1)
    edges, rest = edges[rest > SHORT], rest[rest > SHORT]
    if len(edges):
        grown = np.linalg.norm(truth[:, edges[:, 0]] - truth[:, edges[:, 1]], axis=2) / rest
        if np.percentile(grown, 99.5) > STRETCH:
            return said("edges grow {times:.2f} times", times=np.percentile(grown, 99.5))
        if grown.max() > LONGEST:
            return said("an edge grew {times:.1f} times", times=grown.max())
    transforms = shot["bone_pose"] @ np.linalg.inv(shot["bone_rest"])
    rigid = skin(shot["vertices"][loose], shot["weight_indices"][loose], shot["weight_values"][loose], transforms)
    moved = np.diff(truth[:, loose], axis=0) - np.diff(rigid, axis=0).mean(1, keepdims=True)
    speed = np.percentile(np.linalg.norm(moved, axis=2), 99.5) * fps
    return said("cloth moves at {speed:.0f} m a second", speed=speed) if speed > SPEED else ""
