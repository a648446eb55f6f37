"""Pairs of primitives (numba): the points where two are nearest, and where an edge pierces a triangle.

A pair is four vertices and its kind: vertex 0 against the triangle of the others, or the edge (0, 1) against (2, 3).
The first side weighs +1 in all, the second -1, so that the sum of weights times places leads from one to the other.
"""

from __future__ import annotations

import math

from ...jit import kernel
from ...mesh.kernels import closest_on_triangle

VERTEX, EDGE = 0, 1  # kinds of pairs
TINY = 1e-20


@kernel
def closest_on_edges(x, i, j, k, m):  # type: ignore[no-untyped-def]
    """Squared distance of the segments (i, j) and (k, m) of rows of `x`, and where along each they are nearest."""
    ux, uy, uz = x[j, 0] - x[i, 0], x[j, 1] - x[i, 1], x[j, 2] - x[i, 2]
    vx, vy, vz = x[m, 0] - x[k, 0], x[m, 1] - x[k, 1], x[m, 2] - x[k, 2]
    rx, ry, rz = x[i, 0] - x[k, 0], x[i, 1] - x[k, 1], x[i, 2] - x[k, 2]
    uu, vv, uv = ux * ux + uy * uy + uz * uz, vx * vx + vy * vy + vz * vz, ux * vx + uy * vy + uz * vz
    ur, vr = ux * rx + uy * ry + uz * rz, vx * rx + vy * ry + vz * rz
    s, t = 0.0, 0.0
    if uu > TINY and vv > TINY:
        area = uu * vv - uv * uv
        if area > 1e-9 * uu * vv:
            s = min(max((uv * vr - ur * vv) / area, 0.0), 1.0)
        t = (uv * s + vr) / vv
        if t < 0.0:
            t, s = 0.0, min(max(-ur / uu, 0.0), 1.0)
        elif t > 1.0:
            t, s = 1.0, min(max((uv - ur) / uu, 0.0), 1.0)
    elif uu > TINY:
        s = min(max(-ur / uu, 0.0), 1.0)
    elif vv > TINY:
        t = min(max(vr / vv, 0.0), 1.0)
    dx, dy, dz = rx + s * ux - t * vx, ry + s * uy - t * vy, rz + s * uz - t * vz
    return dx * dx + dy * dy + dz * dz, s, t


@kernel
def nearest_of_pair(kind, i, j, k, m, x):  # type: ignore[no-untyped-def]
    """Distance of a pair of vertices of `x`, the unit direction from its second side to its first, and four weights."""
    if kind == VERTEX:
        _d2, wb, wc, wd = closest_on_triangle(x[i, 0], x[i, 1], x[i, 2], x, j, k, m)
        wa, wb, wc, wd = 1.0, -wb, -wc, -wd
    else:
        _d2, s, t = closest_on_edges(x, i, j, k, m)
        wa, wb, wc, wd = 1.0 - s, s, t - 1.0, -t
    nx = wa * x[i, 0] + wb * x[j, 0] + wc * x[k, 0] + wd * x[m, 0]
    ny = wa * x[i, 1] + wb * x[j, 1] + wc * x[k, 1] + wd * x[m, 1]
    nz = wa * x[i, 2] + wb * x[j, 2] + wc * x[k, 2] + wd * x[m, 2]
    distance = math.sqrt(nx * nx + ny * ny + nz * nz)
    if distance > 0.0:
        nx, ny, nz = nx / distance, ny / distance, nz / distance
    return distance, nx, ny, nz, wa, wb, wc, wd


@kernel
def gap_along(kind, i, j, k, m, nx, ny, nz, x):  # type: ignore[no-untyped-def]
    """How far a plane with this normal keeps the sides of a pair apart: negative where it does not."""
    a = nx * x[i, 0] + ny * x[i, 1] + nz * x[i, 2]
    b = nx * x[j, 0] + ny * x[j, 1] + nz * x[j, 2]
    c = nx * x[k, 0] + ny * x[k, 1] + nz * x[k, 2]
    d = nx * x[m, 0] + ny * x[m, 1] + nz * x[m, 2]
    if kind == VERTEX:
        return a - max(b, c, d)
    return min(a, b) - max(c, d)


@kernel
def pierces(x, p, q, a, b, c):  # type: ignore[no-untyped-def]
    """Whether the segment (p, q) of rows of `x` passes through the triangle (a, b, c); where along it, and the corners'
    weights."""
    ax, ay, az = float(x[a, 0]), float(x[a, 1]), float(x[a, 2])
    ex, ey, ez = x[b, 0] - ax, x[b, 1] - ay, x[b, 2] - az
    fx, fy, fz = x[c, 0] - ax, x[c, 1] - ay, x[c, 2] - az
    px, py, pz = float(x[p, 0]), float(x[p, 1]), float(x[p, 2])
    dx, dy, dz = x[q, 0] - px, x[q, 1] - py, x[q, 2] - pz
    hx, hy, hz = dy * fz - dz * fy, dz * fx - dx * fz, dx * fy - dy * fx
    det = ex * hx + ey * hy + ez * hz
    if det == 0.0:
        return False, 0.0, 0.0, 0.0
    sx, sy, sz = px - ax, py - ay, pz - az
    u = (sx * hx + sy * hy + sz * hz) / det
    if u < 0.0 or u > 1.0:
        return False, 0.0, 0.0, 0.0
    gx, gy, gz = sy * ez - sz * ey, sz * ex - sx * ez, sx * ey - sy * ex
    w = (dx * gx + dy * gy + dz * gz) / det
    if w < 0.0 or u + w > 1.0:
        return False, 0.0, 0.0, 0.0
    t = (fx * gx + fy * gy + fz * gz) / det
    return t >= 0.0 and t <= 1.0, t, u, w
