"""What a first look tells apart: boxes on their way, triangles with a plane between them, then their parts.

On straight lines distances to a plane change linearly, so that a plane is looked at at both ends of the way alone.
"""

from __future__ import annotations

import numpy as np

from ...jit import inlined_kernel, kernel
from .geometry import EDGE, VERTEX, gap_along

BIG, NONE, THIRD = np.float32(1e30), np.float32(0), np.float32(1 / 3)


@inlined_kernel
def stay_apart(p, a, q, b):  # type: ignore[no-untyped-def]
    """Whether what is in two boxes, rows `a` of `p` and `b` of `q`, is apart along an axis and stays so on its way."""
    i, j = np.uint32(a), np.uint32(b)  # which needs no look at whether it is negative
    for k in range(3):
        one, other = p[i, k] - q[j, 3 + k], q[j, k] - p[i, 3 + k]
        if one > NONE and one > q[j, 9 + k] - p[i, 6 + k]:
            return True
        if other > NONE and other > p[i, 9 + k] - q[j, 6 + k]:
            return True
    return False


@kernel
def _parted(kind, i, j, k, m, x, y, reach):  # type: ignore[no-untyped-def]
    """Whether planes across the line from middle to middle of a pair's sides part it by `reach` from `x` to `y`."""
    if kind == VERTEX:
        nx = x[i, 0] - (x[j, 0] + x[k, 0] + x[m, 0]) * THIRD
        ny = x[i, 1] - (x[j, 1] + x[k, 1] + x[m, 1]) * THIRD
        nz = x[i, 2] - (x[j, 2] + x[k, 2] + x[m, 2]) * THIRD
    else:
        nx = x[i, 0] + x[j, 0] - x[k, 0] - x[m, 0]
        ny = x[i, 1] + x[j, 1] - x[k, 1] - x[m, 1]
        nz = x[i, 2] + x[j, 2] - x[k, 2] - x[m, 2]
    gap = min(gap_along(kind, i, j, k, m, nx, ny, nz, x), gap_along(kind, i, j, k, m, nx, ny, nz, y))
    return gap > NONE and gap * gap > reach * reach * (nx * nx + ny * ny + nz * nz)


@kernel
def _gap_of_triangles(a, b, faces, nx, ny, nz, x):  # type: ignore[no-untyped-def]
    """How far a plane with this normal keeps two triangles apart."""
    low, high = BIG, -BIG
    for k in range(3):
        i, j = faces[a, k], faces[b, k]
        low = min(low, nx * x[i, 0] + ny * x[i, 1] + nz * x[i, 2])
        high = max(high, nx * x[j, 0] + ny * x[j, 1] + nz * x[j, 2])
    return low - high


@kernel
def _triangles_parted(a, b, faces, x, y, reach):  # type: ignore[no-untyped-def]
    """Whether planes across the line from middle to middle of two triangles part them by `reach` from `x` to `y`."""
    i, j, k = faces[a, 0], faces[a, 1], faces[a, 2]
    l, m, n = faces[b, 0], faces[b, 1], faces[b, 2]
    nx = (x[i, 0] + x[j, 0] + x[k, 0]) - (x[l, 0] + x[m, 0] + x[n, 0])
    ny = (x[i, 1] + x[j, 1] + x[k, 1]) - (x[l, 1] + x[m, 1] + x[n, 1])
    nz = (x[i, 2] + x[j, 2] + x[k, 2]) - (x[l, 2] + x[m, 2] + x[n, 2])
    gap = min(_gap_of_triangles(a, b, faces, nx, ny, nz, x), _gap_of_triangles(a, b, faces, nx, ny, nz, y))
    return gap > NONE and gap * gap > reach * reach * (nx * nx + ny * ny + nz * nz)


@kernel
def reach_of(kind, i, j, k, m, keep, slack):  # type: ignore[no-untyped-def]
    """The distance that a pair must have on its straight lines so as not to come nearer than `keep`."""
    if kind == VERTEX:
        return keep + slack[i] + max(max(slack[j], slack[k]), slack[m])
    return keep + max(slack[i], slack[j]) + max(slack[k], slack[m])


