"""Pins that give way: what the skeleton holds in the body would hold the free cloth or hair beside it there too.

A braid's roots may begin in the neck, and turn into it with the head: a free ring a centimetre further cannot come out.
The pinned shoulders of a coat sink into the upper arms that come down, and a free row is pushed out of them beside one
that stays.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from ..mesh.kernels import heights_over, limit_edges
from ..mesh.surface import Contacts
from ..mesh.windings import windings
from .constraints import Constraints
from .kernels import Pose

BESIDE, OF_GARMENTS = 2, 5  # edges from what is free, over which roots, and pins of garments, may give way
CLEAR, OF_CLOTH = 0.001, 0.002  # metres from the body that are enough; less where there is less at rest
HIGHER = 0.1  # of their distance at rest that pins of garments keep beyond that, so that layers stay in order
SHARE, OF_PINS = 0.5, 0.3  # of the shortest edge to what is free: the furthest that roots, and pins, are in the body
DEEPEST, DEEPEST_OF_GARMENTS = 0.03, 0.06  # metres in the body from which on pins stay: something went through them
BEGINS, ABOUT = 0.02, 0.1  # metres in the body at rest, from which on pins of garments give way; about which others do
FADING = 0.01  # metres before that, over which pins of garments give way less
STEEP, TURNS = 1.2, 3  # times the way between two places, by which heights that are right may differ; rounds of asking
HEAVY = 0.05  # times that of its neighbours, the mobility of what gives way, so that these come along
LONG = 1.1  # times its rest, that an edge between pins may become for it
PASSES, ROUNDS = 8, 12  # of giving way, and of holding together in each


class Giving:
    """Those of P particles' pins that may give way, and how far from the body they are to stay.

    Of garments those alone do that begin deep in the body, and what is about them. The first free row goes with them:
    where the skeleton has it in the body, they come out as far as it cannot without them.
    """

    def __init__(self, hair: bool, contacts: Contacts, constraints: Constraints, rest: np.ndarray, pose: Pose) -> None:
        """`rest`: (P,3) metres; `pose`: where the way in begins."""
        self.contacts, self.hair, self.deepest = contacts, hair, DEEPEST if hair else DEEPEST_OF_GARMENTS
        edges, pinned, far = constraints.edges, constraints.pinned, BESIDE if hair else OF_GARMENTS
        self.freedom = np.where(pinned, 0, 1).astype(np.float32)
        for ring in range(far if contacts.obstacle else 0):
            touched = edges[(self.freedom[edges] > 0).any(1)]
            self.freedom[touched[self.freedom[touched] == 0]] = 1 - ring / far
        loose = edges[pinned[edges].sum(1) == 1]
        asked = pinned.copy()
        if contacts.obstacle and not hair:
            asked[loose] = True
        self.freedom[~asked] = 0
        self._choose(constraints, asked)
        if not hair and len(self.rows):
            self.freedom[~self._about_what_begins_inside(constraints, pose)] = 0
            self._choose(constraints, asked)
        self.kept = np.zeros(len(self.rows))
        if len(self.rows) == 0:
            return
        shortest = np.full(len(rest), np.inf)
        for end in loose.T:
            np.minimum.at(shortest, end, np.linalg.norm(rest[loose[:, 0]] - rest[loose[:, 1]], axis=1))
        shortest[~pinned] = 0
        height = self._heights(pose.skin[self.rows], pose)[0]
        most = CLEAR if hair else OF_CLOTH + HIGHER * np.maximum(height, 0)
        self.kept = np.maximum(np.minimum(height, most), -(SHARE if hair else OF_PINS) * shortest[self.rows])

    def _choose(self, constraints: Constraints, asked: np.ndarray) -> None:
        """Take what has freedom as `rows`, with the edges between what is `asked` (P,) bool that hold it together."""
        edges = constraints.edges
        self.rows = np.flatnonzero(self.freedom > 0)
        self.near = np.zeros(len(self.rows), np.int64)
        between = asked[edges].all(1) & (self.freedom[edges] > 0).any(1)
        self.edges, self.edge_rest = edges[between], constraints.edge_rest[between]
        self.held = constraints.pinned[self.edges].all(1)
        number = np.full(len(self.freedom), -1)
        number[self.rows] = np.arange(len(self.rows))
        self.beside = number[self.edges[(number[self.edges] >= 0).all(1)]]

    def _about_what_begins_inside(self, constraints: Constraints, pose: Pose) -> np.ndarray:
        """(P,) bool: pins that are deep in the body at rest, and what is about them."""
        height = self._heights(pose.skin[self.rows], pose)[0]
        deep = self.rows[(height < -BEGINS) & constraints.pinned[self.rows]]
        turns = windings(pose.body, self._body_faces(pose), pose.skin[deep])
        about = np.zeros(len(self.freedom), bool)
        deep = deep[(turns > 0.5) & (turns < 1.5)]
        if len(deep):
            about[self.rows] = cKDTree(pose.skin[deep]).query(pose.skin[self.rows])[0] < ABOUT
        return about

    def _body_faces(self, pose: Pose) -> np.ndarray:
        faces = self.contacts.faces
        return faces[faces[:, 0] < len(pose.body) - self.contacts.scene]

    def given(self, pose: Pose) -> Pose:
        """`pose`, with the skin's pins out of the body; where the body passes through itself they stay."""
        if len(self.rows) == 0:
            return pose
        height, away = self._heights(pose.skin[self.rows], pose)
        lack = self.kept - height
        sunk = np.flatnonzero((lack > 0) & (height > -self.deepest))
        turns = windings(pose.body, self._body_faces(pose), pose.skin[self.rows[sunk]])
        sunk = sunk[((turns > 0.5) | (not self.hair)) & (turns < 1.5)]
        if len(sunk) == 0:
            return pose
        skin, rows, push = pose.skin.copy(), self.rows[sunk], lack[sunk]
        if self.hair:
            skin[rows] += (push[:, None] * away[sunk]).astype(np.float32)
            return pose._replace(skin=skin)
        fade = np.minimum((height[sunk] + self.deepest) / FADING, 1)
        freedom = self.freedom.copy()
        freedom[rows] *= np.float32(HEAVY)
        edges = self.edges
        longest = np.float32(LONG) * self.edge_rest
        length = np.linalg.norm(skin[edges[:, 0]] - skin[edges[:, 1]], axis=1).astype(np.float32)
        longest[self.held] = np.maximum(longest, length)[self.held]
        for turn in range(PASSES):  # neighbours go along, so that nothing between is torn
            if turn:
                height, away = self._heights(skin[self.rows], pose)
                push = np.maximum((self.kept - height)[sunk], 0)
            skin[rows] += ((fade * push)[:, None] * away[sunk]).astype(np.float32)
            limit_edges(skin, freedom, edges, np.zeros_like(longest), longest, ROUNDS)
        return pose._replace(skin=skin)

    def _heights(self, places: np.ndarray, pose: Pose) -> tuple[np.ndarray, np.ndarray]:
        """Heights (N,) of places (N,3) of `rows` over the body, where they grow (N,3).

        Deep in a limb the nearest side is not told from the rim of an open mesh, and called outside. Of two neighbours
        whose heights differ by more than their distance the outer one is inside too.
        """
        self.near = self.contacts.nearest_to(places, pose.body, self.near)
        found = heights_over(places, self.near, pose.body, pose.normals, self.contacts.faces, *self.contacts.around)
        height, away = found
        apart = np.linalg.norm(places[self.beside[:, 0]] - places[self.beside[:, 1]], axis=1)
        for _ in range(0 if self.hair else TURNS):
            one, other = height[self.beside].T
            wrong = np.abs(one - other) > STEEP * apart + OF_CLOTH
            turned = np.unique(np.where(one > other, *self.beside.T)[wrong & (np.minimum(one, other) < 0)])
            turned = turned[height[turned] > 0]
            if len(turned) == 0:
                break
            height[turned], away[turned] = -height[turned], -away[turned]
        return height, away
