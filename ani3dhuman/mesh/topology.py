"""Edges of a triangle mesh, and the frames of its triangles."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:  # cloth alone needs no tensors, and they take seconds to load
    import torch


def rows(values: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """Rows (...,*ids,k) of values (...,V,k), as ``values[..., ids, :]``, which takes three times as long."""
    flat = ids.reshape(-1, 1).expand(*values.shape[:-2], -1, values.shape[-1])
    return values.gather(-2, flat).unflatten(-2, ids.shape)


def triangle_frames(vertices: torch.Tensor, faces: torch.Tensor) -> torch.Tensor:
    """Orthonormal frames of triangles: columns tangent (along the first edge), bitangent, normal.

    Args:
        vertices: (...,V,3).
        faces: (F,3) long.

    Returns:
        (...,F,3,3) rotation matrices, triangle-local to world.
    """
    import torch

    a, b, c = (rows(vertices, faces[:, k]) for k in range(3))
    tangent = torch.nn.functional.normalize(b - a, dim=-1, eps=1e-12)
    normal = torch.nn.functional.normalize(torch.linalg.cross(b - a, c - a), dim=-1, eps=1e-12)
    return torch.stack([tangent, torch.linalg.cross(normal, tangent), normal], dim=-1)


def edges_of(faces: np.ndarray) -> np.ndarray:
    """Unique undirected edges (E,2) of a triangle mesh, sorted."""
    pairs = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    return np.unique(np.sort(pairs, axis=1), axis=0)


def neighbours_of(faces: np.ndarray) -> np.ndarray:
    """(F,3) int64 of faces (F,3): the face beyond each edge, the first of which leads from corner 0 to corner 1.

    -1 where there is none, or more than one.
    """
    starts, ends = faces.T.reshape(-1).astype(np.int64), np.roll(faces, -1, axis=1).T.reshape(-1).astype(np.int64)
    keys = np.minimum(starts, ends) * (faces.max(initial=0) + 1) + np.maximum(starts, ends)
    order = np.argsort(keys, kind="stable")
    first, count = np.unique(keys[order], return_index=True, return_counts=True)[1:]
    pairs = first[count == 2]
    found = np.full(3 * len(faces), -1, np.int64)
    found[order[pairs]], found[order[pairs + 1]] = order[pairs + 1] % len(faces), order[pairs] % len(faces)
    return found.reshape(3, len(faces)).T.copy()
