"""Pieces of cloth: what is connected through faces, or by vertices in the same place."""

from __future__ import annotations

from itertools import product

import numpy as np

SAME_PLACE = 1e-4  # metres at human size: a seam that is split for its texture or its normals is no gap


def close_pairs(vertices: np.ndarray, distance: float) -> np.ndarray:
    """Pairs (N,2) that link all vertices (V,3) no more than about `distance` apart, directly or by a chain."""
    shifted = (vertices - vertices.min(0)).astype(np.float64) / (2 * distance) if len(vertices) else vertices
    found = [np.zeros((0, 2), np.int64)]
    for offset in product((0.0, 0.5), repeat=3):  # two close points share a cell of one of these grids at least
        cells = np.floor(shifted + offset)
        order = np.lexsort(cells.T)
        same = (cells[order[1:]] == cells[order[:-1]]).all(1)
        found.append(np.stack([order[:-1][same], order[1:][same]], 1))
    pairs = np.unique(np.sort(np.concatenate(found), axis=1), axis=0)
    apart = np.linalg.norm(vertices[pairs[:, 0]] - vertices[pairs[:, 1]], axis=1)
    return pairs[apart <= 2 * distance]


def components(count: int, pairs: np.ndarray) -> np.ndarray:
    """For each of `count` nodes the smallest node (count,) that a chain of pairs (N,2) leads to."""
    labels = np.arange(count)
    while True:
        ends = labels[pairs]
        low, high = ends.min(1), ends.max(1)
        unequal = low < high
        if not unequal.any():
            return labels
        np.minimum.at(labels, high[unequal], low[unequal])
        while (labels != labels[labels]).any():
            labels = labels[labels]


def edge_pairs(faces: np.ndarray) -> np.ndarray:
    """Two sides of each of faces (F,3) as pairs (2F,2): enough to connect its corners."""
    return np.concatenate([faces[:, :2], faces[:, 1:]]).astype(np.int64)
