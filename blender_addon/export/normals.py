# SPDX-License-Identifier: GPL-3.0-or-later
"""The normals that a character is shaded by, where its meshes are not smooth all over."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .rest import RestMesh

SMOOTH = 0.996  # cosine: 5 degrees from the mean of the triangles around a vertex, and a mesh is smooth enough
AREA = 1e-20  # squared metres below which a triangle has no side


def corner_normals(meshes: Sequence[RestMesh]) -> dict[str, np.ndarray]:
    """The shot's `corner_normals` (F,3,3): of all corners at rest, in the world, as Blender shades them.

    Without any where smooth vertices say the same.
    """
    if all(_is_smooth(rest) for rest in meshes if rest.strands is None):
        return {}
    return {"corner_normals": np.concatenate([_normals(rest) for rest in meshes]).astype(np.float32)}


def _normals(rest: RestMesh) -> np.ndarray:
    """(F,3,3) of one mesh, unit."""
    values = np.empty(len(rest.mesh.loops) * 3, np.float32)
    rest.mesh.corner_normals.foreach_get("vector", values)
    normals = np.nan_to_num(values.reshape(-1, 3)) @ np.linalg.inv(rest.world[:3, :3])
    return _unit(normals)[rest.corners]


def _is_smooth(rest: RestMesh) -> bool:
    corners = rest.vertices[rest.triangles]
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    total = np.stack([np.bincount(rest.triangles.ravel(), np.repeat(axis, 3), len(rest.vertices)) for axis in across.T])
    has_area = np.square(across).sum(1) > AREA
    alike = (_normals(rest) * _unit(total.T)[rest.triangles]).sum(2)
    return bool((alike[has_area] > SMOOTH).all())


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-20)
