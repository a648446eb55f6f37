"""Compiled geometry of triangle meshes (numba): vertex normals, nearest points, signed heights, edge limits.

Arithmetic stays as written (no fastmath): reordered sums would change with the compilation.
"""

from __future__ import annotations

import math

import numpy as np
from numba import prange

from ..jit import inlined_kernel, kernel, parallel_kernel

FEW = 32  # times less than there are, edges out of their bounds from which on what was moved is kept track of
UNDER = 0.7  # cosine to the normal from which on a point is under a surface, and not beside the rim of an open one


@kernel
def _edges_at(ends, count):  # type: ignore[no-untyped-def]
    """Edges at each of `count` points: at[first[v]:first[v + 1]] of edges (E,2)."""
    first, at = np.zeros(count + 1, np.uint32), np.empty(2 * ends.shape[0], np.uint32)
    for e in range(ends.shape[0]):
        for k in range(2):
            first[ends[e, k]] += 1
    total = np.uint32(0)
    for v in range(count + 1):
        total += first[v]
        first[v] = total
    for e in range(ends.shape[0]):
        for k in range(2):
            v = ends[e, k]
            first[v] -= 1
            at[first[v]] = e
    return first, at


@kernel
def _limit_due(x, freedom, ends, bounds, eights, free, last, known, first, at):  # type: ignore[no-untyped-def]
    """One round of `limit_edges` over edges that are due; how many were out of their bounds.

    `bounds` (E,4): least and greatest length, and squares between which a length surely is within them. `eights`: which
    are due, of those that are `free` (E,) uint8. `last` (V,): the last edge that moved each point. Where edges at each
    point are `known`, as of `_edges_at`, those of what is moved become due.
    """
    due, found = eights.view(np.uint8), 0
    for eight in range(eights.shape[0]):
        if eights[eight] == 0:
            continue
        for e in range(np.uint64(8 * eight), np.uint64(min(8 * eight + 8, ends.shape[0]))):
            if not due[e]:
                continue
            due[e] = 0
            i, j = ends[e, 0], ends[e, 1]
            dx, dy, dz = x[i, 0] - x[j, 0], x[i, 1] - x[j, 1], x[i, 2] - x[j, 2]
            square = dx * dx + dy * dy + dz * dz
            if (square > bounds[e, 2]) & (square < bounds[e, 3]):  # no root is needed
                continue
            length = np.sqrt(square)
            wanted = min(max(length, bounds[e, 0]), bounds[e, 1])
            if wanted == length or length < 1e-9:
                continue
            found += 1
            s = (wanted - length) / (length * (freedom[i] + freedom[j]))
            a, b = s * freedom[i], s * freedom[j]
            x[i, 0] += a * dx
            x[i, 1] += a * dy
            x[i, 2] += a * dz
            x[j, 0] -= b * dx
            x[j, 1] -= b * dy
            x[j, 2] -= b * dz
            last[i] = last[j] = e
            if known:
                for k in range(first[i], first[i + 1]):
                    due[at[k]] = free[at[k]]
                for k in range(first[j], first[j + 1]):
                    due[at[k]] = free[at[k]]
    return found


