# SPDX-License-Identifier: GPL-3.0-or-later
"""A layout that gives every triangle its own place in a square picture, sized by its area."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SMALLEST = 5  # texels along a cell of which nothing is mixed with its neighbours
_TEXELS_AT_ONCE = 1 << 20
_LEAST = 8  # texels along a cell where there is room


@dataclass(frozen=True)
class Atlas:
    """Where triangles lie in a picture of `side` texels.

    `uvs` (F,3,2). Two triangles share a square cell: `corners` (C,2) and `cells` (C,), in texels, are where each begins
    and how large it is.
    """

    side: int
    uvs: np.ndarray
    corners: np.ndarray
    cells: np.ndarray

    def spread(self, pixels: np.ndarray) -> np.ndarray:
        """Baked pixels (side,side,k), bottom row first, whose texels beside a triangle are as the nearest within it."""
        result = pixels.copy()
        for size in np.unique(self.cells[self.cells >= SMALLEST]):
            across, up = np.meshgrid(np.arange(size), np.arange(size), indexing="ij")
            second = across + up >= size
            x, y = np.where(second, size - 1 - across, across), np.where(second, size - 1 - up, up)
            last = size - 3  # x + y of the texels along the long side
            x, y = np.clip(x, 1, last - 1), np.clip(y, 1, last - 1)
            over = np.maximum(x + y - last, 0)
            x, y = x - (over + 1) // 2, y - over // 2
            x, y = np.where(second, size - 1 - x, x), np.where(second, size - 1 - y, y)
            corners = self.corners[self.cells == size]
            for some in np.array_split(corners, max(1, int(len(corners) * size**2 // _TEXELS_AT_ONCE))):
                left, low = some[:, 0, None, None], some[:, 1, None, None]
                result[low + up, left + across] = pixels[low + y, left + x]
        return result


def triangle_atlas(areas: np.ndarray, side: int) -> Atlas:
    """A layout of triangles with `areas` (F,), in a picture of `side` (a power of two) texels; none overlap.

    Cells are powers of two, the largest first along a Z curve, so they fill the square without gaps.
    """
    legs = np.sqrt(np.maximum(areas, 0) * 2)  # of right triangles
    low, high = 0.0, 2.0 * side / max(float(legs.max(initial=0.0)), 1e-20)
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if _texels(_cells(legs * middle, side)) <= side * side else (low, middle)
    every = _cells(legs * low, side)
    order = np.argsort(-every, kind="stable")
    cells = every[order][::2]
    if _texels(every) <= side * side:
        offsets = np.r_[0, np.cumsum(cells**2)[:-1]]
        corners = np.stack([_even_bits(offsets), _even_bits(offsets >> 1)], axis=1)
    else:  # too many triangles for the least cells: smaller ones, in rows
        columns = int(np.ceil(np.sqrt(len(cells))))
        cells = np.full(len(cells), max(side // columns, 1))
        corners = np.stack(np.divmod(np.arange(len(cells)), columns), axis=1) * cells[:, None] % side
    size = cells[:, None].astype(np.float64)
    gap = np.where(size < SMALLEST, size / 16, 1.0)
    end = size - np.where(size < SMALLEST, 3 * gap, 2.5)  # no edge goes through the middle of a texel
    lower = np.stack([np.c_[gap, gap], np.c_[end, gap], np.c_[gap, end]], axis=1)
    placed = np.empty((2 * len(cells), 3, 2))
    placed[0::2] = corners[:, None] + lower
    placed[1::2] = corners[:, None] + size[:, None] - lower
    uvs = np.empty((len(areas), 3, 2), np.float32)
    uvs[order] = placed[: len(areas)] / side
    return Atlas(side, uvs, corners, cells)


def _cells(legs: np.ndarray, side: int) -> np.ndarray:
    """The least power of two around triangles with these legs, in texels."""
    exponent = np.ceil(np.log2(np.maximum(legs + 4, _LEAST)))
    return np.minimum(2.0**exponent, side).astype(np.int64)


def _texels(cells: np.ndarray) -> int:
    """How many texels pairs of triangles in these cells take."""
    return int((np.sort(cells)[::-1][::2] ** 2).sum())


def _even_bits(values: np.ndarray) -> np.ndarray:
    """Every second bit of `values`, moved together: one coordinate along a Z curve."""
    x = values & 0x55555555
    for shift, mask in ((1, 0x33333333), (2, 0x0F0F0F0F), (4, 0x00FF00FF), (8, 0x0000FFFF)):
        x = (x | (x >> shift)) & mask
    return x
