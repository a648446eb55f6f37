"""Which triangles can touch: a tree of boxes over a mesh's triangles, built once, its boxes brought up to date.

Boxes know how fast what is in them goes. Each vertex and each edge belongs to one triangle, so that
pairs of triangles lead to each pair of vertex and triangle, and of edges, once (Curtis, Tamstorf, Manocha 2008).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import prange

from ...jit import inlined_kernel, kernel, parallel_kernel
from ...mesh.nearest import halved

LEAF = 4  # triangles in a leaf
BRANCHES = 16  # of the tree that are brought up to date by themselves, a power of 2
BIG = np.float32(1e30)


class Tree(NamedTuple):
    """A complete binary tree over F triangles, in the order of its leaves.

    Attributes:
        faces: (F,3) int32 vertices of the triangles; owns: (F,) uint8, bits of the corners, and above them of
            the sides that begin there, that belong to the triangle.
        first: (L+1,) int32, where each leaf begins among the triangles.
        beside: (F,3) int32, the corner across each side of the triangle on the other side of it, -1 for none.
    """

    faces: np.ndarray
    owns: np.ndarray
    first: np.ndarray
    beside: np.ndarray


def build_tree(faces: np.ndarray, places: np.ndarray) -> Tree:
    """The tree of triangles (F,3) of three different vertices each, by their places (V,3)."""
    middles = places[faces].mean(1) if len(faces) else np.zeros((0, 3))
    order, first = halved(middles, LEAF)
    faces = np.ascontiguousarray(faces[order], np.int32)
    return Tree(faces, _owned(faces), first, _beside(faces))


def _owned(faces: np.ndarray) -> np.ndarray:
    """(F,) uint8: the first triangle with a vertex, or an edge, owns it."""
    corners = np.zeros(len(faces) * 3, bool)
    corners[np.unique(faces.ravel(), return_index=True)[1]] = True
    sides = np.sort(np.stack([faces, np.roll(faces, -1, axis=1)], 2).reshape(-1, 2), axis=1)
    edges = np.zeros(len(faces) * 3, bool)
    edges[np.unique(sides, axis=0, return_index=True)[1]] = True
    return np.packbits(np.concatenate([corners.reshape(-1, 3), edges.reshape(-1, 3)], 1), 1, "little").reshape(-1)


def _beside(faces: np.ndarray) -> np.ndarray:
    """(F,3) int32: the corner across each side, of the next triangle with the same edge; -1 at a border."""
    sides = np.sort(np.stack([faces, np.roll(faces, -1, axis=1)], 2).reshape(-1, 2), axis=1)
    across = np.roll(faces, -2, axis=1).reshape(-1)
    order = np.lexsort((sides[:, 1], sides[:, 0]))
    same = (sides[order[1:]] == sides[order[:-1]]).all(1)
    one, other = order[:-1][same], order[1:][same]
    beside = np.full(len(sides), -1, np.int32)
    beside[one], beside[other] = across[other], across[one]
    return beside.reshape(-1, 3)


@kernel
def leaf_of(t, faces, leaves):  # type: ignore[no-untyped-def]
    """The leaf that triangle `t` of so many `faces` is in; see `halved`."""
    return ((t + 1) * leaves - 1) // faces


@inlined_kernel
def fit_face(t, faces, half, x, y, slack, face, margin):  # type: ignore[no-untyped-def]
    """Bring the box of triangle `t` up to date, whose vertices go from `x` to `y` (V,3) and may be `slack` (V,) off.

    `faces` and `half` are of a `Cover`, `face` and `margin` of its `Boxes`.
    """
    a, b, c = faces[t, 0], faces[t, 1], faces[t, 2]
    wide = margin[t] = max(max(half[a] + slack[a], half[b] + slack[b]), half[c] + slack[c])
    for k in range(3):
        face[t, k] = min(min(x[a, k], x[b, k]), x[c, k]) - wide
        face[t, 3 + k] = max(max(x[a, k], x[b, k]), x[c, k]) + wide
        i, j, l = y[a, k] - x[a, k], y[b, k] - x[b, k], y[c, k] - x[c, k]
        face[t, 6 + k] = min(min(i, j), l)
        face[t, 9 + k] = max(max(i, j), l)


@inlined_kernel
def fit_node(n, first, face, node):  # type: ignore[no-untyped-def]
    """Bring the box of node `n` up to date, by its children; those of node n are 2 n and 2 n + 1, leaf l is L + l.

    `face` and `node` are of `Boxes`.
    """
    leaves = first.shape[0] - 1
    for k in range(12):
        upper = 3 <= k < 6 or k >= 9
        most = -BIG if upper else BIG
        if n >= leaves:
            for t in range(first[n - leaves], first[n - leaves + 1]):
                most = max(most, face[t, k]) if upper else min(most, face[t, k])
        elif upper:
            most = max(node[2 * n, k], node[2 * n + 1, k])
        else:
            most = min(node[2 * n, k], node[2 * n + 1, k])
        node[n, k] = most


@parallel_kernel
def refit(cover, x, y, slack, boxes):  # type: ignore[no-untyped-def]
    """Bring all `Boxes` up to date; arguments as of `fit_face`."""
    first, faces, half = cover.first, cover.faces, cover.half
    face, node, margin = boxes.face, boxes.node, boxes.margin
    leaves = first.shape[0] - 1
    branches = min(leaves, BRANCHES)
    for branch in prange(branches):
        count = leaves // branches
        start = leaves + branch * count
        for t in range(first[start - leaves], first[start - leaves + count]):
            fit_face(t, faces, half, x, y, slack, face, margin)
        while count > 0:
            for n in range(start, start + count):
                fit_node(n, first, face, node)
            start //= 2
            count //= 2
    for n in range(branches - 1, 0, -1):
        fit_node(n, first, face, node)
