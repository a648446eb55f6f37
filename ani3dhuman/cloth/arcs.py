"""Body and skin on their way from one frame to the next: on arcs, as limbs turn, and not on straight lines.

On a straight line a leg that turns by 90 degrees is on half its way at .7 of its length, and thinner by as much.
"""

from __future__ import annotations

import math

import numpy as np

from ..mesh.kernels import point_normals
from ..mesh.vectors import dots
from .kernels import Pose

TURN = math.radians(24)  # that something may turn on a straight line; the sagitta of a lower leg is then 1 cm
MOST = 8  # parts of a frame


def stops(start: Pose, end: Pose, skin_faces: np.ndarray, body_faces: np.ndarray, places: np.ndarray) -> list[Pose]:
    """Poses from `start` to `end`, both included, between which nothing of the body turns by more than `TURN`.

    Args:
        skin_faces: (F,3) of the skin's positions; none where those have no faces, which then go straight.
        body_faces: (F,3) of the body's points; `places` those of them that cloth is near to.
    """
    before, after = start.normals[places], end.normals[places]
    sided = before.any(1) & after.any(1)
    cosine = float(dots(before, after)[sided].min(initial=1.0))
    count = min(math.ceil(math.acos(max(-1.0, min(1.0, cosine))) / TURN), MOST)
    if count < 2:
        return [start, end]
    ways = Arc.of(start.skin, end.skin, skin_faces), Arc.of(start.body, end.body, body_faces)
    between = []
    for k in range(1, count):
        skin, body = (way.at(k / count) for way in ways)
        between.append(Pose(skin, body, point_normals(body, body_faces)))
    return [start, *between, end]


class Arc:
    """The way of points (P,3): each on the arc that leads it to its end while it turns as the faces at it do."""

    def __init__(self, start: np.ndarray, way: np.ndarray, axis: np.ndarray, angle: np.ndarray) -> None:
        self.start, self.way, self.angle = start, way, angle[:, None]
        along = (way * axis).sum(1, keepdims=True) * axis
        self.across = way - along
        self.out = np.cross(self.across, axis)  # away from the middle of the turn

    @classmethod
    def of(cls, start: np.ndarray, end: np.ndarray, faces: np.ndarray) -> Arc:
        """From `start` to `end` (P,3), with faces (F,3); points without a face go straight."""
        count = len(start)
        turns = np.zeros((count, 3, 3))
        if len(faces):
            first, last = (_frames(points.astype(np.float64), faces) for points in (start, end))
            each = np.einsum("fij,fkj->fik", last, first)  # areas are in the frames' third axes
            for corner in range(3):
                for i in range(3):
                    for k in range(3):
                        turns[:, i, k] += np.bincount(faces[:, corner], each[:, i, k], count)
        axis, angle = _screws(turns)
        return cls(start.astype(np.float64), (end - start).astype(np.float64), axis, angle)

    def at(self, share: float) -> np.ndarray:
        """Places (P,3) float32 after a share of the way."""
        half = np.maximum(2 * np.sin(self.angle / 2), 1e-9)
        turn = self.angle * (share - 0.5)
        forth = np.where(self.angle > 1e-4, 0.5 + np.sin(turn) / half - share, 0)
        aside = np.where(self.angle > 1e-4, (np.cos(turn) - np.cos(self.angle / 2)) / half, 0)
        return (self.start + share * self.way + forth * self.across + aside * self.out).astype(np.float32)


def _frames(points: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(F,3,3) axes of faces as columns: along a side, across it, and the normal; without area nothing."""
    a, b, c = (points[faces[:, k]] for k in range(3))
    normal, side = np.cross(b - a, c - a), b - a
    area = np.linalg.norm(normal, axis=1, keepdims=True)
    size = np.linalg.norm(side, axis=1, keepdims=True)
    normal, side = normal / np.maximum(area, 1e-20), side / np.maximum(size, 1e-20)
    return np.stack([side, np.cross(normal, side), normal], 2) * np.sqrt(area)[:, :, None]


def _screws(turns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Axes (P,3), angles (P,) of the rotations nearest to matrices (P,3,3); no angle where those are nothing."""
    U, _, Vt = np.linalg.svd(turns)
    U[:, :, 2] *= np.sign(np.linalg.det(U @ Vt))[:, None]
    R = U @ Vt
    twice = np.stack([R[:, 2, 1] - R[:, 1, 2], R[:, 0, 2] - R[:, 2, 0], R[:, 1, 0] - R[:, 0, 1]], 1)
    sine = np.linalg.norm(twice, axis=1)
    angle = np.arctan2(sine, np.trace(R, axis1=1, axis2=2) - 1)
    angle = np.where((np.abs(turns).max((1, 2)) > 0) & (sine > 1e-6), angle, 0)
    return twice / np.maximum(sine, 1e-12)[:, None], angle
