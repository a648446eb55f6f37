"""Whether a simulated shot holds, told by code that moves no cloth.

Intersections are those of `ipctk`, an edge against a triangle (https://github.com/ipc-sim/ipc-toolkit); depths are the
exact distances of `ani3dhuman.mesh.signed_distance`. Lengths are judged at human size, whatever the character's.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import ipctk
import numpy as np
from scipy.spatial import cKDTree

from ani3d_formats.human_size import human_scale
from ani3d_formats.pieces import components
from ani3d_formats.regions import is_loose
from ani3d_formats.shot import Shot
from ani3dhuman.cloth.constraints import PINNED
from ani3dhuman.mesh.kernels import point_normals
from ani3dhuman.mesh.signed_distance import signed_distances
from ani3dhuman.mesh.topology import edges_of

from .shots import solids

STRETCH = 1.25  # times its length at rest
DEPTH = 0.002  # metres
SLACK = 1e-4  # metres that an edge may be longer than that: for edges of almost no length
SAME_PLACE = 1e-6  # metres: vertices of split meshes that are one
AROUND = 0.03  # metres about the places where the body passes through itself, where depth is not judged
RINGS = 2  # edges over which what hangs on such a place, or on a crossing that is held, is not judged either
FLAT = 1e-12  # square metres: triangles that have no sides

CRITERIA = ("finite", "stretch", "intersections", "depth")


@dataclass(frozen=True)
class Verdict:
    """What was found in the frames of one sequence.

    Attributes:
        finite: (T,) bool; stretch: (T,) the longest free edge over its rest; depth_mm: (T,) of the deepest free vertex
            in the body, a collider, or under the floor where she stands.
        pairs: (T,) edges that pierce a triangle though they do not at rest; at_rest: (T,) those that do at rest too.
        held: (T,) those that no solver parts: all of it pinned, or about a crossing at rest of which a part is pinned.
        excused_mm: (T,) the deepest vertex where the body passes through itself.
        marked: (T,F) bool, triangles that are pierced.
    """

    finite: np.ndarray
    stretch: np.ndarray
    depth_mm: np.ndarray
    pairs: np.ndarray
    at_rest: np.ndarray
    held: np.ndarray
    excused_mm: np.ndarray
    marked: np.ndarray

    @property
    def failures(self) -> dict[str, tuple[int, float]]:
        """By criterion that is not met: the worst frame, and how bad it is there."""
        bad = {
            "finite": ~self.finite * 1.0,
            "stretch": np.where(self.stretch > STRETCH, self.stretch, 0),
            "intersections": self.pairs * 1.0,
            "depth": np.where(self.depth_mm > 1000 * DEPTH, self.depth_mm, 0),
        }
        return {name: (int(v.argmax()), float(v.max())) for name, v in bad.items() if v.max() > 0}

    def up_to(self, frames: int) -> Verdict:
        """Of the first so many frames alone."""
        return Verdict(*(getattr(self, each.name)[:frames] for each in fields(self)))


class Judge:
    """Of one shot, with pin weights (V,)."""

    def __init__(self, shot: Shot, pins: np.ndarray) -> None:
        self.scale = human_scale(shot["vertices"])
        faces, loose = shot["faces"].astype(np.int64), is_loose(shot["region_ids"])
        self.solids = solids(shot) * self.scale
        rest = np.concatenate([shot["vertices"].astype(np.float64) * self.scale, self.solids[0]])
        around = shot.arrays.get("collider_faces", np.zeros((0, 3), np.int64)).astype(np.int64) + len(loose)
        self.skin, loose = np.flatnonzero(~loose), np.pad(loose, (0, self.solids.shape[1]))
        self.faces, self.free, self.rest = faces, loose & (np.pad(pins, (0, self.solids.shape[1])) <= PINNED), rest
        self.parts = [part for part in (faces[~loose[faces].any(1)], around) if len(part)]
        self.body_faces = np.concatenate(self.parts)
        keys = np.round(rest / SAME_PLACE).astype(np.int64)
        keys = np.column_stack([keys, np.where(loose, 0, 1)])
        first, group = np.unique(keys, axis=0, return_index=True, return_inverse=True)[1:]
        self.one = np.where(loose, first[group.reshape(-1)], np.arange(len(rest)))
        strands = np.zeros(len(rest), bool)  # ribbons as narrow as a hair pass each other as hair does
        for item in shot.meta.objects:
            strands[item.rows] = item.strands > 0
        cloth = np.flatnonzero(loose[faces].all(1))
        corners = rest[faces[cloth]]
        area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1) / 2
        self.edges = edges_of(faces[cloth[area > FLAT]])
        self.edges = self.edges[self.free[self.edges].any(1)]
        self.lengths = np.linalg.norm(rest[self.edges[:, 0]] - rest[self.edges[:, 1]], axis=1)
        self.cloth = cloth[(area > FLAT) & ~strands[faces[cloth, 0]]]
        self.mesh = Mesh.of(self.one[faces[self.cloth]])
        found = self.mesh.pairs(rest)
        self.before = _keys(found, len(self.mesh.faces))
        self.about = self._about_held(np.concatenate([self.mesh.edges[found[:, 0]], self.mesh.faces[found[:, 1]]], 1))
        body = self.body_faces
        self.body_mesh = Mesh.of(body)
        self.body_before = _keys(self.body_mesh.pairs(rest), len(self.body_mesh.faces))

    def verdict(self, vertices: np.ndarray) -> Verdict:
        """Judge vertices (T,V,3) of the shot, scene metres."""
        moved = vertices.astype(np.float64) * self.scale
        frames = len(moved)
        moved = np.concatenate([moved, self.solids], axis=1)
        finite = np.atleast_1d(np.isfinite(moved).all((1, 2)))
        moved = np.where(np.isfinite(moved), moved, 0)
        allowed = np.maximum(self.lengths, 1e-9)
        stretch = np.zeros(frames)
        pairs, at_rest, held = (np.zeros(frames, int) for _ in range(3))
        marked = np.zeros((frames, len(self.faces)), bool)
        for t, points in enumerate(moved):
            now = np.linalg.norm(points[self.edges[:, 0]] - points[self.edges[:, 1]], axis=1)
            stretch[t] = (np.maximum(now - SLACK, 0) / allowed).max(initial=0)
            found = self.mesh.pairs(points)
            old = np.isin(_keys(found, len(self.mesh.faces)), self.before)
            corners = np.concatenate([self.mesh.edges[found[:, 0]], self.mesh.faces[found[:, 1]]], axis=1)
            free = self.free[corners].any(1) & ~self.about[corners].all(1) if len(found) else np.zeros(0, bool)
            new = free & ~old
            pairs[t], at_rest[t], held[t] = new.sum(), (old & free).sum(), (~free).sum()
            marked[t, self.cloth[self.mesh.owner[found[new, 1]]]] = True
        depth, excused = self._depths(moved)
        return Verdict(finite, stretch, depth, pairs, at_rest, held, excused, marked)

    def _depths(self, moved: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        depth, excused = np.zeros(len(moved)), np.zeros(len(moved))
        chosen = np.flatnonzero(self.free)
        if len(chosen) == 0 or len(self.body_faces) == 0:
            return depth, excused
        # each for itself: in both, one is nearest to the skin of the other, and would be less deep than it is
        deep_in = [-signed_distances(moved[:, chosen], moved, part) for part in self.parts]
        inside = np.maximum(np.max(deep_in, axis=0), 0)
        floor = moved[:, self.skin, 2].min()
        for t, points in enumerate(moved):
            depth[t] = 1000 * max(inside[t][inside[t] <= DEPTH].max(initial=0), floor - points[chosen, 2].min())
            deep = np.flatnonzero(inside[t] > DEPTH)
            if len(deep) == 0:
                continue
            deep = deep[np.argsort(-inside[t, deep], kind="stable")]
            pardoned = self._where_body_overlaps(points, points[chosen[deep]])
            pardoned = self._held_by(chosen[deep], pardoned)
            excused[t] = 1000 * inside[t, deep[pardoned]].max(initial=0)
            corners = points[self.body_faces]
            for one in deep[~pardoned]:  # a fin of the body's own mesh has no sides: what is inside is wound around
                turns = winding(points[chosen[one]], corners)
                if turns > 1.5:
                    excused[t] = max(excused[t], 1000 * inside[t, one])
                elif turns > 0.5:
                    depth[t] = 1000 * inside[t, one]
                    break
        return depth, excused

    def _about_held(self, crossing: np.ndarray) -> np.ndarray:
        """(V,) bool: vertices of pairs (N,5) that cross at rest and are held there in part, and `RINGS` edges around.

        The skeleton keeps such crossings: a sleeve whose pinned end passes through the pinned edge of a dress.
        """
        about = np.zeros(len(self.rest), bool)
        about[crossing[~self.free[crossing].all(1)]] = True
        for _ in range(RINGS):
            about[self.mesh.edges[about[self.mesh.edges].any(1)]] = True
        return about

    def _held_by(self, deep: np.ndarray, pardoned: np.ndarray) -> np.ndarray:
        """(Q,) bool: `pardoned`, and what else of the vertices `deep` (Q,) in the body hangs on those by `RINGS` edges.

        Cloth that is held where the body overlaps leaves it through the skin beside that place.
        """
        inside, held = np.zeros(len(self.rest), bool), np.zeros(len(self.rest), bool)
        inside[deep], held[deep] = True, pardoned
        for _ in range(RINGS):
            beside = self.edges[held[self.edges].any(1)]
            held[beside[inside[beside]]] = True
        return held[deep]

    def _where_body_overlaps(self, points: np.ndarray, places: np.ndarray) -> np.ndarray:
        """(Q,) bool: which of `places` (Q,3) are near to skin that pierces other skin, or lies inside the body."""
        found = self.body_mesh.pairs(points)
        found = found[~np.isin(_keys(found, len(self.body_mesh.faces)), self.body_before)]
        if len(found) == 0:
            return np.zeros(len(places), bool)
        corners = points[self.body_faces]
        piercing = np.isin(np.arange(len(self.body_mesh.edges)), found[:, 0])
        edges = self.body_mesh.edges[~piercing]
        used = np.unique(self.body_mesh.faces)
        labels = components(len(points), edges)
        normals = point_normals(points.astype(np.float32), self.body_faces)
        swallowed = np.zeros(len(points), bool)
        names, counts = np.unique(labels[used], return_counts=True)
        for name in names[counts < 0.5 * len(used)]:
            members = used[labels[used] == name]
            middle = members[len(members) // 2]
            swallowed[members] = winding(points[middle] + 5e-4 * normals[middle], corners) > 0.5
        near = np.concatenate([points[self.body_mesh.faces[found[:, 1]]].mean(1), points[swallowed]])
        return cKDTree(near).query(places)[0] < AROUND


@dataclass(frozen=True)
class Mesh:
    """Triangles that may pierce each other: faces (F,3), edges (E,2), and the caller's number of each face (F,)."""

    faces: np.ndarray
    edges: np.ndarray
    owner: np.ndarray

    @classmethod
    def of(cls, faces: np.ndarray) -> Mesh:
        """Of triangles (F,3); those that name a vertex twice, and a triangle's copies, are left out."""
        whole = (faces != np.roll(faces, 1, axis=1)).all(1)
        first = np.unique(np.sort(faces, axis=1), axis=0, return_index=True)[1]
        owner = np.intersect1d(np.flatnonzero(whole), first)
        return cls(faces[owner], edges_of(faces[owner]), owner)

    def pairs(self, points: np.ndarray) -> np.ndarray:
        """(N,2) edge and face of every edge that pierces a triangle at `points` (V,3)."""
        if len(self.faces) == 0:
            return np.zeros((0, 2), int)
        phase = ipctk.LBVH()
        placed = np.asfortranarray(points)
        phase.build(placed, self.edges.astype(np.int32), self.faces.astype(np.int32), 0)
        found = [(c.edge_id, c.face_id) for c in phase.detect_edge_face_candidates()]
        near = np.array(found, int).reshape(-1, 2)
        # most pairs of boxes that touch are told apart by a plane through the triangle
        a, b, c = (points[self.faces[near[:, 1], k]] for k in range(3))
        normal = np.cross(b - a, c - a)
        ends = points[self.edges[near[:, 0]]]
        sides = np.einsum("nkj,nj->nk", ends - a[:, None], normal)
        near = near[(sides.min(1) <= 0) & (sides.max(1) >= 0)]
        crossing = [
            ipctk.is_edge_intersecting_triangle(*points[self.edges[e]], *points[self.faces[f]])
            for e, f in near.tolist()
        ]
        return near[np.array(crossing, bool)]


def winding(place: np.ndarray, corners: np.ndarray) -> float:
    """How many times triangles (F,3,3) wind around a `place` (3,): solid angle over that of a sphere."""
    a, b, c = ((corners[:, k] - place) for k in range(3))
    la, lb, lc = (np.linalg.norm(v, axis=1) for v in (a, b, c))
    over = np.einsum("fj,fj->f", a, np.cross(b, c))
    under = la * lb * lc + (a * b).sum(1) * lc + (b * c).sum(1) * la + (c * a).sum(1) * lb
    return float(np.arctan2(over, under).sum() / (2 * np.pi))


def _keys(pairs: np.ndarray, faces: int) -> np.ndarray:
    return pairs[:, 0].astype(np.int64) * faces + pairs[:, 1]
