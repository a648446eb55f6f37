"""The body as an obstacle: a moving triangle mesh, and the places on it that cloth may touch."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numba import get_num_threads
from scipy.spatial import cKDTree

from .kernels import heights_over, point_normals
from .nearest import PointTree
from .places import FACING, NOWHERE, WITHIN, choose_places, may_touch

BEHIND = 0.01  # metres that a particle may be under a place that faces the nearest one
THICK, SHRINKS = 0.15, 6  # metres of radius of the largest ball in the body; steps in which it is made smaller
SPARSE = 0.1  # metres within which the nearest point of the scene is followed, whose points are far between
TRUSTED = 0.03  # metres in which nothing is touched, reckoned with at most: further off another place is nearest
CLEARANCE = 0.008  # metres kept from the body, unless the coarse layer is closer already
MIN_CLEARANCE = 0.003  # metres kept even where the coarse layer is closer or inside


@dataclass(frozen=True)
class Obstacle:
    """What the cloth must not enter.

    Attributes:
        vertices: (T,P,3) points of a moving triangle mesh, world metres; every point belongs to a face.
        faces: (F,3), outward by the right-hand rule; the mesh may be open, and may be loose triangles.
        rest: (P,3) the bind pose, from which the body comes into the first frame; None: it comes in that pose.
        deepest: metres under the surface beyond which a point is taken to belong to another side, and left alone.
        friction: (F,) share of the sliding over each face that is lost in 1/720 s, -1 where what slides knows it; None
            where it knows it everywhere.
        part: (P,) which thing of the scene each point belongs to, -1 for the body; None where all is one.
    """

    vertices: np.ndarray
    faces: np.ndarray
    rest: np.ndarray | None = None
    deepest: float = 0.08
    friction: np.ndarray | None = None
    part: np.ndarray | None = None

    @property
    def at_rest(self) -> np.ndarray:
        """(P,3) the bind pose, or the first frame where it comes in that."""
        return self.vertices[0] if self.rest is None else self.rest

    @classmethod
    def of_faces(cls, vertices: np.ndarray, faces: np.ndarray, rest: np.ndarray | None = None) -> Obstacle | None:
        """The part of a mesh (T,V,3) that `faces` (F,3) use; None without faces."""
        if len(faces) == 0:
            return None
        used, compact = np.unique(faces, return_inverse=True)
        return cls(vertices[:, used], compact.reshape(-1, 3), None if rest is None else rest[used])

    @cached_property
    def around(self) -> tuple[np.ndarray, np.ndarray]:
        """As of `triangles_around`."""
        return triangles_around(self.faces, self.vertices.shape[1])

    @cached_property
    def radii(self) -> np.ndarray:
        """(P,) metres, of the largest ball that touches each point from within: how thick a limb is there.

        Ma, Bae, Choi, "3D medial axis point approximation using nearest neighbors and the normal field" (2012).
        """
        points = np.ascontiguousarray(self.at_rest, np.float64)
        normals = point_normals(points.astype(np.float32), self.faces).astype(np.float64)
        tree, radii = cKDTree(points), np.full(len(points), THICK)
        for _ in range(SHRINKS):
            middles = points - radii[:, None] * normals
            away, near = tree.query(middles)
            across = points - points[near]
            towards = (across * normals).sum(1)
            smaller = (away < 0.99 * radii) & (towards > 1e-4)
            radii[smaller] = ((across**2).sum(1) / (2 * np.maximum(towards, 1e-4)))[smaller]
        return np.clip(radii, 0.002, THICK).astype(np.float32)

    def at(self, frame: int) -> Surface:
        """The surface of one frame."""
        return Surface.of(self.vertices[frame], self.faces, self.around, self.deepest)


def triangles_around(faces: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Triangles at each of `count` vertices: (P+1,) starts into (3F,) triangle indices."""
    corners = faces.ravel()
    counts = np.bincount(corners, minlength=count)
    return np.concatenate([[0], np.cumsum(counts)]), np.argsort(corners, kind="stable") // 3


