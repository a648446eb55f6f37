"""Where limbs of the body pass through each other, as a thigh that is raised through a hanging forearm."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components, dijkstra
from scipy.spatial import cKDTree

from ani3d_formats.pieces import SAME_PLACE, close_pairs

from ..mesh.surface import Contacts
from ..mesh.topology import edges_of
from ..mesh.vectors import lengths
from .constraints import sound_faces
from .contact.touch import Layers, cover_of, crossings, empty_lists
from .kernels import Pose

LIMB, OUTER = 0.35, 0.6  # metres over the skin, from where it meets another, that are one limb; towards its end
ABOUT, LINE = 0.1, 0.15  # metres over the skin, about the meeting, that tell how a limb lies; where its line begins
APART = 0.06  # metres between what meets, at rest: less are skin that folds, shoes, eyes
THINNER = 0.8  # times as thick as the other, the most that the limb is which gives way to cloth
CENTRED = 0.004  # metres between the middles of two limbs, less than which no way is told
THICK = 0.02  # metres of radius, of a limb that a passage begins with
BIN = 0.02  # metres over the skin, for each point of a limb's line
POINT = 1e-6  # metres, within which nothing of the body is near enough to itself to be parted from it


@dataclass
class Passage:
    """A thinner limb in a thicker one.

    Attributes:
        limb, other: (Q,) bool, the points of the body that they are; meets, met: (N,), (M,) those of each that cross.
        about: (K,) points about the meeting, on the limb; outer: (L,) those from there to its end.
        beyond: (Q,) metres over the skin from the other limb, 0 where there is no way from it.
        way, end: (3,) unit vectors across the limb to the other, and along it to its end; 0 where they are not told.
        frames: since the two have parted; parts: whether they soon will have.
    """

    limb: np.ndarray
    other: np.ndarray
    meets: np.ndarray
    met: np.ndarray
    about: np.ndarray
    outer: np.ndarray
    beyond: np.ndarray
    way: np.ndarray = field(default_factory=lambda: np.zeros(3))
    end: np.ndarray = field(default_factory=lambda: np.zeros(3))
    frames: int = 0
    parts: bool = False

    def same(self, other: Passage) -> bool:
        """Whether both are of the same two limbs."""
        return bool(self.limb[other.meets].any() and self.other[other.met].any())

    def add(self, other: Passage) -> None:
        """Take in another of the same limbs, as of the next finger."""
        self.limb, self.other = self.limb | other.limb, self.other | other.other
        for name in ("meets", "met", "about", "outer"):
            setattr(self, name, np.union1d(getattr(self, name), getattr(other, name)))

    def turn(self, pose: Pose, radii: np.ndarray) -> None:
        """Find the ways in a pose; `radii` (Q,) as of `Obstacle`."""
        normals, places = pose.normals[self.about].astype(np.float64), pose.body[self.about].astype(np.float64)
        axis = np.linalg.eigh(normals.T @ normals)[1][:, 0]
        along, far = places @ axis, self.beyond[self.about]
        self.end = axis * np.sign(((along - along.mean()) * (far - far.mean())).sum())
        way = self._inner(self.met, pose, radii).mean(0) - self._inner(self.meets, pose, radii).mean(0)
        way -= (way @ axis) * axis
        if np.linalg.norm(way) > CENTRED:
            self.way = way / np.linalg.norm(way)

    def thick(self, radii: np.ndarray) -> bool:
        """Whether it is no finger, which comes through cloth between its vertices; `radii` (Q,) as of `Obstacle`."""
        return float(np.median(radii[self.meets])) > THICK

    def line(self, pose: Pose, radii: np.ndarray) -> np.ndarray:
        """(L,3) places along the middle of the limb, from the meeting to its end."""
        bins = np.round(self.beyond[self.outer] / BIN).astype(int)
        count = np.bincount(bins)
        inner = self._inner(self.outer, pose, radii)
        sums = np.stack([np.bincount(bins, column) for column in inner.T], 1)
        return np.asarray(sums[count > 0] / count[count > 0, None])

    @staticmethod
    def _inner(points: np.ndarray, pose: Pose, radii: np.ndarray) -> np.ndarray:
        return np.asarray(pose.body[points] - radii[points, None] * pose.normals[points], np.float64)


class Skin:
    """The body's mesh as a graph, and where it passes through itself; the scene is no part of it."""

    def __init__(self, contacts: Contacts, rest: np.ndarray) -> None:
        """`rest`: (P,3) places of cloth, each of which is worn on the point `home` (P,) that is nearest at rest."""
        obstacle = contacts.obstacle
        assert obstacle is not None
        whole = obstacle.at_rest
        self.count, first = len(whole), len(whole) - contacts.scene
        self.rest, self.radii = np.asarray(whole, np.float32), obstacle.radii
        self.home = cKDTree(self.rest[:first]).query(rest)[1]
        faces = sound_faces(contacts.faces[contacts.faces[:, 0] < first])
        self.edges = edges_of(faces)
        none = np.zeros(self.count)
        self.cover = cover_of(Layers(faces, none + POINT, none, none), self.rest, np.ones(self.count, np.float32))
        self.lists = empty_lists(self.cover)
        both = np.concatenate([self.edges, close_pairs(self.rest[:first], SAME_PLACE)])
        far = np.maximum(lengths(self.rest[both[:, 0]] - self.rest[both[:, 1]]), SAME_PLACE)
        self.graph = csr_array(coo_array((far, both.T), shape=(self.count, self.count)))
        self.before = np.unique(self._crossing(self.rest), axis=0)

    def passages(self, points: np.ndarray) -> list[Passage]:
        """Where limbs pass through each other that are apart at rest, in the pose `points` (Q,3)."""
        rows = self._crossing(points)
        _, index, count = np.unique(
            np.concatenate([self.before, rows]), axis=0, return_inverse=True, return_counts=True
        )
        rows = rows[count[index.reshape(-1)[len(self.before) :]] == 1]
        if len(rows) == 0:
            return []
        about = np.zeros(self.count, bool)
        about[rows] = True
        crossing = np.flatnonzero(about)
        about[self.edges[about[self.edges].any(1)]] = True
        own = self.edges[about[self.edges].all(1)]
        graph = coo_array((np.ones(len(own)), own.T), shape=(self.count, self.count))
        place = connected_components(graph, False)[1]
        found: list[Passage] = []
        for a, b in np.unique(np.sort(place[rows[:, [0, 2]]], axis=1), axis=0):
            one = None
            if a != b:
                one = self._passage(*(crossing[place[crossing] == n] for n in (a, b)))
            if one is None:
                continue
            for former in found:
                if former.same(one):
                    former.add(one)
                    break
            else:
                found.append(one)
        return found

    def _passage(self, one: np.ndarray, other: np.ndarray) -> Passage | None:
        """Of points (N,), (M,) that cross; None where neither is the thinner, or skin folds."""
        thick = [float(np.median(self.radii[own])) for own in (one, other)]
        if thick[0] > thick[1]:
            one, other, thick = other, one, thick[::-1]
        if thick[0] > THINNER * thick[1] or cKDTree(self.rest[one]).query(self.rest[other])[0].min() < APART:
            return None
        far = dijkstra(self.graph, False, one, min_only=True, limit=OUTER)
        if (far[other] < LIMB).any():
            return None
        beyond = dijkstra(self.graph, False, other, min_only=True)
        behind = np.isfinite(beyond) & (beyond < LIMB)
        beyond[~np.isfinite(beyond)] = 0
        outer = np.isfinite(far) & (beyond >= np.median(beyond[one]))
        limb = (far < LIMB) | outer
        return Passage(
            limb & ~behind,
            behind,
            one,
            other,
            np.flatnonzero(far < ABOUT),
            np.flatnonzero((far < LINE) | outer),
            beyond,
        )

    def _crossing(self, points: np.ndarray) -> np.ndarray:
        """(N,5) points of what crosses: an edge's two, and a triangle's three, each in order."""
        edge, side, face = crossings(np.ascontiguousarray(points, np.float32), self.cover, self.lists).T
        faces = self.cover.faces
        ends = np.column_stack([faces[edge, side], faces[edge, (side + 1) % 3]])
        return np.column_stack([np.sort(ends, axis=1), np.sort(faces[face], axis=1)]).astype(np.int64)
