"""The side on which a particle leaves a thing of the scene that it got into: the one it came in by, until it is out.

Past the middle of a post the nearest side is another one: what a limb pressed into it would come out on both sides, and
the edge between would hold both ends in.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from ..mesh.kernels import heights_over
from ..mesh.places import NOWHERE
from ..mesh.surface import Contacts
from ..mesh.vectors import dots
from .kernels import Pose

SHALLOW = 0.0015  # metres in a thing, less than which the nearest side is the way out
# cosines between sides: alike, to leave by, across, against
SAME, ALONG, ASIDE, OPPOSITE = 0.7, 0.8, 0.3, -0.3


class Exits:
    """Ways out of the scene (P,3), unit vectors, 0 for what is in nothing; kept from frame to frame."""

    def __init__(self, contacts: Contacts, edges: np.ndarray, count: int) -> None:
        """For `count` particles that are joined by `edges` (E,2)."""
        self.contacts, self.edges, self.ways = contacts, edges, np.zeros((count, 3), np.float32)

    def lead(self, x: np.ndarray, start: Pose) -> None:
        """After `Contacts.update` at `x` (P,3): what is deep in a thing follows the side it leaves by, and the body."""
        contacts, obstacle = self.contacts, self.contacts.obstacle
        if obstacle is None or contacts.scene == 0:
            return
        first = len(start.body) - contacts.scene
        near, normals = contacts.near[:, -1], start.normals[first:]
        rows = contacts.rows[near[contacts.rows] >= first]
        height, away = heights_over(x[rows], near[rows], start.body, start.normals, contacts.faces, *contacts.around)
        inside = (height < 0) & (height > -obstacle.deepest)
        rows, height, away = rows[inside], height[inside], away[inside]
        before, self.ways = self.ways, np.zeros_like(self.ways)
        self.ways[rows] = np.where((height > -SHALLOW)[:, None] | ~before[rows].any(1)[:, None], away, before[rows])
        self._turn_aside(x, start.body[first:], normals)
        rows = rows[(height <= -SHALLOW) & (dots(self.ways[rows], away) < SAME)]
        if first and len(rows):
            tree = cKDTree(start.body[:first], balanced_tree=False, compact_nodes=False)
            skin = tree.query(x[rows])[1]
        for turn, row in enumerate(rows):
            out = first + np.flatnonzero(normals @ self.ways[row] > ALONG)
            far = np.linalg.norm(start.body[out] - x[row], axis=1)
            if far.min(initial=np.inf) > obstacle.deepest:
                self.ways[row] = 0
                continue
            contacts.clear[row, contacts.near[row] >= first] = NOWHERE
            contacts.near[row, 1], contacts.clear[row, 1] = out[far.argmin()], 0
            if first:
                contacts.near[row, -1], contacts.clear[row, -1] = skin[turn], 0

    def elsewhere(self, rows: np.ndarray, away: np.ndarray) -> np.ndarray:
        """Which of particles `rows` (N,) leave by another side than the nearest, whose direction is `away` (N,3)."""
        ways = self.ways[rows]
        return np.asarray(ways.any(1) & (dots(ways, away) < SAME))

    def _turn_aside(self, x: np.ndarray, points: np.ndarray, normals: np.ndarray) -> None:
        """Where ends of an edge would leave by opposite sides, the one nearest to a third side leaves by that."""
        assert self.contacts.obstacle is not None
        ends = self.ways[self.edges]
        for edge in self.edges[dots(ends[:, 0], ends[:, 1]) < OPPOSITE]:
            one, other = self.ways[edge]
            aside = np.flatnonzero((np.abs(normals @ one) < ASIDE) & (np.abs(normals @ other) < ASIDE))
            if one @ other > OPPOSITE or len(aside) == 0:
                continue
            far = np.linalg.norm(points[aside] - x[edge][:, None], axis=2)
            which, place = np.unravel_index(far.argmin(), far.shape)
            if far[which, place] < self.contacts.obstacle.deepest:
                self.ways[edge[which]] = normals[aside[place]]