@kernel
def limit_edges(x, freedom, edges, shortest, longest, rounds):  # type: ignore[no-untyped-def]
    """Gauss-Seidel over edges (E,2): bring each length of points `x` (V,3) into its bounds, in place.

    Each end moves in proportion to its `freedom` (V,). At most so many `rounds`; fewer where all are. Once few edges
    are out of their bounds, those alone are looked at of which an end was moved since they were.
    """
    ends, count, bounds = edges.astype(np.uint32), edges.shape[0], np.empty((edges.shape[0], 4), np.float32)
    eights = np.zeros((count + 7) // 8, np.uint64)
    due, free = eights.view(np.uint8), np.zeros(eights.shape[0] * 8, np.uint8)
    for e in range(count):
        free[e] = freedom[ends[e, 0]] + freedom[ends[e, 1]] > 0.0
        bounds[e, 0], bounds[e, 1] = shortest[e], longest[e]
        bounds[e, 2], bounds[e, 3] = 1.00001 * shortest[e] * shortest[e], 0.99999 * longest[e] * longest[e]
    last, none, found = np.empty(x.shape[0], np.int64), np.empty(0, np.uint32), count
    while rounds > 0 and found * FEW >= count:
        rounds -= 1
        due[:] = free
        last[:] = -1
        found = _limit_due(x, freedom, ends, bounds, eights, free, last, False, none, none)
    if found == 0 or rounds == 0:
        return
    first, at = _edges_at(ends, x.shape[0])
    for e in range(count):
        due[e] = free[e] and max(last[ends[e, 0]], last[ends[e, 1]]) >= e
    while rounds > 0 and found > 0:
        rounds -= 1
        found = _limit_due(x, freedom, ends, bounds, eights, free, last, True, first, at)


@kernel
def closest_on_triangle(px, py, pz, x, i, j, k):  # type: ignore[no-untyped-def]
    """Squared distance from a point to the triangle of rows `i`, `j`, `k` of `x`, and their weights in what is nearest.

    The interior is tried first, then the three sides as segments; a triangle without area has only its sides.
    """
    ax, ay, az = x[i, 0], x[i, 1], x[i, 2]  # no rows are cut out: that would count references, for each triangle
    ex, ey, ez = x[j, 0] - ax, x[j, 1] - ay, x[j, 2] - az
    fx, fy, fz = x[k, 0] - ax, x[k, 1] - ay, x[k, 2] - az
    qx, qy, qz = px - ax, py - ay, pz - az
    ee, ff, ef = ex * ex + ey * ey + ez * ez, fx * fx + fy * fy + fz * fz, ex * fx + ey * fy + ez * fz
    qe, qf = qx * ex + qy * ey + qz * ez, qx * fx + qy * fy + qz * fz
    area = ee * ff - ef * ef
    if area > 1e-7 * ee * ff:
        u, w = (ff * qe - ef * qf) / area, (ee * qf - ef * qe) / area
        if u >= 0.0 and w >= 0.0 and u + w <= 1.0:
            dx, dy, dz = qx - u * ex - w * fx, qy - u * ey - w * fy, qz - u * ez - w * fz
            return dx * dx + dy * dy + dz * dz, 1.0 - u - w, u, w
    best, wa, wb, wc = 1e30, 1.0, 0.0, 0.0
    for side in range(3):
        if side == 0:  # from a along e
            length, along, ox, oy, oz, gx, gy, gz = ee, qe, qx, qy, qz, ex, ey, ez
        elif side == 1:  # from a along f
            length, along, ox, oy, oz, gx, gy, gz = ff, qf, qx, qy, qz, fx, fy, fz
        else:  # from b to c
            gx, gy, gz = fx - ex, fy - ey, fz - ez
            ox, oy, oz = qx - ex, qy - ey, qz - ez
            length, along = gx * gx + gy * gy + gz * gz, ox * gx + oy * gy + oz * gz
        t = 0.0
        if length > 1e-20:
            t = min(max(along / length, 0.0), 1.0)
        dx, dy, dz = ox - t * gx, oy - t * gy, oz - t * gz
        d = dx * dx + dy * dy + dz * dz
        if d < best:
            best = d
            if side == 0:
                wa, wb, wc = 1.0 - t, t, 0.0
            elif side == 1:
                wa, wb, wc = 1.0 - t, 0.0, t
            else:
                wa, wb, wc = 0.0, 1.0 - t, t
    return best, wa, wb, wc


@kernel
def nearest_around(px, py, pz, vertex, body, faces, starts, around):  # type: ignore[no-untyped-def]
    """Walk over a mesh from `vertex` to the point of it nearest to (px, py, pz), as long as that comes closer.

    Returns the squared distance, the triangle, its corners' weights, and the corner to start from next time.
    `around[starts[v]:starts[v + 1]]` are the triangles at vertex v. On a limb, which is round, the walk finds
    the nearest point of that limb, be the point inside or outside.
    """
    best, triangle, wa, wb, wc = 1e30, -1, 0.0, 0.0, 0.0
    for _ in range(12):
        found = False
        for s in range(starts[vertex], starts[vertex + 1]):
            t = around[s]
            d, ua, ub, uc = closest_on_triangle(px, py, pz, body, faces[t, 0], faces[t, 1], faces[t, 2])
            if d < best * 0.999999:
                best, triangle, wa, wb, wc = d, t, ua, ub, uc
                found = True
        if not found:
            break
        corner = faces[triangle, 0]
        if wb > wa and wb >= wc:
            corner = faces[triangle, 1]
        elif wc > wa and wc > wb:
            corner = faces[triangle, 2]
        if corner == vertex:
            break
        vertex = corner
    return best, triangle, wa, wb, wc, vertex


@kernel
def point_normals(vertices, faces):  # type: ignore[no-untyped-def]
    """Area-weighted unit normals (V,3) of a triangle mesh; zero where no face has area."""
    normals = np.zeros_like(vertices)
    for t in range(faces.shape[0]):
        a, b, c = faces[t, 0], faces[t, 1], faces[t, 2]
        ux, uy, uz = vertices[b, 0] - vertices[a, 0], vertices[b, 1] - vertices[a, 1], vertices[b, 2] - vertices[a, 2]
        wx, wy, wz = vertices[c, 0] - vertices[a, 0], vertices[c, 1] - vertices[a, 1], vertices[c, 2] - vertices[a, 2]
        nx, ny, nz = uy * wz - uz * wy, uz * wx - ux * wz, ux * wy - uy * wx
        for v in (a, b, c):
            normals[v, 0] += nx
            normals[v, 1] += ny
            normals[v, 2] += nz
    for v in range(normals.shape[0]):
        length = math.sqrt(normals[v, 0] ** 2 + normals[v, 1] ** 2 + normals[v, 2] ** 2)
        if length > 0.0:
            for k in range(3):
                normals[v, k] /= length
    return normals


@kernel
def strays(steps, faces, rings):  # type: ignore[no-untyped-def]
    """By how much points of a mesh, within so many rings of each, go another way than it: (Q,) metres, no less.

    `steps` (Q,3) is how the points go.
    """
    far = np.zeros(steps.shape[0], np.float32)
    for _ in range(rings):
        before = far.copy()
        for t in range(faces.shape[0]):
            for c in range(3):
                i, j = faces[t, c], faces[t, (c + 1) % 3]
                dx, dy, dz = steps[i, 0] - steps[j, 0], steps[i, 1] - steps[j, 1], steps[i, 2] - steps[j, 2]
                d = math.sqrt(dx * dx + dy * dy + dz * dz)
                far[i], far[j] = max(far[i], before[j] + d), max(far[j], before[i] + d)
    return far


@kernel
def height_over(px, py, pz, d2, triangle, wa, wb, wc, body, normals, faces):  # type: ignore[no-untyped-def]
    """Signed distance of a point from its nearest surface point, as of `nearest_around`, and where it grows.

    The side is that of the interpolated vertex normal. A point that is behind the surface but not under it (`UNDER`) is
    beside the rim of an open mesh: it counts as outside, and as having no side, like one over a triangle without area.

    Returns:
        Metres, negative inside; whether the point has no side; the unit direction in which the distance grows.
    """
    k0, k1, k2 = faces[triangle, 0], faces[triangle, 1], faces[triangle, 2]
    nx = wa * normals[k0, 0] + wb * normals[k1, 0] + wc * normals[k2, 0]
    ny = wa * normals[k0, 1] + wb * normals[k1, 1] + wc * normals[k2, 1]
    nz = wa * normals[k0, 2] + wb * normals[k1, 2] + wc * normals[k2, 2]
    rx = px - wa * body[k0, 0] - wb * body[k1, 0] - wc * body[k2, 0]
    ry = py - wa * body[k0, 1] - wb * body[k1, 1] - wc * body[k2, 1]
    rz = pz - wa * body[k0, 2] - wb * body[k1, 2] - wc * body[k2, 2]
    distance, length = math.sqrt(d2), math.sqrt(nx * nx + ny * ny + nz * nz)
    over = rx * nx + ry * ny + rz * nz
    no_side = length < 1e-6 or (over < 0.0 and over > -UNDER * distance * length)
    sign = 1.0 if over >= 0.0 or no_side else -1.0
    if distance > 1e-4:
        nx, ny, nz = sign * rx / distance, sign * ry / distance, sign * rz / distance
    elif length > 0.0:
        nx, ny, nz = nx / length, ny / length, nz / length
    return sign * distance, no_side, nx, ny, nz


@kernel
def _is_under(px, py, pz, distance, triangle, body, faces):  # type: ignore[no-untyped-def]
    """Whether a point, so far from its nearest one on a triangle, is under that by the triangle's own normal."""
    i, j, k = faces[triangle, 0], faces[triangle, 1], faces[triangle, 2]
    ex, ey, ez = body[j, 0] - body[i, 0], body[j, 1] - body[i, 1], body[j, 2] - body[i, 2]
    fx, fy, fz = body[k, 0] - body[i, 0], body[k, 1] - body[i, 1], body[k, 2] - body[i, 2]
    gx, gy, gz = ey * fz - ez * fy, ez * fx - ex * fz, ex * fy - ey * fx
    over = (px - body[i, 0]) * gx + (py - body[i, 1]) * gy + (pz - body[i, 2]) * gz
    return over < -UNDER * distance * math.sqrt(gx * gx + gy * gy + gz * gz)


@inlined_kernel
def _put_height(i, points, near, body, normals, faces, starts, around, heights, away):  # type: ignore[no-untyped-def]
    """One row of `heights_over`."""
    px, py, pz = points[i, 0], points[i, 1], points[i, 2]
    d2, t, wa, wb, wc, _ = nearest_around(px, py, pz, near[i], body, faces, starts, around)
    if t >= 0:
        height, no_side, nx, ny, nz = height_over(px, py, pz, d2, t, wa, wb, wc, body, normals, faces)
        if no_side and height > 1e-4 and _is_under(px, py, pz, height, t, body, faces):
            height, nx, ny, nz = -height, -nx, -ny, -nz
        heights[i], away[i, 0], away[i, 1], away[i, 2] = height, nx, ny, nz


@kernel
def heights_over(points, near, body, normals, faces, starts, around):  # type: ignore[no-untyped-def]
    """`height_over` of points (Q,3), walked to from body vertices `near` (Q,): heights (Q,), directions (Q,3).

    What is under its triangle is inside here, though vertex normals lean, as along the edges of a box.
    """
    heights, away = np.full(points.shape[0], 1e30, np.float32), np.zeros(points.shape, np.float32)
    for i in range(points.shape[0]):
        _put_height(i, points, near, body, normals, faces, starts, around, heights, away)
    return heights, away


@parallel_kernel
def heights_over_of_many(points, near, body, normals, faces, starts, around):  # type: ignore[no-untyped-def]
    """As `heights_over`, on all threads."""
    heights, away = np.full(points.shape[0], 1e30, np.float32), np.zeros(points.shape, np.float32)
    for i in prange(points.shape[0]):
        _put_height(i, points, near, body, normals, faces, starts, around, heights, away)
    return heights, away
