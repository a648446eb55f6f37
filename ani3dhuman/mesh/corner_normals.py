"""Normals that a mesh is shaded by: flat faces, sharp edges, the artist's own normals, carried by the moving mesh."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..jit import kernel

ALIKE = 0.9998  # cosine of rest normals from which on corners at a vertex share their normal: 1.1 degrees


@dataclass(frozen=True)
class CornerNormals:
    """How the corners of F triangles are shaded.

    Corners of one fan share a normal, the mean of their triangles' by the angles there. A normal that is another one at
    rest leans away from it, and turns with the surface.

    Attributes:
        fans: (F,3) int32 number of each corner's fan.
        leans: (F,3,3) float32 unit normals of the corners, in frames whose third axis is the fan's normal and whose
            first is the triangle's first edge across it.
    """

    fans: np.ndarray
    leans: np.ndarray

    @classmethod
    def at_rest(cls, vertices: np.ndarray, faces: np.ndarray, normals: np.ndarray) -> CornerNormals:
        """From `normals` (F,3,3) of the corners of a mesh at rest; zeros are no normals, and are the fan's."""
        points = np.ascontiguousarray(vertices, np.float32)
        wanted = np.ascontiguousarray(normals, np.float32)
        wanted /= np.maximum(np.linalg.norm(wanted, axis=2, keepdims=True), 1e-12)
        fans, leans = np.empty(faces.shape, np.int32), np.empty(wanted.shape, np.float32)
        count = _gather_fans(np.ascontiguousarray(faces), wanted, np.full(len(points), -1, np.int32), fans)
        _lean(points, faces, fans, _fan_normals(points, faces, fans, count), wanted, leans)
        return cls(fans, leans)

    def at(self, vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
        """(F,3,3) float32 unit normals of the corners of the mesh on `vertices` (V,3)."""
        points, found = np.ascontiguousarray(vertices, np.float32), np.empty(self.leans.shape, np.float32)
        own = _fan_normals(points, faces, self.fans, int(self.fans.max(initial=-1)) + 1)
        _stand(points, faces, self.fans, own, self.leans, found)
        return found


@kernel
def _gather_fans(faces, normals, first, fans):  # type: ignore[no-untyped-def]
    """Fill `fans` (F,3): corners at a vertex whose normals are alike are one. `first` (V,) is all -1. How many."""
    size = 3 * faces.shape[0]
    following, spokesmen = np.full(size, -1, np.int32), np.empty((size, 3), np.float32)
    count = 0
    for f in range(faces.shape[0]):
        for k in range(3):
            v, fan = faces[f, k], first[faces[f, k]]
            while fan >= 0:
                n, m = normals[f, k], spokesmen[fan]
                if n[0] * m[0] + n[1] * m[1] + n[2] * m[2] > ALIKE:
                    break
                fan = following[fan]
            if fan < 0:
                fan = count
                spokesmen[fan] = normals[f, k]
                following[fan], first[v] = first[v], fan
                count += 1
            fans[f, k] = fan
    return count


@kernel
def _fan_normals(vertices, faces, fans, count):  # type: ignore[no-untyped-def]
    """(count,3) unit normals of fans: their triangles' by the angle at the corner; zero where none has area."""
    normals = np.zeros((count, 3), np.float64)
    edges = np.empty((3, 3), np.float64)
    for f in range(faces.shape[0]):
        for k in range(3):
            a, b = faces[f, k], faces[f, (k + 1) % 3]
            length = 0.0
            for axis in range(3):
                edges[k, axis] = vertices[b, axis] - vertices[a, axis]
                length += edges[k, axis] ** 2
            length = math.sqrt(length) + 1e-20
            for axis in range(3):
                edges[k, axis] /= length
        nx = edges[0, 1] * edges[1, 2] - edges[0, 2] * edges[1, 1]
        ny = edges[0, 2] * edges[1, 0] - edges[0, 0] * edges[1, 2]
        nz = edges[0, 0] * edges[1, 1] - edges[0, 1] * edges[1, 0]
        length = math.sqrt(nx * nx + ny * ny + nz * nz)
        if length < 1e-9:
            continue
        for k in range(3):
            other = (k + 2) % 3
            cosine = -(edges[k, 0] * edges[other, 0] + edges[k, 1] * edges[other, 1] + edges[k, 2] * edges[other, 2])
            angle = math.acos(min(max(cosine, -1.0), 1.0)) / length
            normals[fans[f, k], 0] += angle * nx
            normals[fans[f, k], 1] += angle * ny
            normals[fans[f, k], 2] += angle * nz
    for fan in range(count):
        length = math.sqrt(normals[fan, 0] ** 2 + normals[fan, 1] ** 2 + normals[fan, 2] ** 2)
        for axis in range(3):
            normals[fan, axis] /= max(length, 1e-20)
    return normals


@kernel
def _frame(normal, start, end):  # type: ignore[no-untyped-def]
    """Two unit vectors across a unit `normal`: along the edge from `start` to `end`, and their product."""
    ex, ey, ez = end[0] - start[0], end[1] - start[1], end[2] - start[2]
    along = ex * normal[0] + ey * normal[1] + ez * normal[2]
    ex, ey, ez = ex - along * normal[0], ey - along * normal[1], ez - along * normal[2]
    length = math.sqrt(ex * ex + ey * ey + ez * ez) + 1e-20
    ex, ey, ez = ex / length, ey / length, ez / length
    return (
        (ex, ey, ez),
        (normal[1] * ez - normal[2] * ey, normal[2] * ex - normal[0] * ez, normal[0] * ey - normal[1] * ex),
    )


@kernel
def _lean(vertices, faces, fans, own, wanted, leans):  # type: ignore[no-untyped-def]
    """Fill `leans` with the normals `wanted` (F,3,3) in the frames of their fans' normals `own`."""
    for f in range(faces.shape[0]):
        start, end = vertices[faces[f, 0]], vertices[faces[f, 1]]
        for k in range(3):
            n, m = own[fans[f, k]], wanted[f, k]
            if m[0] * m[0] + m[1] * m[1] + m[2] * m[2] < 0.5:
                leans[f, k, 0], leans[f, k, 1], leans[f, k, 2] = 0.0, 0.0, 1.0
                continue
            t, b = _frame(n, start, end)
            leans[f, k, 0] = m[0] * t[0] + m[1] * t[1] + m[2] * t[2]
            leans[f, k, 1] = m[0] * b[0] + m[1] * b[1] + m[2] * b[2]
            leans[f, k, 2] = m[0] * n[0] + m[1] * n[1] + m[2] * n[2]


@kernel
def _stand(vertices, faces, fans, own, leans, found):  # type: ignore[no-untyped-def]
    """Fill `found` (F,3,3) with the normals that lean by `leans` from their fans' normals `own`."""
    for f in range(faces.shape[0]):
        start, end = vertices[faces[f, 0]], vertices[faces[f, 1]]
        for k in range(3):
            n, lean = own[fans[f, k]], leans[f, k]
            t, b = _frame(n, start, end)
            for axis in range(3):
                found[f, k, axis] = lean[0] * t[axis] + lean[1] * b[axis] + lean[2] * n[axis]
