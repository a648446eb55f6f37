"""Cloth where limbs pass through each other, which cannot be out of both.

Past the middle of a forearm that a thigh was raised through its nearest side is the far one: cloth would come out there
and hang over the arm when the thigh has left it. So what is not worn on the thinner limb leaves that by the side that
looks to the thicker one, from the moment in which they meet until it is out. A limb that goes in with its end first
comes through the cloth all the same, which cannot be so long. Just before the limbs part, what it has come through is
drawn off over its end.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.spatial import cKDTree

from ..mesh.kernels import heights_over
from ..mesh.places import NOWHERE
from ..mesh.surface import Contacts
from ..mesh.vectors import dots, lengths
from .constraints import Constraints
from .kernels import BY_END, BY_SIDE, Pose
from .limbs import APART, Passage, Skin

SQUEEZED = 0.003  # metres that two places which a particle is between lie in each other, from which on limbs may meet
SHALLOW = 0.0015  # metres in a limb, less than which the nearest side is the way out
NEAR = 0.05  # metres from a limb, in which cloth is watched
FACING, AGAINST = 0.3, -0.3  # cosines to the way out: of sides that look along it, and against it
SIDE = 0.5  # the same, of points that may be followed there
AHEAD, MOST = 0.2, 0.3  # seconds before limbs part, from which on cloth is drawn off; metres that it may be
SPEED = 2.0  # m/s along the limb with which it is
RINGS = 2  # of edges about what a limb comes through, that are drawn along
LINGERS = 0.5  # seconds after limbs have parted, in which cloth is led out


class Passages:
    """What of P particles leaves limbs one way alone; `ways` and `led` are as of `kernels.Body`, anew in each frame."""

    def __init__(self, contacts: Contacts, rest: np.ndarray, constraints: Constraints, hair: bool, fps: float) -> None:
        """For particles with places `rest` (P,3) at rest; those of hair leave limbs anywhere."""
        self.contacts, self.rest, self.constraints = contacts, rest, constraints
        self.ways, self.led = np.zeros((len(rest), 3), np.float32), np.zeros(len(rest), np.uint8)
        self.ahead, self.lingers = max(1, round(AHEAD * fps)), round(LINGERS * fps)
        self.found: list[Passage] = []
        obstacle = contacts.obstacle
        self._asked = obstacle is not None and obstacle.vertices.shape[1] > contacts.scene and not hair
        self._asked &= len(constraints.faces) > 0
        self._skin: Skin | None = None

    def lead(self, x: np.ndarray, start: Pose, goal: Pose, later: Callable[[], Pose], rate: float) -> None:
        """After `Contacts.update` at `x` (P,3): what is in such a limb, or near its side, follows that side or its end.

        `later` gives the pose `ahead` frames on; `rate`: times a second that this is asked.
        """
        before = self.led > 0
        self.ways[:], self.led[:] = 0, 0
        if not self._asked or not (self.found or self._squeezed(goal)):
            return
        if self._skin is None:
            self._skin = Skin(self.contacts, self.rest)
        found = self._skin.passages(goal.body)
        for old in self.found:
            now = [one for one in found if old.same(one)]
            for one in now:
                one.way = old.way
            if not now:
                old.frames += 1
                found.append(old)
        to_come = self._skin.passages(later().body) if found else []
        former, self.found = self.found, []
        for one in found:
            goes_on = [other for other in to_come if one.same(other)]
            known = one.frames or any(old.same(one) for old in former)
            if not known and not any(other.thick(self._skin.radii) for other in (one, *goes_on)):
                continue
            one.parts = not goes_on
            one.turn(goal, self._skin.radii)
            if self._hold(one, x, start, before, rate) or one.frames == 0:
                self.found += [one] if one.frames < self.lingers else []

    def elsewhere(self, rows: np.ndarray, away: np.ndarray) -> np.ndarray:
        """Which of particles `rows` (N,) leave by another side than the nearest, whose direction is `away` (N,3)."""
        return np.asarray((self.led[rows] > 0) & (dots(self.ways[rows], away) < FACING))

    def _squeezed(self, pose: Pose) -> bool:
        """Whether some particle is between two places of the body that lie in each other, and do not only fold."""
        near, clear = self.contacts.near[self.contacts.rows], self.contacts.clear[self.contacts.rows]
        one, other = near[(clear[:, :2] < NEAR).all(1), :2].T
        within = dots(pose.body[other] - pose.body[one], pose.normals[one]) < -SQUEEZED
        obstacle = self.contacts.obstacle
        assert obstacle is not None
        rest = obstacle.at_rest
        return bool((lengths(rest[one[within]] - rest[other[within]]) > APART / 2).any())

    def _hold(self, one: Passage, x: np.ndarray, start: Pose, before: np.ndarray, rate: float) -> bool:
        """Lead particles out of the limb of a passage; whether any has to be."""
        assert self._skin is not None and self.contacts.obstacle is not None
        if not one.way.any():
            return False
        points, deepest = np.flatnonzero(one.limb), self.contacts.obstacle.deepest
        rows = self.contacts.rows[~one.limb[self._skin.home[self.contacts.rows]]]
        far, at = cKDTree(start.body[points]).query(x[rows], distance_upper_bound=NEAR)
        rows, at = rows[far < NEAR], points[at[far < NEAR]]
        around = self.contacts.faces, *self.contacts.around
        height, away = heights_over(x[rows], at, start.body, start.normals, *around)
        along = away @ one.way.astype(np.float32)
        inside = (height < -SHALLOW) & (height > -deepest)
        inside &= (along > AGAINST) | before[rows]  # what a hand came under stays over it
        if one.parts and one.end.any():
            through = self._come_through(one, x, start)
            if len(through):
                self._draw_off(one, np.union1d(through, rows[inside]), x, start, rate)
                return True
        side = points[start.normals[points] @ one.way > SIDE]
        rows = rows[inside | ((height >= -SHALLOW) & (along > FACING))]
        if len(rows) and len(side):
            far, at = cKDTree(start.body[side]).query(x[rows], distance_upper_bound=deepest)
            self._follow(one, rows[far < deepest], side[at[far < deepest]], x, start)
            self.ways[rows[far < deepest]], self.led[rows[far < deepest]] = one.way, BY_SIDE
        return bool(inside.any())

    def _follow(self, one: Passage, rows: np.ndarray, places: np.ndarray, x: np.ndarray, start: Pose) -> None:
        """Follow, of the limb, the points `places` (N,) alone, and what is followed elsewhere; for particles `rows`."""
        near, clear = self.contacts.near, self.contacts.clear
        kept = near[rows, clear[rows].argmin(1)]
        clear[rows] = np.where(one.limb[near[rows]], NOWHERE, clear[rows])
        other, lost = np.flatnonzero(one.other), one.limb[kept]
        if lost.any():
            kept[lost] = other[cKDTree(start.body[other]).query(x[rows[lost]])[1]]
        near[rows, 0], clear[rows, 0] = kept, 0
        near[rows, 1], clear[rows, 1] = places, 0

    def _come_through(self, one: Passage, x: np.ndarray, start: Pose) -> np.ndarray:
        """Particles (N,) of the triangles through which the middle of a limb passes, but for what is worn on it."""
        assert self._skin is not None
        line, faces = one.line(start, self._skin.radii), self.constraints.faces
        corners = x[faces]
        close = ((corners.max(1) > line.min(0)) & (corners.min(1) < line.max(0))).all(1)
        faces = faces[close & ~one.limb[self._skin.home[faces]].any(1)]
        a, b, c = (x[faces[:, k]].astype(np.float64) for k in range(3))
        normal = np.cross(b - a, c - a)
        over = ((line[:, None] - a) * normal).sum(2)
        step, face = np.nonzero(over[:-1] * over[1:] < 0)
        share = over[step, face] / (over[step, face] - over[step + 1, face])
        place = line[step] + share[:, None] * (line[step + 1] - line[step])
        within = np.ones(len(face), bool)
        for p, q in ((a, b), (b, c), (c, a)):
            within &= (np.cross((q - p)[face], place - p[face]) * normal[face]).sum(1) >= 0
        return np.unique(faces[face[within]])

    def _draw_off(self, one: Passage, chosen: np.ndarray, x: np.ndarray, start: Pose, rate: float) -> None:
        """Draw particles `chosen` (N,), and those about them, along a limb until they are past its end."""
        assert self._skin is not None
        edges, drawn = self.constraints.edges, np.zeros(len(x), bool)
        drawn[chosen] = True
        for _ in range(RINGS):
            drawn[edges[drawn[edges].any(1)]] = True
        rows = self.contacts.rows[drawn[self.contacts.rows]]
        along, at = start.body[one.outer] @ one.end, x[rows] @ one.end
        left = along.max() - at
        chosen = ~one.limb[self._skin.home[rows]] & (left > 0) & (left < MOST)
        rows, order = rows[chosen], np.argsort(along, kind="stable")
        next_to = np.searchsorted(along[order], at[chosen] + SPEED / rate).clip(max=len(order) - 1)
        self._follow(one, rows, one.outer[order[next_to]], x, start)
        self.ways[rows], self.led[rows] = one.end, BY_END
