"""Things of the scene that stand in the cloth at rest: they come in from aside, and take it with them.

A skirt may hang through the seat of the chair before which its wearer stands, or on which she sits when the shot
begins. Above and below the seat cloth would stay on its side of it, and be stretched through it for good.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.spatial import cKDTree

from ..mesh.kernels import point_normals
from ..mesh.surface import Obstacle
from .kernels import Pose
from .preroll import ARRIVAL, Preroll
from .surroundings import Surroundings

FURTHEST = 1.0  # metres that something comes in from; what would need more is the ground, or a room
BESIDE = 0.02  # metres from the cloth that it begins at


def aside(cloth: np.ndarray, obstacle: Obstacle, scene: int) -> np.ndarray:
    """Offsets (C,3) of the last `scene` points of an obstacle of one frame, with which none of them is in the cloth.

    Each thing goes the shortest way along an axis; one that `cloth` (P,3) is not in, and one that is large, stays.
    """
    offsets = np.zeros((scene, 3), np.float32)
    if obstacle.part is None or scene == 0:
        return offsets
    surface, first = obstacle.at(0), obstacle.vertices.shape[1] - scene
    low, high = cloth.min(0) - BESIDE, cloth.max(0) + BESIDE
    for number in np.unique(obstacle.part[first:]):
        own = first + np.flatnonzero(obstacle.part[first:] == number)
        points = surface.points[own]
        inside = cloth[((cloth > points.min(0)) & (cloth < points.max(0))).all(1)]
        if len(inside) == 0:
            continue
        if not (surface.heights(inside, own[cKDTree(points).query(inside)[1]])[0] < 0).any():
            continue
        ways = np.stack([high - points.min(0), points.max(0) - low])  # up along each axis, down along each
        down, axis = divmod(int(ways.argmin()), 3)
        if ways[down, axis] <= FURTHEST:
            offsets[own - first, axis] = (1 - 2 * down) * ways[down, axis]
    return offsets


class WayIn:
    """Where skin and body are at the steps of a way in and of the shot after it; arguments as of `solver.run`."""

    def __init__(self, preroll: Preroll, skinned: np.ndarray, rest: np.ndarray, around: Surroundings) -> None:
        self.preroll, self.skinned, self.rest, self.around = preroll, skinned, rest, around
        self.offsets = np.zeros((around.colliders, 3), np.float32)
        if around.obstacle is not None and around.colliders and preroll.count:
            first = self.pose(0)
            self.offsets = aside(first.skin, replace(around.obstacle, vertices=first.body[None]), around.colliders)

    def pose(self, step: int) -> Pose:
        """Skin and body at a step; step `preroll.count` is the shot's first frame."""
        preroll, obstacle, scene = self.preroll, self.around.obstacle, self.around.colliders
        skin = preroll.at(self.skinned, self.rest, step)
        if obstacle is None:
            nothing = np.zeros((0, 3), np.float32)
            return Pose(skin, nothing, nothing)
        body = preroll.at(obstacle.vertices, obstacle.rest, step)
        if scene and step < preroll.count:
            done = min(1.0, step / (ARRIVAL * preroll.count))
            left = np.float32(1 - done * done * (3 - 2 * done))
            body[-scene:] = preroll.at(obstacle.vertices[:1, -scene:], None, step) + left * self.offsets
        return Pose(skin, body, point_normals(body, obstacle.faces))
