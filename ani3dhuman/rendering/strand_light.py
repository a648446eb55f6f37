"""Light on strands of hair: what other strands leave of it, by how densely they lie."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .light_sources import Emitters
from .strand_kernels import FIELDS, fill, through_from_around, through_from_lights

FINEST = 128  # voxels along the longest side of all hair, at most
WIDE = 2.0  # thicknesses of a strand that a voxel is wide, at least


@dataclass(frozen=True)
class Strands:
    """The strands of hair in a mesh, stored as ribbons (`ani3d_formats.hair_ribbons`), of Q points in K segments.

    Attributes:
        lefts: (Q,) the vertex of each point's left edge, strand by strand; the next one is that of the right edge.
        ends: (K,2) rows of the points at both ends of the segments.
        strand_of: (Q,) number of each point's strand.
        faces: (F,) bool, the mesh's faces that are theirs.
        row_of: (V,) int32 row of the point of each vertex of the mesh, -1 of others.
        face_of: (Q,) a face at each point.
    """

    lefts: np.ndarray
    ends: np.ndarray
    strand_of: np.ndarray
    faces: np.ndarray
    row_of: np.ndarray
    face_of: np.ndarray

    @classmethod
    def among(cls, faces: np.ndarray, vertices: int, known: np.ndarray) -> Strands | None:
        """Those of a mesh of faces (F,3) with so many `vertices`; None where there are none.

        They are runs of ribbons in which at least one of the `known` faces lies.
        """
        if not len(known) or len(faces) < 2:
            return None
        start = faces[:, 0]
        first = np.zeros(len(faces), bool)
        first[:-1] = (faces[:-1] == start[:-1, None] + [0, 2, 1]).all(1)
        first[:-1] &= (faces[1:] == start[:-1, None] + [3, 1, 2]).all(1)
        rows = np.flatnonzero(first)
        if not len(rows):
            return None
        left = start[rows].astype(np.int64)
        goes_on = (np.diff(rows) == 2) & np.isin(np.diff(left), (2, 4))
        run = np.concatenate([[0], np.cumsum(~goes_on)])
        chosen = np.zeros(len(faces), bool)
        chosen[known] = True
        kept = np.isin(run, run[chosen[rows] | chosen[rows + 1]])
        if not kept.any():
            return None
        rows, left = rows[kept], left[kept]
        lefts = np.unique(np.concatenate([left, left + 2]))
        ends = np.searchsorted(lefts, np.stack([left, left + 2], 1))
        begins = np.ones(len(lefts), bool)
        begins[ends[:, 1]] = False
        own, row_of, face_of = np.zeros(len(faces), bool), np.full(vertices, -1, np.int32), np.empty(len(lefts), int)
        own[rows] = own[rows + 1] = True
        row_of[lefts] = row_of[lefts + 1] = np.arange(len(lefts))
        face_of[ends[:, 1]], face_of[ends[:, 0]] = rows, rows
        return cls(lefts, ends, np.cumsum(begins), own, row_of, face_of)

    def of_points(self, triangles: np.ndarray, weights: np.ndarray, faces: np.ndarray) -> Hung:
        """Where points lie on the strands, which are at barycentric `weights` (n,3) of `triangles` (n,) of `faces`."""
        rows = self.row_of[faces[triangles]]
        on = self.faces[triangles]
        first, last = rows.min(1), rows.max(1)
        share = np.where(on, (weights * (rows == last[:, None])).sum(1), 0)
        pair = np.where(on[:, None], np.stack([first, last], 1), -1)
        return Hung(pair.astype(np.int32), np.clip(share, 0, 1).astype(np.float32), np.asarray(triangles, np.int64))

    def of_vertices(self) -> Hung:
        """The same of all vertices of the mesh."""
        face = np.where(self.row_of < 0, 0, self.face_of[self.row_of])
        return Hung(np.repeat(self.row_of[:, None], 2, 1), np.zeros(len(self.row_of), np.float32), face)

    def density(self, vertices: np.ndarray) -> Density:
        """How densely they lie in one frame, on the mesh's vertices (V,3)."""
        left, right = vertices[self.lefts].astype(np.float64), vertices[self.lefts + 1].astype(np.float64)
        points, thickness = (left + right) / 2, np.linalg.norm(right - left, axis=1)
        low, high = points.min(0), points.max(0)
        side = max(float((high - low).max()) / FINEST, WIDE * float(thickness.mean()), 1e-6)
        grid = np.empty((*(np.floor((high - low) / side).astype(int) + 1), FIELDS), np.float32)
        fill(points, thickness, self.ends, low, side, grid)
        return Density(points, thickness, self.strand_of, low, side, grid)


@dataclass(frozen=True)
class Hung:
    """Where n points of a mesh lie on strands.

    Attributes:
        rows: (n,2) int32 of the strands' points before and after each, -1 of what lies on none.
        share: (n,) float32 of the second.
        faces: (n,) the face that each lies in.
    """

    rows: np.ndarray
    share: np.ndarray
    faces: np.ndarray

    def and_then(self, *others: Hung) -> Hung:
        """These points, and then those of others."""
        return Hung(*(np.concatenate([vars(each)[name] for each in (self, *others)]) for name in vars(self)))

    @classmethod
    def nowhere(cls) -> Hung:
        """Of points none of which is on a strand."""
        return cls(np.zeros((0, 2), np.int32), np.zeros(0, np.float32), np.zeros(0, np.int64))


@dataclass(frozen=True)
class Density:
    """How densely strands lie in one frame: what `Strands.density` returns.

    Attributes:
        points, thickness: (Q,3) and (Q,) metres.
        strand_of: (Q,).
        low, side, grid: as of `strand_kernels.fill`.
    """

    points: np.ndarray
    thickness: np.ndarray
    strand_of: np.ndarray
    low: np.ndarray
    side: float
    grid: np.ndarray

    def from_around(self, ways: np.ndarray) -> np.ndarray:
        """(Q,S,2) float32: the shares of light along unit vectors `ways` (S,3), and against them, that come to the
        points."""
        found = np.empty((len(self.points), len(ways), 2), np.float32)
        own = self.points, self.thickness, self.strand_of
        through_from_around(*own, np.ascontiguousarray(ways, np.float64), self.low, self.side, self.grid, found)
        return found

    def from_light(self, light: Emitters) -> np.ndarray:
        """(Q,S) float32: the shares of the light of each emitter that come to the points."""
        found = np.empty((len(self.points), len(light.kinds)), np.float32)
        own = self.points, self.thickness, self.strand_of
        origins = np.ascontiguousarray(light.origins, np.float64)
        through_from_lights(*own, light.kinds, origins, self.low, self.side, self.grid, found)
        return found
