# SPDX-License-Identifier: GPL-3.0-or-later
"""The triangles of a mesh as Blender draws them, told from its faces, since asking Blender for each takes long."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import bpy
import numpy as np

READ_SINGLY = 4096  # triangles of faces of five and more corners that are asked for one by one


@dataclass(frozen=True)
class Faces:
    """What the triangles of a mesh are told from.

    Attributes:
        corner_vertices: (C,) the vertex of each face corner.
        starts: (P,) the first corner of each face.
        points: (V,3) float32, object space.
        many: (N,3) the corners of the triangles of faces that have more than four.
    """

    corner_vertices: np.ndarray
    starts: np.ndarray
    points: np.ndarray
    many: np.ndarray

    @classmethod
    def read(cls, mesh: bpy.types.Mesh) -> Faces:
        """Of a mesh that is not in Edit Mode."""
        owners = np.empty(len(mesh.loops), np.int32)
        if len(owners):
            cast(Any, mesh.attributes[".corner_vert"]).data.foreach_get("value", owners)
        starts = np.empty(len(mesh.polygons), np.int32)
        mesh.polygons.foreach_get("loop_start", starts)
        return cls(owners, starts, coordinates(mesh), _of_large_faces(mesh, _sizes(starts, len(owners))))

    def triangles(self) -> tuple[np.ndarray, np.ndarray]:
        """Corners (F,3) of the triangles, and the face (F,) of each, in Blender's order; uses no `bpy`.

        A face of four corners is split at its first one unless that would lay both halves over each other.
        """
        sizes = _sizes(self.starts, len(self.corner_vertices))
        faces = np.repeat(np.arange(len(sizes)), np.maximum(sizes - 2, 0))
        corners = np.empty((len(faces), 3), np.int32)
        first = np.cumsum(np.maximum(sizes - 2, 0)) - np.maximum(sizes - 2, 0)
        three, four = np.flatnonzero(sizes == 3), np.flatnonzero(sizes == 4)
        corners[first[three]] = self.starts[three, None] + np.arange(3)
        at = self.points[self.corner_vertices[self.starts[four, None] + np.arange(4)]]
        across = at[:, 2] - at[:, 0]
        sides = np.cross(at[:, 1] - at[:, 0], across), np.cross(at[:, 3] - at[:, 0], across)
        turned = np.einsum("ij,ij->i", *sides)[:, None] > 0
        corners[first[four]] = self.starts[four, None] + np.where(turned, [0, 1, 3], [0, 1, 2])
        corners[first[four] + 1] = self.starts[four, None] + np.where(turned, [1, 2, 3], [0, 2, 3])
        corners[sizes[faces] > 4] = self.many
        return corners, faces


def triangles_of(mesh: bpy.types.Mesh) -> tuple[np.ndarray, np.ndarray]:
    """The triangles of a mesh as vertices (F,3) and as face corners (F,3)."""
    faces = Faces.read(mesh)
    corners, _ = faces.triangles()
    return faces.corner_vertices[corners], corners


def coordinates(mesh: bpy.types.Mesh) -> np.ndarray:
    """Vertices (V,3) float32 in object space."""
    values = np.empty(len(mesh.vertices) * 3, np.float32)
    mesh.vertices.foreach_get("co", values)
    return values.reshape(-1, 3)


def _sizes(starts: np.ndarray, corners: int) -> np.ndarray:
    return np.diff(starts, append=np.int32(corners))


def _of_large_faces(mesh: bpy.types.Mesh, sizes: np.ndarray) -> np.ndarray:
    large = sizes > 4
    count = int((sizes[large] - 2).sum())
    if count == 0:
        return np.empty((0, 3), np.int32)
    mesh.calc_loop_triangles()
    rows = np.flatnonzero(np.repeat(large, np.maximum(sizes - 2, 0)))
    if count <= READ_SINGLY:
        return np.array([mesh.loop_triangles[row].loops[:] for row in rows.tolist()], np.int32)
    corners = np.empty(len(mesh.loop_triangles) * 3, np.int32)
    mesh.loop_triangles.foreach_get("loops", corners)
    return corners.reshape(-1, 3)[rows]
