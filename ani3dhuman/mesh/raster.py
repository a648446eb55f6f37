"""Triangles drawn into a picture: which one each pixel shows, and where on it (numba, z-buffer)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..jit import kernel

NEAR = 1e-3  # metres; a triangle with a corner nearer to the camera is not drawn
_STEPS = 61  # thresholds that opacities are compared with, a prime, so that neighbouring layers differ


class Cutouts(NamedTuple):
    """Opacities of faces that are clear in places; all arrays, so that kernels can read them.

    Attributes:
        texture_of: (F,) int32 number of the picture of a face's opacity, -1 for an opaque face.
        uvs: (F,3,2) float32, v upwards.
        alphas: all pictures one after the other, flat uint8, row 0 at the top.
        places: (P,3) int64 first element, height and width of each picture.
    """

    texture_of: np.ndarray
    uvs: np.ndarray
    alphas: np.ndarray
    places: np.ndarray


OPAQUE = Cutouts(np.zeros(0, np.int32), np.zeros((0, 3, 2), np.float32), np.zeros(0, np.uint8), np.zeros((0, 3), int))


@dataclass(frozen=True)
class Shown:
    """What pixels show.

    Attributes:
        faces: (H,W) int32 face of each pixel, -1 where there is none.
        barycentrics: (H,W,3) float32 on it, rows sum to 1.
        depth: (H,W) float32 along the view axis, infinite where there is nothing.
    """

    faces: np.ndarray
    barycentrics: np.ndarray
    depth: np.ndarray


def draw_triangles(
    vertices: np.ndarray,
    faces: np.ndarray,
    viewmat: np.ndarray,
    K: np.ndarray,
    size: tuple[int, int],
    cutouts: Cutouts = OPAQUE,
) -> Shown:
    """The nearest triangle at each pixel's centre.

    Args:
        vertices: (V,3) world.
        faces: (F,3); both sides are drawn.
        viewmat: (4,4) world to camera, OpenCV axes.
        K: (3,3) pixel intrinsics, pixel centres at +0.5.
        size: height and width, pixels.
        cutouts: opacities of the faces. A face of opacity a shows in a share a of the pixels, the same ones every time.
    """
    height, width = size
    local = vertices.astype(np.float64) @ viewmat[:3, :3].T.astype(np.float64) + viewmat[:3, 3]
    plane = local[:, :2] / np.maximum(local[:, 2:], 1e-9)
    points = np.concatenate([plane @ K[:2, :2].T.astype(np.float64) + K[:2, 2], local[:, 2:]], axis=1)
    shown = Shown(
        np.full((height, width), -1, np.int32),
        np.zeros((height, width, 3), np.float32),
        np.full((height, width), np.inf, np.float32),
    )
    _fill(points, np.ascontiguousarray(faces, np.int32), cutouts, *vars(shown).values())
    return shown


@kernel
def _opacity(cutouts, face, a, b, c):  # type: ignore[no-untyped-def]
    """Opacity 0..255 of the nearest texel."""
    start, height, width = cutouts.places[cutouts.texture_of[face]]
    uvs = cutouts.uvs[face]
    u = a * uvs[0, 0] + b * uvs[1, 0] + c * uvs[2, 0]
    v = a * uvs[0, 1] + b * uvs[1, 1] + c * uvs[2, 1]
    x, y = math.floor(u * width) % width, math.floor((1.0 - v) * height) % height
    return cutouts.alphas[start + y * width + x]


@kernel
def is_clear(cutouts, face, a, b, c, row, column):  # type: ignore[no-untyped-def]
    """Whether a face with a picture of its opacity lets a pixel through: as many of them as it is clear, the same."""
    step = (column * 37 + row * 23 + face * 17) % _STEPS
    return _opacity(cutouts, face, a, b, c) * _STEPS <= 255 * (step + 0.5)


@kernel
def _fill(points, faces, cutouts, shown, weights, depth):  # type: ignore[no-untyped-def]
    height, width = shown.shape
    cut = len(cutouts.texture_of) > 0
    for f in range(len(faces)):
        i, j, k = faces[f, 0], faces[f, 1], faces[f, 2]
        xa, ya, za = points[i, 0], points[i, 1], points[i, 2]
        xb, yb, zb = points[j, 0], points[j, 1], points[j, 2]
        xc, yc, zc = points[k, 0], points[k, 1], points[k, 2]
        if min(za, zb, zc) < NEAR:
            continue
        area = (xb - xa) * (yc - ya) - (xc - xa) * (yb - ya)
        if not abs(area) > 1e-12:
            continue
        left, right = max(math.ceil(min(xa, xb, xc) - 0.5), 0), min(math.floor(max(xa, xb, xc) - 0.5), width - 1)
        top, bottom = max(math.ceil(min(ya, yb, yc) - 0.5), 0), min(math.floor(max(ya, yb, yc) - 0.5), height - 1)
        share, near_a, near_b, near_c = 1.0 / area, 1.0 / za, 1.0 / zb, 1.0 / zc
        holed = cut and cutouts.texture_of[f] >= 0
        for row in range(top, bottom + 1):
            y, x, columns = row + 0.5, left + 0.5, right - left + 1.0
            first, last = 0.0, columns  # a column beyond where all three are above 0: most of a box is empty
            a = ((xb - x) * (yc - y) - (xc - x) * (yb - y)) * share
            b = ((xc - x) * (ya - y) - (xa - x) * (yc - y)) * share
            for value, step in ((a, (yb - yc) * share), (b, (yc - ya) * share), (1.0 - a - b, (ya - yb) * share)):
                if step > 0.0:
                    first = max(first, -value / step - 1.0)
                elif step < 0.0:
                    last = min(last, -value / step + 2.0)
            if not first < last:
                continue
            for column in range(left + int(first), left + int(last)):
                x = column + 0.5
                a = ((xb - x) * (yc - y) - (xc - x) * (yb - y)) * share
                b = ((xc - x) * (ya - y) - (xa - x) * (yc - y)) * share
                c = 1.0 - a - b
                if a < 0.0 or b < 0.0 or c < 0.0:
                    continue
                a, b, c = a * near_a, b * near_b, c * near_c
                z = 1.0 / (a + b + c)
                if z >= depth[row, column]:
                    continue
                a, b, c = a * z, b * z, c * z
                if holed and is_clear(cutouts, f, a, b, c, row, column):
                    continue
                shown[row, column] = f
                weights[row, column, 0], weights[row, column, 1], weights[row, column, 2] = a, b, c
                depth[row, column] = z
