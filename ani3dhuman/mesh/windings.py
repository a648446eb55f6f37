"""How often a closed mesh goes around a place: the solid angle under which it is seen, over that of a sphere."""

from __future__ import annotations

import math

import numpy as np

from ..jit import kernel


@kernel
def windings(points, faces, places):  # type: ignore[no-untyped-def]
    """How often triangles `faces` (F,3) of `points` (V,3) go around each of `places` (Q,3).

    Of a closed mesh that is wound outwards: 0 outside, 1 in it, 2 where it passes through itself.
    Van Oosterom, Strackee, "The solid angle of a plane triangle" (1983).
    """
    found = np.zeros(places.shape[0])
    for q in range(places.shape[0]):
        total, x, y, z = 0.0, float(places[q, 0]), float(places[q, 1]), float(places[q, 2])
        for f in range(faces.shape[0]):
            i, j, k = faces[f, 0], faces[f, 1], faces[f, 2]
            ax, ay, az = points[i, 0] - x, points[i, 1] - y, points[i, 2] - z
            bx, by, bz = points[j, 0] - x, points[j, 1] - y, points[j, 2] - z
            cx, cy, cz = points[k, 0] - x, points[k, 1] - y, points[k, 2] - z
            a = math.sqrt(ax * ax + ay * ay + az * az)
            b = math.sqrt(bx * bx + by * by + bz * bz)
            c = math.sqrt(cx * cx + cy * cy + cz * cz)
            over = ax * (by * cz - bz * cy) + ay * (bz * cx - bx * cz) + az * (bx * cy - by * cx)
            ab, bc, ca = ax * bx + ay * by + az * bz, bx * cx + by * cy + bz * cz, cx * ax + cy * ay + cz * az
            total += math.atan2(over, a * b * c + ab * c + bc * a + ca * b)
        found[q] = total / (2 * math.pi)
    return found
