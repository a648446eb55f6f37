"""Roots of hair that give way: what the skeleton holds in the body would hold the free hair beside it there too.

A braid's roots may begin in the neck, and turn into it with the head: a free ring a centimetre further cannot come out.
"""

from __future__ import annotations

import numpy as np

from ..mesh.kernels import heights_over
from ..mesh.surface import Contacts
from ..mesh.windings import windings
from .constraints import Constraints
from .kernels import Pose

BESIDE = 2  # edges from what is free, over which roots may give way
CLEAR = 0.001  # metres from the body that are enough; less where there is less at rest
SHARE = 0.5  # of the shortest edge to what is free: the furthest that a root beside it is held in the body
DEEPEST = 0.03  # metres in the body from which on roots stay: something went through them


class Giving:
    """Those of P particles' roots that may give way, and how far from the body they are to stay."""

    def __init__(self, hair: bool, contacts: Contacts, constraints: Constraints, rest: np.ndarray, pose: Pose) -> None:
        """`hair`: else nothing gives way; `rest`: (P,3) metres; `pose`: where the way in begins."""
        self.contacts = contacts
        edges, beside = constraints.edges, ~constraints.pinned
        for _ in range(BESIDE if hair and contacts.obstacle else 0):
            touched = beside[edges].any(1)
            beside[edges[touched]] = True
        self.rows = np.flatnonzero(beside & constraints.pinned)
        self.kept = np.zeros(len(self.rows))
        if len(self.rows) == 0:
            return
        loose = edges[constraints.pinned[edges].sum(1) == 1]
        shortest = np.full(len(rest), np.inf)
        for end in loose.T:
            np.minimum.at(shortest, end, np.linalg.norm(rest[loose[:, 0]] - rest[loose[:, 1]], axis=1))
        before = np.minimum(self._heights(pose.skin[self.rows], pose)[0], CLEAR)
        self.kept = np.maximum(before, -SHARE * shortest[self.rows])

    def given(self, pose: Pose) -> Pose:
        """`pose`, with the skin's roots out of the body; where the body passes through itself they stay."""
        if len(self.rows) == 0:
            return pose
        height, away = self._heights(pose.skin[self.rows], pose)
        lack = self.kept - height
        sunk = np.flatnonzero((lack > 0) & (height > -DEEPEST))
        body = self.contacts.faces[self.contacts.faces[:, 0] < len(pose.body) - self.contacts.scene]
        turns = windings(pose.body, body, pose.skin[self.rows[sunk]])
        sunk = sunk[(turns > 0.5) & (turns < 1.5)]
        if len(sunk) == 0:
            return pose
        skin = pose.skin.copy()
        skin[self.rows[sunk]] += (lack[sunk, None] * away[sunk]).astype(np.float32)
        return pose._replace(skin=skin)

    def _heights(self, places: np.ndarray, pose: Pose) -> tuple[np.ndarray, np.ndarray]:
        near = self.contacts.nearest_to(places, pose.body)
        return heights_over(places, near, pose.body, pose.normals, self.contacts.faces, *self.contacts.around)