@dataclass(frozen=True)
class Surface:
    """An obstacle in one frame: signed distances by the one rule that solver, limits and refinement share.

    The nearest point is found by a walk over the triangles from the nearest vertex (`kernels.nearest_around`), the side
    by the vertex normals interpolated there (`kernels.height_over`).

    Attributes:
        points: (P,3) float32 world metres; normals: (P,3) unit normals.
        faces, around, deepest: as of `Obstacle`.
        tree: finds the nearest of `points`.
    """

    points: np.ndarray
    faces: np.ndarray
    normals: np.ndarray
    around: tuple[np.ndarray, np.ndarray]
    tree: cKDTree
    deepest: float

    @classmethod
    def of(
        cls, points: np.ndarray, faces: np.ndarray, around: tuple[np.ndarray, np.ndarray], deepest: float
    ) -> Surface:
        """The surface with its corners at `points` (P,3); the rest as of `Obstacle`."""
        points = np.ascontiguousarray(points, np.float32)
        return cls(points, faces, point_normals(points, faces), around, cKDTree(points), deepest)

    def heights(self, places: np.ndarray, near: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Signed distances (Q,) float32 of `places` (Q,3), metres, negative inside; unit directions (Q,3) of growth.

        `near` (Q,) are the nearest points where they are known.
        """
        places = np.ascontiguousarray(places, np.float32)
        near = self.tree.query(places)[1] if near is None else near
        return heights_over(places, near, self.points, self.normals, self.faces, *self.around)

    def pushes(self, places: np.ndarray, wanted: np.ndarray | float) -> np.ndarray:
        """Offsets (Q,3) that bring `places` (Q,3) up to their `wanted` heights (Q,), metres; 0 for what is too deep."""
        heights, away = self.heights(places)
        return np.where(heights > -self.deepest, np.maximum(wanted - heights, 0), 0)[:, None] * away


def wanted_heights(heights: np.ndarray) -> np.ndarray:
    """Metres to keep from the body, for vertices that a coarse layer has at these heights: no more than they have."""
    return heights.clip(MIN_CLEARANCE, CLEARANCE)


class Contacts:
    """Places on the body for each particle: where it was nearest before, across from that, where it is now, will be.

    Kept places guard against passing through a limb; new ones notice another limb that comes near, or presses from the
    other side. Where there is a scene, its nearest place is one more: between a body and a chair each is asked.
    """

    def __init__(self, obstacle: Obstacle | None, free: np.ndarray, scene: int = 0) -> None:
        """For P particles, of which those that are `free` (P,) bool may touch an obstacle.

        `scene`: how many of the obstacle's points, the last ones, are no part of the body.
        """
        self.obstacle, self.rows, self.scene = obstacle, np.flatnonzero(free), scene
        self.faces = obstacle.faces.astype(np.int64) if obstacle else np.zeros((0, 3), np.int64)
        self.around = obstacle.around if obstacle else (np.zeros(1, np.int64), np.zeros(0, np.int64))
        self.fresh = True
        self.began: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None
        self.clear = np.zeros((len(free), (5 if scene else 4) if obstacle else 0), np.float32)
        self.near = np.zeros(self.clear.shape, np.int64)
        self.tree = PointTree(obstacle.at_rest) if obstacle else None
        self._known: list[tuple[np.ndarray, np.ndarray]] = []
        self._asked: tuple[np.ndarray, np.ndarray, tuple[np.ndarray, np.ndarray]] | None = None

    @property
    def places(self) -> np.ndarray:
        """The points of the obstacle that are followed; none before the first frame."""
        if self.obstacle is None or self.fresh:
            return np.zeros(0, np.int64)
        followed = np.zeros(self.obstacle.vertices.shape[1], bool)
        followed[self.near[self.rows]] = True
        return np.flatnonzero(followed)

    def nearest(self, x: np.ndarray, body: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Distances (N,) from `rows` of `x` (P,3) to the nearest points of the obstacle at `body` (Q,3), and these.

        Where a frame ends the next one begins: what was asked last is kept.
        """
        assert self.tree is not None
        rows = self.rows
        places = x[rows]
        if self._asked and self._asked[0] is body and np.array_equal(self._asked[1], places):
            return self._asked[2]
        guess = self.near[rows, self.clear[rows].argmin(1)]
        found = self.tree.nearest(places, body, self._boxes(body), guess)
        self._asked = body, places, found
        return found

    def nearest_to(self, places: np.ndarray, body: np.ndarray, guess: np.ndarray) -> np.ndarray:
        """The points (N,) of the obstacle, where it is at `body` (Q,3), that are nearest to `places` (N,3).

        `guess` (N,): as of `PointTree.nearest`.
        """
        assert self.tree is not None
        return self.tree.nearest(places, body, self._boxes(body), guess)[1]

    def _boxes(self, points: np.ndarray) -> np.ndarray:
        """Boxes of the tree for `points` (Q,3); where a frame ends the next one begins, so the last two are kept."""
        for known, boxes in self._known:
            if known is points:
                return boxes
        assert self.tree is not None
        boxes = self.tree.boxes_of(points)
        self._known = [*self._known[-1:], (points, boxes)]
        return boxes

    def touching(self, x: np.ndarray, body: np.ndarray, close: float) -> np.ndarray:
        """Which of `rows` (N,) bool may touch the body, at `body` (Q,3), since `update`.

        They came within `close` metres of a place that is followed; or they went so far against the body that they may
        have met a place that is not.
        """
        if self.began is None:
            return np.asarray(self.clear[self.rows].min(1) < close)
        return np.asarray(may_touch(self.rows, x, body, self.clear, np.float32(close), self.began))

    def follow(self, rows: np.ndarray, near: np.ndarray) -> None:
        """Follow nothing but the points `near` (N,) from now on, for particles `rows` (N,)."""
        self.near[rows], self.clear[rows] = near[:, None], NOWHERE
        self.clear[rows, 0] = 0

    def update(self, x: np.ndarray, ahead: np.ndarray, start: np.ndarray, end: np.ndarray, normals: np.ndarray) -> None:
        """Find the places for a frame: particles go from `x` to about `ahead` (P,3), the body from `start` to `end`.

        `normals` (Q,3) are the body's at the start.
        """
        if self.obstacle is None:
            return
        rows = self.rows
        assert self.tree is not None
        far, now = self.nearest(x, start)
        self.began = far, x[rows] - start[now], now
        then = self.tree.nearest(ahead[rows], end, self._boxes(end), now)[1]
        across, kept = np.full(len(rows), -1), np.empty_like(now)
        touching = far < WITHIN
        across[touching] = self.tree.across(
            x[rows[touching]], start, self._boxes(start), normals, now[touching], (float(WITHIN), float(FACING), BEHIND)
        )
        choose_places(rows, now, then, across, normals, self.fresh, self.near, self.clear, kept)
        self.fresh = False
        if self.scene:
            first = len(start) - self.scene
            scene = cKDTree(start[first:], balanced_tree=False, compact_nodes=False)
            away, point = scene.query(x[rows], distance_upper_bound=SPARSE, workers=get_num_threads())
            point = np.where(away < SPARSE, point + first, 0)
            twice = (point == kept) | (point == across) | (point == now) | (point == then)
            self.near[rows, 4], self.clear[rows, 4] = point, np.where(twice | (away >= SPARSE), NOWHERE, 0)
