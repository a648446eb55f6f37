"""Compiled inner loops of the cloth solver (numba): one call advances one scene frame.

XPBD as in Macklin, Mueller, Chentanez, "XPBD: Position-Based Simulation of Compliant Constrained
Dynamics" (2016), with one iteration per small substep (Macklin et al., "Small Steps in Physics
Simulation", 2019). Serial Gauss-Seidel: the result does not depend on the number of threads.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

f4 = np.float32


@njit(cache=True, fastmath=True)
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


@njit(cache=True, fastmath=True)
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


@njit(cache=True, fastmath=True)
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


@njit(cache=True, fastmath=True)
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


@njit(cache=True, fastmath=True)
def _collide(x, previous, inv_mass, near, body, normals, body_step, thickness, friction):  # type: ignore[no-untyped-def]
    """Push particles out of the body: planes of the three nearest body points, blended by distance."""
    for i in range(x.shape[0]):
        if inv_mass[i] == 0.0:
            continue
        d0, d1, d2 = 1e9, 1e9, 1e9
        k0, k1, k2 = -1, -1, -1
        for c in range(near.shape[1]):
            k = near[i, c]
            dx, dy, dz = x[i, 0] - body[k, 0], x[i, 1] - body[k, 1], x[i, 2] - body[k, 2]
            d = dx * dx + dy * dy + dz * dz
            if d < d0:
                d2, k2, d1, k1, d0, k0 = d1, k1, d0, k0, d, k
            elif d < d1:
                d2, k2, d1, k1 = d1, k1, d, k
            elif d < d2:
                d2, k2 = d, k
        if k2 < 0:
            continue
        w0, w1, w2 = 1.0 / (d0 + 1e-6), 1.0 / (d1 + 1e-6), 1.0 / (d2 + 1e-6)
        total = w0 + w1 + w2
        w0, w1, w2 = w0 / total, w1 / total, w2 / total
        nx = w0 * normals[k0, 0] + w1 * normals[k1, 0] + w2 * normals[k2, 0]
        ny = w0 * normals[k0, 1] + w1 * normals[k1, 1] + w2 * normals[k2, 1]
        nz = w0 * normals[k0, 2] + w1 * normals[k1, 2] + w2 * normals[k2, 2]
        n = math.sqrt(nx * nx + ny * ny + nz * nz)
        if n < 0.3:  # planes that face each other say nothing (armpit, between the legs)
            continue
        nx, ny, nz = nx / n, ny / n, nz / n
        px = w0 * body[k0, 0] + w1 * body[k1, 0] + w2 * body[k2, 0]
        py = w0 * body[k0, 1] + w1 * body[k1, 1] + w2 * body[k2, 1]
        pz = w0 * body[k0, 2] + w1 * body[k1, 2] + w2 * body[k2, 2]
        depth = thickness - ((x[i, 0] - px) * nx + (x[i, 1] - py) * ny + (x[i, 2] - pz) * nz)
        if depth <= 0.0 or depth > 0.1:  # deeper means the far side of a limb is nearest
            continue
        x[i, 0] += depth * nx
        x[i, 1] += depth * ny
        x[i, 2] += depth * nz
        mx = x[i, 0] - previous[i, 0] - body_step[k0, 0]
        my = x[i, 1] - previous[i, 1] - body_step[k0, 1]
        mz = x[i, 2] - previous[i, 2] - body_step[k0, 2]
        along = mx * nx + my * ny + mz * nz
        x[i, 0] -= friction * (mx - along * nx)
        x[i, 1] -= friction * (my - along * ny)
        x[i, 2] -= friction * (mz - along * nz)


@njit(cache=True, fastmath=True)
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


@njit(cache=True, fastmath=True)
def step_frame(  # type: ignore[no-untyped-def]
    x, v, inv_mass, hold, skin_from, skin_to, edges, edge_rest, hinges, hinge_weights, anchor, reach,
    near, body_from, body_to, normals, dt_frame, substeps, stretch, bend, damping, viscosity, gravity, thickness,
    friction,
):  # fmt: skip
    """Advance positions `x` and velocities `v` (P,3) in place over one scene frame of `dt_frame` seconds.

    Arguments from `stretch` on are those of `ClothSettings`. `hold` (P,) in 0..1 draws a particle to its
    skinned position; 1 pins it (its inv_mass is 0).
    `near` (P,C) are candidate body points; body and skin move linearly from *_from to *_to.
    """
    n = x.shape[0]
    h = dt_frame / substeps
    keep = math.exp(-damping * h)
    previous = np.empty_like(x)
    body = np.empty_like(body_from)
    body_step = (body_to - body_from) / f4(substeps)
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
            _collide(x, previous, inv_mass, near, body, normals, body_step, thickness, friction)
        for i in range(n):
            for k in range(3):
                v[i, k] = (x[i, k] - previous[i, k]) / h
        _rub_threads(v, inv_mass, edges, viscosity)
