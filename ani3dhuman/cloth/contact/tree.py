"""Which triangles can touch: a tree of boxes over a mesh's triangles, built once, its boxes brought up to date.

Boxes know how fast what is in them goes. Each vertex and each edge belongs to one triangle, so that
pairs of triangles lead to each pair of vertex and triangle, and of edges, once (Curtis, Tamstorf, Manocha 2008).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ...jit import kernel

LEAF = 4  # triangles in a leaf


class Tree(NamedTuple):
    """A complete binary tree over F triangles, in the order of its leaves.

    Attributes:
        faces: (F,3) int32 vertices of the triangles; owns: (F,6) bool, which of the corners, and of the sides that
            begin there, belong to the triangle.
        first: (L+1,) int32, where each leaf begins among the triangles.
        beside: (F,3) int32, the corner across each side of the triangle on the other side of it, -1 for none.
    """

    faces: np.ndarray
    owns: np.ndarray
    first: np.ndarray
    beside: np.ndarray


def build_tree(faces: np.ndarray, places: np.ndarray) -> Tree:
    """The tree of triangles (F,3) of three different vertices each, by their places (V,3)."""
    count = len(faces)
    leaves = 1
    while leaves * LEAF < count:
        leaves *= 2
    first = (np.arange(leaves + 1) * count) // leaves
    middles = places[faces].mean(1) if count else np.zeros((0, 3))
    order, size = np.arange(count), leaves
    while size > 1:
        for start in range(0, leaves, size):
            part = order[first[start] : first[start + size]]
            if len(part):
                axis = np.ptp(middles[part], axis=0).argmax()
                order[first[start] : first[start + size]] = part[np.argsort(middles[part, axis], kind="stable")]
        size //= 2
    faces = np.ascontiguousarray(faces[order], np.int32)
    return Tree(faces, _owned(faces), first.astype(np.int32), _beside(faces))


def _owned(faces: np.ndarray) -> np.ndarray:
    """(F,6) bool: the first triangle with a vertex, or an edge, owns it."""
    corners = np.zeros(len(faces) * 3, bool)
    corners[np.unique(faces.ravel(), return_index=True)[1]] = True
    sides = np.sort(np.stack([faces, np.roll(faces, -1, axis=1)], 2).reshape(-1, 2), axis=1)
    edges = np.zeros(len(faces) * 3, bool)
    edges[np.unique(sides, axis=0, return_index=True)[1]] = True
    return np.concatenate([corners.reshape(-1, 3), edges.reshape(-1, 3)], 1)


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
def refit(cover, x, way, margin, boxes):  # type: ignore[no-untyped-def]
    """Bring `Boxes` up to date for places `x`, their ways (V,3) and a margin (V,); node 1 is the root.

    Children of node i are 2 i and 2 i + 1; node L + l is leaf l.
    """
    faces, first = cover.faces, cover.first
    leaves = first.shape[0] - 1
    for t in range(faces.shape[0]):
        a, b, c = faces[t, 0], faces[t, 1], faces[t, 2]
        for k in range(3):
            boxes.face_low[t, k] = min(x[a, k] - margin[a], x[b, k] - margin[b], x[c, k] - margin[c])
            boxes.face_high[t, k] = max(x[a, k] + margin[a], x[b, k] + margin[b], x[c, k] + margin[c])
            boxes.face_back[t, k] = min(way[a, k], way[b, k], way[c, k])
            boxes.face_ahead[t, k] = max(way[a, k], way[b, k], way[c, k])
    for node in range(2 * leaves - 1, 0, -1):
        for k in range(3):
            low, high = np.float32(np.inf), np.float32(-np.inf)
            back, ahead = np.float32(np.inf), np.float32(-np.inf)
            if node >= leaves:
                for t in range(first[node - leaves], first[node - leaves + 1]):
                    low, high = min(low, boxes.face_low[t, k]), max(high, boxes.face_high[t, k])
                    back, ahead = min(back, boxes.face_back[t, k]), max(ahead, boxes.face_ahead[t, k])
            else:
                one, other = 2 * node, 2 * node + 1
                low = min(boxes.node_low[one, k], boxes.node_low[other, k])
                high = max(boxes.node_high[one, k], boxes.node_high[other, k])
                back = min(boxes.node_back[one, k], boxes.node_back[other, k])
                ahead = max(boxes.node_ahead[one, k], boxes.node_ahead[other, k])
            boxes.node_low[node, k], boxes.node_high[node, k] = low, high
            boxes.node_back[node, k], boxes.node_ahead[node, k] = back, ahead
