# SPDX-License-Identifier: GPL-3.0-or-later
"""A layout that gives every triangle its own place in a square picture, sized by its area."""

from __future__ import annotations

import numpy as np

_LEAST = 8  # texels along a cell: legs of four, and room for smoothing


def triangle_atlas(areas: np.ndarray, side: int) -> np.ndarray:
    """(F,3,2) UVs of F triangles with `areas`, in a picture of `side` (a power of two) texels; none overlap.

    Two triangles share a square cell; cells are powers of two, the largest first along a Z curve, so they fill the
    square without gaps. Between any two triangles lie at least two texels.
    """
    count = len(areas)
    order = np.argsort(-areas, kind="stable")
    wanted = np.sqrt(np.maximum(areas[order], 0) * 2)  # legs of right triangles
    low, high = 0.0, 2.0 * side / max(float(wanted.max(initial=0.0)), 1e-20)
    for _ in range(40):
        middle = (low + high) / 2
        fits = float((_cells(wanted * middle, side)[::2].astype(np.float64) ** 2).sum()) <= side * side
        low, high = (middle, high) if fits else (low, middle)
    cells = _cells(wanted * low, side)[::2].astype(np.int64)
    least = int(cells.min())
    while (cells**2).sum() > side * side:  # more triangles than least cells: smaller ones
        cells, least = np.maximum(cells // 2, 1), least // 2
        if least == 0:
            break
    offsets = np.r_[0, np.cumsum(cells**2)[:-1]] % (side * side)
    corner = np.stack([_even_bits(offsets), _even_bits(offsets >> 1)], axis=1).astype(np.float64)
    size = cells[:, None].astype(np.float64)
    gap = np.minimum(1.0, size / 8)
    lower = np.stack([np.c_[gap, gap], np.c_[size - 3 * gap, gap], np.c_[gap, size - 3 * gap]], axis=1)
    placed = np.empty((2 * len(cells), 3, 2))
    placed[0::2] = corner[:, None] + lower
    placed[1::2] = corner[:, None] + size[:, None] - lower
    uvs = np.empty((count, 3, 2), np.float32)
    uvs[order] = placed[:count] / side
    return uvs


def _cells(legs: np.ndarray, side: int) -> np.ndarray:
    """The least power of two around triangles with these legs, in texels."""
    exponent = np.ceil(np.log2(np.maximum(legs + 4, _LEAST)))
    return np.minimum(2.0**exponent, side)


def _even_bits(values: np.ndarray) -> np.ndarray:
    """Every second bit of `values`, moved together: one coordinate along a Z curve."""
    x = values & 0x55555555
    for shift, mask in ((1, 0x33333333), (2, 0x0F0F0F0F), (4, 0x00FF00FF), (8, 0x0000FFFF)):
        x = (x | (x >> shift)) & mask
    return x
