"""Compiled inner loops of the cloth solver (numba): one call advances one scene frame.

XPBD as in Macklin, Mueller, Chentanez, "XPBD: Position-Based Simulation of Compliant Constrained
Dynamics" (2016), with one iteration per small substep (Macklin et al., "Small Steps in Physics
Simulation", 2019). Serial Gauss-Seidel: the result does not depend on the number of threads.
Arithmetic stays as written (no fastmath): reordered sums would change with the compilation, and folds grow from that.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

f4 = np.float32
UNDER = 0.7  # cosine to the normal from which on a point is under a surface, and not beside the rim of an open one
STRONGEST_PUSH = 0.01  # metres a particle is pushed out of the body in one substep


@njit(cache=True, error_model="numpy", nogil=True)
def _solve_distances(x, inv_mass, pairs, rest, alpha):  # type: ignore[no-untyped-def]
    """Pull each pair towards its rest length; `alpha` is compliance / dt^2."""
    for e in range(pairs.shape[0]):
        i, j = pairs[e, 0], pairs[e, 1]
        w = inv_mass[i] + inv_mass[j]
        if w == 0.0:
            continue
        dx, dy, dz = x[i, 0] - x[j, 0], x[i, 1] - x[j, 1], x[i, 2] - x[j, 2]
        length = math.sqrt(dx * dx + dy * dy + dz * dz)
        if length < 1e-9:
            continue
        s = (rest[e] - length) / ((w + alpha) * length)
        a, b = s * inv_mass[i], s * inv_mass[j]
        x[i, 0] += a * dx
        x[i, 1] += a * dy
        x[i, 2] += a * dz
        x[j, 0] -= b * dx
        x[j, 1] -= b * dy
        x[j, 2] -= b * dz


@njit(cache=True, error_model="numpy", nogil=True)
def _solve_hinges(x, inv_mass, hinges, weights, alpha):  # type: ignore[no-untyped-def]
    """Bend: pull sum_k K_k x_k of each hinge to zero, which is flat, whatever its stretch (isometric bending)."""
    for e in range(hinges.shape[0]):
        rx, ry, rz, w = 0.0, 0.0, 0.0, 0.0
        for k in range(4):
            p, K = hinges[e, k], weights[e, k]
            rx += K * x[p, 0]
            ry += K * x[p, 1]
            rz += K * x[p, 2]
            w += inv_mass[p] * K * K
        for k in range(4):
            p = hinges[e, k]
            m = -inv_mass[p] * weights[e, k] / (w + alpha)
            x[p, 0] += m * rx
            x[p, 1] += m * ry
            x[p, 2] += m * rz


@njit(cache=True, error_model="numpy", nogil=True)
def _rub_threads(v, inv_mass, edges, viscosity):  # type: ignore[no-untyped-def]
    """Internal friction: neighbours share some of their velocity, which quiets jitter and spares the swing."""
    for e in range(edges.shape[0]):
        i, j = edges[e, 0], edges[e, 1]
        for k in range(3):
            d = viscosity * (v[j, k] - v[i, k])
            if inv_mass[i] > 0.0:
                v[i, k] += d
            if inv_mass[j] > 0.0:
                v[j, k] -= d


@njit(cache=True, error_model="numpy", nogil=True)
def _limit_tethers(x, inv_mass, anchor, reach):  # type: ignore[no-untyped-def]
    """No particle goes further from its anchor than along the cloth (long-range attachment)."""
    for i in range(x.shape[0]):
        a = anchor[i]
        if a < 0 or inv_mass[i] == 0.0:
            continue
        dx, dy, dz = x[i, 0] - x[a, 0], x[i, 1] - x[a, 1], x[i, 2] - x[a, 2]
        length = math.sqrt(dx * dx + dy * dy + dz * dz)
        if length > reach[i]:
            s = reach[i] / length
            x[i, 0] = x[a, 0] + dx * s
            x[i, 1] = x[a, 1] + dy * s
            x[i, 2] = x[a, 2] + dz * s


@njit(cache=True, error_model="numpy", nogil=True)
def limit_edges(x, freedom, edges, shortest, longest, rounds):  # type: ignore[no-untyped-def]
    """Gauss-Seidel over edges (E,2): bring each length of points `x` (V,3) into its bounds, in place.

    Each end moves in proportion to its `freedom` (V,).
    """
    for _ in range(rounds):
        for e in range(edges.shape[0]):
            i, j = edges[e, 0], edges[e, 1]
            w = freedom[i] + freedom[j]
            if w <= 0.0:
                continue
            dx, dy, dz = x[i, 0] - x[j, 0], x[i, 1] - x[j, 1], x[i, 2] - x[j, 2]
            length = np.sqrt(dx * dx + dy * dy + dz * dz)
            wanted = min(max(length, shortest[e]), longest[e])
            if wanted == length or length < 1e-9:
                continue
            s = (wanted - length) / (length * w)
            a, b = s * freedom[i], s * freedom[j]
            x[i, 0] += a * dx
            x[i, 1] += a * dy
            x[i, 2] += a * dz
            x[j, 0] -= b * dx
            x[j, 1] -= b * dy
            x[j, 2] -= b * dz


@njit(cache=True, error_model="numpy", nogil=True)
def closest_on_triangle(px, py, pz, a, b, c):  # type: ignore[no-untyped-def]
    """Squared distance from a point to triangle (a, b, c), and the weights of a, b, c whose sum is the nearest point.

    The interior is tried first, then the three sides as segments; a triangle without area has only its sides.
    """
    ex, ey, ez = b[0] - a[0], b[1] - a[1], b[2] - a[2]
    fx, fy, fz = c[0] - a[0], c[1] - a[1], c[2] - a[2]
    qx, qy, qz = px - a[0], py - a[1], pz - a[2]
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


@njit(cache=True, error_model="numpy", nogil=True)
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
            d, ua, ub, uc = closest_on_triangle(px, py, pz, body[faces[t, 0]], body[faces[t, 1]], body[faces[t, 2]])
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


@njit(cache=True, error_model="numpy", nogil=True)
def _collide(  # type: ignore[no-untyped-def]
    x, previous, inv_mass, near, clear, body, normals, body_step, fastest, faces, starts, around, deepest, thickness,
    friction,
):  # fmt: skip
    """Push particles out of the body: along the line to the nearest surface point of each tracked place.

    `near` (P,C) are places on the body that are followed from substep to substep, `clear` (P,C) a distance in which
    nothing can be touched, used up by the motion of the particle and of the body (at most `fastest` a substep). What
    lies under the surface by more than `deepest` is left alone.
    """
    for i in range(x.shape[0]):
        if inv_mass[i] == 0.0:
            continue
        mx, my, mz = x[i, 0] - previous[i, 0], x[i, 1] - previous[i, 1], x[i, 2] - previous[i, 2]
        travel = math.sqrt(mx * mx + my * my + mz * mz) + fastest
        for c in range(near.shape[1]):
            clear[i, c] -= travel
            if clear[i, c] > 0.0:
                continue
            px, py, pz = x[i, 0], x[i, 1], x[i, 2]
            d2, t, wa, wb, wc, near[i, c] = nearest_around(px, py, pz, near[i, c], body, faces, starts, around)
            if t < 0:
                continue
            k0, k1, k2 = faces[t, 0], faces[t, 1], faces[t, 2]
            nx = wa * normals[k0, 0] + wb * normals[k1, 0] + wc * normals[k2, 0]
            ny = wa * normals[k0, 1] + wb * normals[k1, 1] + wc * normals[k2, 1]
            nz = wa * normals[k0, 2] + wb * normals[k1, 2] + wc * normals[k2, 2]
            rx = px - wa * body[k0, 0] - wb * body[k1, 0] - wc * body[k2, 0]
            ry = py - wa * body[k0, 1] - wb * body[k1, 1] - wc * body[k2, 1]
            rz = pz - wa * body[k0, 2] - wb * body[k1, 2] - wc * body[k2, 2]
            distance, length = math.sqrt(d2), math.sqrt(nx * nx + ny * ny + nz * nz)
            if length < 1e-6:  # faces without area have no side
                continue
            over = rx * nx + ry * ny + rz * nz
            if over < 0.0 and over > -UNDER * distance * length:  # beside the rim of an open surface, not under it
                clear[i, c] = 0.0
                continue
            sign = 1.0 if over >= 0.0 else -1.0
            height = sign * distance
            clear[i, c] = max(height - thickness, 0.0)
            if height >= thickness or height < -deepest:
                continue
            if distance > 1e-4:
                nx, ny, nz = sign * rx / distance, sign * ry / distance, sign * rz / distance
            else:
                nx, ny, nz = nx / length, ny / length, nz / length
            push = min(thickness - height, STRONGEST_PUSH)
            x[i, 0] += push * nx
            x[i, 1] += push * ny
            x[i, 2] += push * nz
            bx = wa * body_step[k0, 0] + wb * body_step[k1, 0] + wc * body_step[k2, 0]
            by = wa * body_step[k0, 1] + wb * body_step[k1, 1] + wc * body_step[k2, 1]
            bz = wa * body_step[k0, 2] + wb * body_step[k1, 2] + wc * body_step[k2, 2]
            mx, my, mz = x[i, 0] - previous[i, 0] - bx, x[i, 1] - previous[i, 1] - by, x[i, 2] - previous[i, 2] - bz
            along = mx * nx + my * ny + mz * nz
            x[i, 0] -= friction * (mx - along * nx)
            x[i, 1] -= friction * (my - along * ny)
            x[i, 2] -= friction * (mz - along * nz)
            if along > 0.0:  # what the push added is a correction, not a speed
                previous[i, 0] += along * nx
                previous[i, 1] += along * ny
                previous[i, 2] += along * nz


@njit(cache=True, error_model="numpy", nogil=True)
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


@njit(cache=True, error_model="numpy", nogil=True)
def step_frame(  # type: ignore[no-untyped-def]
    x, v, inv_mass, hold, skin_from, skin_to, edges, edge_rest, hinges, hinge_weights, anchor, reach,
    near, clear, body_from, body_to, normals_from, normals_to, faces, starts, around, deepest,
    dt_frame, substeps, stretch, bend, damping, viscosity, gravity, thickness, friction,
):  # fmt: skip
    """Advance positions `x` and velocities `v` (P,3) in place over one scene frame of `dt_frame` seconds.

    Arguments from `stretch` on are those of `ClothSettings`; shares (`hold`, viscosity, friction) are of one substep.
    `hold` (P,) in 0..1 draws a particle to its skinned position; 1 pins it (its inv_mass is 0).
    `near` (P,C), `clear` (P,C) and `deepest`: see `_collide`, C = 0 without a body. Body and skin move linearly from
    *_from to *_to.
    """
    n = x.shape[0]
    h = dt_frame / substeps
    keep = math.exp(-damping * h)
    previous = np.empty_like(x)
    body, normals = np.empty_like(body_from), np.empty_like(body_from)
    body_step = (body_to - body_from) / f4(substeps)
    fastest = 0.0
    for i in range(body.shape[0]):
        fastest = max(fastest, body_step[i, 0] ** 2 + body_step[i, 1] ** 2 + body_step[i, 2] ** 2)
    fastest = math.sqrt(fastest)
    for s in range(substeps):
        b = f4((s + 1.0) / substeps)
        for i in range(n):
            for k in range(3):
                previous[i, k] = x[i, k]
                if inv_mass[i] == 0.0:
                    x[i, k] = skin_from[i, k] + b * (skin_to[i, k] - skin_from[i, k])
                else:
                    v[i, k] *= keep
                    if k == 2:
                        v[i, k] -= gravity * h
                    x[i, k] += h * v[i, k]
        _solve_hinges(x, inv_mass, hinges, hinge_weights, bend / (h * h))
        _solve_distances(x, inv_mass, edges, edge_rest, stretch / (h * h))
        for i in range(n):
            if inv_mass[i] > 0.0 and hold[i] > 0.0:
                for k in range(3):
                    goal = skin_from[i, k] + b * (skin_to[i, k] - skin_from[i, k])
                    x[i, k] += hold[i] * (goal - x[i, k])
        _limit_tethers(x, inv_mass, anchor, reach)
        if near.shape[1]:
            for i in range(body.shape[0]):
                for k in range(3):
                    body[i, k] = body_from[i, k] + b * (body_to[i, k] - body_from[i, k])
                    normals[i, k] = normals_from[i, k] + b * (normals_to[i, k] - normals_from[i, k])
            _collide(
                x, previous, inv_mass, near, clear, body, normals, body_step, fastest, faces, starts, around,
                deepest, thickness, friction,
            )  # fmt: skip
        for i in range(n):
            for k in range(3):
                v[i, k] = (x[i, k] - previous[i, k]) / h
        _rub_threads(v, inv_mass, edges, viscosity)


@njit(cache=True, error_model="numpy", nogil=True)
def heights_over(points, near, body, normals, faces, starts, around):  # type: ignore[no-untyped-def]
    """Signed distances (Q,) of points (Q,3) from the surface about body vertices `near` (Q,); inside is negative.

    Also the unit directions (Q,3) in which the heights grow.
    """
    heights, away = np.full(points.shape[0], 1e30, np.float32), np.zeros(points.shape, np.float32)
    for i in range(points.shape[0]):
        px, py, pz = points[i, 0], points[i, 1], points[i, 2]
        d2, t, wa, wb, wc, _ = nearest_around(px, py, pz, near[i], body, faces, starts, around)
        if t < 0:
            continue
        side, length = 0.0, 0.0
        for k in range(3):
            away[i, k] = wa * normals[faces[t, 0], k] + wb * normals[faces[t, 1], k] + wc * normals[faces[t, 2], k]
            p = wa * body[faces[t, 0], k] + wb * body[faces[t, 1], k] + wc * body[faces[t, 2], k]
            side += (points[i, k] - p) * away[i, k]
            length += away[i, k] ** 2
        distance = math.sqrt(d2)
        heights[i] = distance if side >= 0.0 else -distance
        for k in range(3):
            if distance > 1e-4:
                p = wa * body[faces[t, 0], k] + wb * body[faces[t, 1], k] + wc * body[faces[t, 2], k]
                away[i, k] = (points[i, k] - p) / heights[i]
            elif length > 0.0:
                away[i, k] /= math.sqrt(length)
    return heights, away