@kernel
def _shared(a, b, faces):  # type: ignore[no-untyped-def]
    """How many vertices two triangles share, and the corners of each of the last of them."""
    count, p, q = 0, 0, 0
    for c in range(3):
        for d in range(3):
            if faces[a, c] == faces[b, d]:
                count, p, q = count + 1, c, d
    return count, p, q


@kernel
def _gap_at_corner(v, i, j, k, m, nx, ny, nz, x):  # type: ignore[no-untyped-def]
    """How far vertices `i` and `j` are above a plane with this normal through vertex `v`, and `k` and `m` below it."""
    at = nx * x[v, 0] + ny * x[v, 1] + nz * x[v, 2]
    above = min(nx * x[i, 0] + ny * x[i, 1] + nz * x[i, 2], nx * x[j, 0] + ny * x[j, 1] + nz * x[j, 2]) - at
    below = at - max(nx * x[k, 0] + ny * x[k, 1] + nz * x[k, 2], nx * x[m, 0] + ny * x[m, 1] + nz * x[m, 2])
    return min(above, below)


@kernel
def _parted_at_corner(a, p, b, q, faces, x, y, reach):  # type: ignore[no-untyped-def]
    """Whether triangles that share corner `p` of one and `q` of the other point away from each other, from `x` to `y`.

    Each of the parts that they do not share is then by `reach` on its side of a plane through that corner.
    """
    v, i, j = faces[a, p], faces[a, (p + 1) % 3], faces[a, (p + 2) % 3]
    k, m = faces[b, (q + 1) % 3], faces[b, (q + 2) % 3]
    nx = x[i, 0] + x[j, 0] - x[k, 0] - x[m, 0]
    ny = x[i, 1] + x[j, 1] - x[k, 1] - x[m, 1]
    nz = x[i, 2] + x[j, 2] - x[k, 2] - x[m, 2]
    gap = min(_gap_at_corner(v, i, j, k, m, nx, ny, nz, x), _gap_at_corner(v, i, j, k, m, nx, ny, nz, y))
    return gap > NONE and gap * gap > reach * reach * (nx * nx + ny * ny + nz * nz)


@inlined_kernel
def compare(a, b, x, y, slack, faces, owns, half, margin, near, off):  # type: ignore[no-untyped-def]
    """Pairs of what triangle `a` owns and `b`, and the other way, that a first look cannot tell apart; how many.

    They are written to `near` (15,5) uint32: kind and vertices. Arguments as of `candidates.list_pairs`, and of `Cover`
    and `Boxes`: out of their tuples, whose references would be counted for each pair. Only pairs with a vertex that is
    `off` (V,) bool; all where that is None.
    """
    count = 0
    shared, at_a, at_b = _shared(a, b, faces)
    reach = margin[a] + margin[b]
    if shared == 0 and _triangles_parted(a, b, faces, x, y, reach):
        return count
    if shared == 1 and _parted_at_corner(a, at_a, b, at_b, faces, x, y, reach):
        return count
    for turn in range(2):
        p, q = (a, b) if turn == 0 else (b, a)
        if owns[p] & 7:
            j, k, m = faces[q, 0], faces[q, 1], faces[q, 2]
            for c in range(3):
                i = faces[p, c]
                if not owns[p] >> c & 1 or i in (j, k, m):
                    continue
                if off is not None and not (off[i] or off[j] or off[k] or off[m]):
                    continue
                if not _parted(VERTEX, i, j, k, m, x, y, reach_of(VERTEX, i, j, k, m, half[i] + half[m], slack)):
                    near[count, 0], near[count, 1], near[count, 2] = VERTEX, i, j
                    near[count, 3], near[count, 4] = k, m
                    count += 1
    if owns[b] < 8:
        return count
    for c in range(3):
        if owns[a] >> (3 + c) & 1:
            i, j = faces[a, c], faces[a, (c + 1) % 3]
            for d in range(3):
                k, m = faces[b, d], faces[b, (d + 1) % 3]
                if not owns[b] >> 3 + d & 1 or i in (k, m) or j in (k, m):
                    continue
                if off is not None and not (off[i] or off[j] or off[k] or off[m]):
                    continue
                if not _parted(EDGE, i, j, k, m, x, y, reach_of(EDGE, i, j, k, m, half[i] + half[m], slack)):
                    near[count, 0], near[count, 1], near[count, 2] = EDGE, i, j
                    near[count, 3], near[count, 4] = k, m
                    count += 1
    return count
