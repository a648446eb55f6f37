"""Compiled inner loops of the cloth solver (numba): one call advances one scene frame.

XPBD as in Macklin, Mueller, Chentanez, "XPBD: Position-Based Simulation of Compliant Constrained
Dynamics" (2016), with one iteration per small substep (Macklin et al., "Small Steps in Physics
Simulation", 2019). Serial Gauss-Seidel: the result does not depend on the number of threads.
Arithmetic stays as written (no fastmath): reordered sums would change with the compilation, and folds grow from that.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import prange

from ..jit import kernel, parallel_kernel
from ..mesh.kernels import height_over, nearest_around
from .contact.candidates import Cover
from .contact.touch import DONE, hold_apart
from .rods import bend_strands

f4 = np.float32
STRONGEST_PUSH = 0.01  # metres a particle is pushed out of the body in one substep
FASTEST_PUSH = 7.2  # m/s, how much faster than the body that may be
LONG, LONGEST = 1.1, 1.2  # times its rest, of an edge before and after the body pushes, which so cannot tear it
CATCH_UP = 3.0  # m/s that an edge too long may gain in a substep, so that cloth follows what pulls it
PRESSED = 0.05  # times its own, the mobility of what the body pushes against other cloth, so that it stays outside
OPPOSED = -0.2  # cosine between two pushes of the body from which on what is between is pinched
OVERLAP = 0.004, 0.016  # metres that touched places of the body lie under a new one, from and to which that gives way
AWAY = 1.0  # metres, of what is left out for a frame


class Cloth(NamedTuple):
    """P particles and what holds them together; see `Constraints`.

    Attributes:
        inv_mass: (P,) 1/kg, 0 for pinned particles.
        edge_give, hinge_give, joint_give: (E,), (H,), (S,) compliances, m/N.
        joints: (S,3) neighbours along strands; see `rods.bend_strands`.
    """

    inv_mass: np.ndarray
    edges: np.ndarray
    edge_rest: np.ndarray
    edge_give: np.ndarray
    hinges: np.ndarray
    hinge_weights: np.ndarray
    hinge_give: np.ndarray
    joints: np.ndarray
    joint_give: np.ndarray
    anchor: np.ndarray
    reach: np.ndarray


class Fabric(NamedTuple):
    """What of `ClothSettings` holds for one frame, for each of P particles.

    Attributes:
        air: (P,) share of the velocity lost a second; gravity: m/s^2; thickness: (P,) metres kept from the body.
        rub: (E,) share of the difference of velocity along each edge that is lost in a substep.
        friction: (P,) share of the sliding over the body that is lost in a substep.
        grip: (P,) Coulomb's coefficient between cloth and cloth.
    """

    air: np.ndarray
    rub: np.ndarray
    gravity: float
    thickness: np.ndarray
    friction: np.ndarray
    grip: np.ndarray


class State(NamedTuple):
    """Places and velocities (P,3) now; places where the substep began, and those that velocities are reckoned from.

    `mobile` (P,) float32: inverse masses as other cloth meets them in this substep.
    """

    x: np.ndarray
    v: np.ndarray
    began: np.ndarray
    previous: np.ndarray
    mobile: np.ndarray


class Pose(NamedTuple):
    """A frame's skin positions (P,3), and the body's points (Q,3) with their normals."""

    skin: np.ndarray
    body: np.ndarray
    normals: np.ndarray


class Body(NamedTuple):
    """The obstacle's triangles; see `Obstacle`. `near` (P,C) and `clear` (P,C): see `_collide`, C = 0 without a body.

    Attributes:
        faces: (F,3); around[starts[q]:starts[q + 1]]: the triangles at point q.
        deepest: metres under the surface below which a particle is left alone.
        friction: (F,) float32 share of the sliding over it that is lost in a substep, below 0 as the fabric says.
        radii: (Q,) float32 metres, see `Obstacle.radii`.
    """

    near: np.ndarray
    clear: np.ndarray
    faces: np.ndarray
    starts: np.ndarray
    around: np.ndarray
    deepest: float
    friction: np.ndarray
    radii: np.ndarray


@kernel
def _solve_distances(x, inv_mass, pairs, rest, give, h):  # type: ignore[no-untyped-def]
    """Pull each pair towards its rest length in a substep of `h` seconds."""
    per = f4(1.0 / (h * h))
    for e in range(pairs.shape[0]):
        i, j = pairs[e, 0], pairs[e, 1]
        w = inv_mass[i] + inv_mass[j]
        if w == 0.0:
            continue
        dx, dy, dz = x[i, 0] - x[j, 0], x[i, 1] - x[j, 1], x[i, 2] - x[j, 2]
        length = math.sqrt(dx * dx + dy * dy + dz * dz)
        if length < 1e-9:
            continue
        s = (rest[e] - length) / ((w + give[e] * per) * length)
        a, b = s * inv_mass[i], s * inv_mass[j]
        x[i, 0] += a * dx
        x[i, 1] += a * dy
        x[i, 2] += a * dz
        x[j, 0] -= b * dx
        x[j, 1] -= b * dy
        x[j, 2] -= b * dz


@kernel
def _limit_stretch(x, base, gain, inv_mass, pairs, rest, longest):  # type: ignore[no-untyped-def]
    """Bring what is longer than `longest` times its rest back to that: no fabric of a garment gives so much.

    It takes the speed at which it grows longer, and adds no more than `gain` metres in the substep: `base` (P,3), from
    which speeds are reckoned, goes along by the rest.
    """
    for e in range(pairs.shape[0]):
        i, j = pairs[e, 0], pairs[e, 1]
        dx, dy, dz = x[i, 0] - x[j, 0], x[i, 1] - x[j, 1], x[i, 2] - x[j, 2]
        square, most = dx * dx + dy * dy + dz * dz, f4(longest) * rest[e]
        if square <= most * most:
            continue
        w = inv_mass[i] + inv_mass[j]
        if w == 0.0:
            continue
        length = math.sqrt(square)
        grown = dx * (x[i, 0] - base[i, 0] - x[j, 0] + base[j, 0])
        grown += dy * (x[i, 1] - base[i, 1] - x[j, 1] + base[j, 1])
        grown += dz * (x[i, 2] - base[i, 2] - x[j, 2] + base[j, 2])
        share = f4(1.0) - min(max((grown / length + gain) / (length - most), f4(0.0)), f4(1.0))
        s = (most / length - f4(1.0)) / w
        a, b = s * inv_mass[i], s * inv_mass[j]
        x[i, 0] += a * dx
        x[i, 1] += a * dy
        x[i, 2] += a * dz
        x[j, 0] -= b * dx
        x[j, 1] -= b * dy
        x[j, 2] -= b * dz
        base[i, 0] += share * a * dx
        base[i, 1] += share * a * dy
        base[i, 2] += share * a * dz
        base[j, 0] -= share * b * dx
        base[j, 1] -= share * b * dy
        base[j, 2] -= share * b * dz


@kernel
def _solve_hinges(x, inv_mass, hinges, weights, give, h):  # type: ignore[no-untyped-def]
    """Bend: pull sum_k K_k x_k of each hinge to zero, which is flat, whatever its stretch (isometric bending)."""
    per = f4(1.0 / (h * h))
    for e in range(hinges.shape[0]):
        rx, ry, rz, w = 0.0, 0.0, 0.0, 0.0
        for k in range(4):
            p, K = hinges[e, k], weights[e, k]
            rx += K * x[p, 0]
            ry += K * x[p, 1]
            rz += K * x[p, 2]
            w += inv_mass[p] * K * K
        if w == 0.0:
            continue
        for k in range(4):
            p = hinges[e, k]
            m = -inv_mass[p] * weights[e, k] / (w + give[e] * per)
            x[p, 0] += m * rx
            x[p, 1] += m * ry
            x[p, 2] += m * rz


@kernel
def _rub_threads(v, inv_mass, edges, rub):  # type: ignore[no-untyped-def]
    """Internal friction: neighbours lose a share of their difference, which quiets jitter and spares the swing."""
    for e in range(edges.shape[0]):
        i, j = edges[e, 0], edges[e, 1]
        w = inv_mass[i] + inv_mass[j]
        if w == 0.0:
            continue
        a, b = rub[e] * inv_mass[i] / w, rub[e] * inv_mass[j] / w
        for k in range(3):
            d = v[j, k] - v[i, k]
            v[i, k] += a * d
            v[j, k] -= b * d


@kernel
def _limit_tethers(x, base, inv_mass, anchor, reach):  # type: ignore[no-untyped-def]
    """No particle goes further from its anchor than along the cloth (long-range attachment); speeds as there above."""
    for i in range(x.shape[0]):
        a = anchor[i]
        if a < 0 or inv_mass[i] == 0.0:
            continue
        dx, dy, dz = x[i, 0] - x[a, 0], x[i, 1] - x[a, 1], x[i, 2] - x[a, 2]
        length = math.sqrt(dx * dx + dy * dy + dz * dz)
        if length > reach[i]:
            grown = dx * (x[i, 0] - base[i, 0] - x[a, 0] + base[a, 0])
            grown += dy * (x[i, 1] - base[i, 1] - x[a, 1] + base[a, 1])
            grown += dz * (x[i, 2] - base[i, 2] - x[a, 2] + base[a, 2])
            s = reach[i] / length
            share = (f4(1.0) - min(max(grown / (length * (length - reach[i])), f4(0.0)), f4(1.0))) * (s - f4(1.0))
            x[i, 0] = x[a, 0] + dx * s
            x[i, 1] = x[a, 1] + dy * s
            x[i, 2] = x[a, 2] + dz * s
            base[i, 0] += share * dx
            base[i, 1] += share * dy
            base[i, 2] += share * dz


@parallel_kernel
def _collide(x, previous, inv_mass, mobile, body, points, normals, body_step, bounds, fabric):  # type: ignore[no-untyped-def]
    """Push particles out of the body: along the line to the nearest surface point of each tracked place.

    What is between two places that push against each other comes to lie between them, as deep in both for their
    thickness: where the body passes through itself it must not come out on the other side of the thinner limb. Another
    place that it is deep under meanwhile is such another side, and is left out. `mobile`: see `State`.

    `near` (P,C) are places on the body that are followed from substep to substep, `clear` (P,C) a distance in which
    nothing can be touched, used up by the motion of the particle and of the body. `bounds`: metres that the body goes
    in the substep at most, and that a push may have. What lies under the surface by more than `deepest` is left alone.
    `points` (Q,3) is where the body is now.
    """
    near, clear, faces, starts, around, deepest, rough, radii = body
    fastest, strongest = bounds
    for i in prange(x.shape[0]):
        if inv_mass[i] == 0.0:
            continue
        thickness = fabric.thickness[i]
        mx, my, mz = x[i, 0] - previous[i, 0], x[i, 1] - previous[i, 1], x[i, 2] - previous[i, 2]
        travel = math.sqrt(mx * mx + my * my + mz * mz) + fastest
        ox, oy, oz = 0.0, 0.0, 0.0  # where the last push went
        lacked, pushed, wide = 0.0, 0.0, 0.0  # how far it had to, and did, and how thick the body is there
        touched, pinched = False, False
        for c in range(near.shape[1]):
            clear[i, c] -= travel
            if clear[i, c] > 0.0:
                continue
            px, py, pz = x[i, 0], x[i, 1], x[i, 2]
            d2, t, wa, wb, wc, near[i, c] = nearest_around(px, py, pz, near[i, c], points, faces, starts, around)
            if t < 0:
                continue
            height, no_side, nx, ny, nz = height_over(px, py, pz, d2, t, wa, wb, wc, points, normals, faces)
            if no_side:
                clear[i, c] = 0.0
                continue
            clear[i, c] = max(height - thickness, 0.0)
            if height >= thickness or height < -deepest:
                continue
            friction = fabric.friction[i]
            lack = thickness - height
            push, facing, weight = min(lack, strongest), ox * nx + oy * ny + oz * nz, 1.0
            if pinched and abs(facing) > -OPPOSED:  # between these sides it is already
                continue
            if touched and c > 1:
                weight = (2.0 * thickness + OVERLAP[1] - lack) / (OVERLAP[1] - OVERLAP[0])
                weight = min(max(weight, 0.0), 1.0)
                if weight == 0.0:
                    clear[i, c] = AWAY
                    continue
            mobile[i] = f4(PRESSED) * inv_mass[i]
            radius = radii[near[i, c]]
            if touched and facing < OPPOSED:
                back = (lacked * radius - (lack - pushed) * wide) / (radius + wide)
                push = pushed - max(min(back, strongest), -strongest)
                mobile[i] = inv_mass[i]
                pinched = True
            push *= weight
            touched = True
            ox, oy, oz, lacked, pushed, wide = nx, ny, nz, lack, push, radius
            x[i, 0] += push * nx
            x[i, 1] += push * ny
            x[i, 2] += push * nz
            k0, k1, k2 = faces[t, 0], faces[t, 1], faces[t, 2]
            bx = wa * body_step[k0, 0] + wb * body_step[k1, 0] + wc * body_step[k2, 0]
            by = wa * body_step[k0, 1] + wb * body_step[k1, 1] + wc * body_step[k2, 1]
            bz = wa * body_step[k0, 2] + wb * body_step[k1, 2] + wc * body_step[k2, 2]
            if rough[t] >= 0.0:
                friction = rough[t]
            mx, my, mz = x[i, 0] - previous[i, 0] - bx, x[i, 1] - previous[i, 1] - by, x[i, 2] - previous[i, 2] - bz
            along = mx * nx + my * ny + mz * nz
            x[i, 0] -= friction * (mx - along * nx)
            x[i, 1] -= friction * (my - along * ny)
            x[i, 2] -= friction * (mz - along * nz)
            if along > 0.0:  # what the push added is a correction, not a speed
                previous[i, 0] += along * nx
                previous[i, 1] += along * ny
                previous[i, 2] += along * nz


@kernel
def step_frame(state, at, hold, push, cloth, fabric, body, start, end, h, substeps, contact):  # type: ignore[no-untyped-def]
    """Advance a `State` in place over one scene frame of `substeps` of `h` seconds, from `at`.

    `at` is a substep, its phase, and the substep before which to stop.

    `hold` (P,) in 0..1, a share of one substep, draws a particle to its skinned position; 1 pins it (its inv_mass is
    0). `push` (P,3), or without rows, is added to gravity, m/s^2. `cloth`, `fabric` and `body` are a `Cloth`, `Fabric`
    and `Body`; body and skin move linearly from the `Pose` `start` to the `Pose` `end`. `contact` is the
    `Cover` and the `Lists` of cloth that may touch; phases are those of `hold_apart`.

    Returns:
        The substep that was reached, and its phase: that lists must be made anew before it goes on, or DONE.
    """
    x, v, began, previous, mobile = state
    first, phase, last = at
    cover, lists = contact
    inv_mass, edges, edge_rest, edge_give, hinges, hinge_weights, hinge_give = cloth[:7]
    joints, joint_give, anchor, reach = cloth[7:]
    air, rub, gravity, _, _, grip = fabric
    skin_from, body_from, normals_from = start
    skin_to, body_to, normals_to = end
    n = x.shape[0]
    keep, style = np.exp(-air * h), np.empty_like(x)
    points, normals = np.empty_like(body_from), np.empty_like(body_from)
    body_step = (body_to - body_from) / f4(substeps)
    fastest = 0.0
    for i in range(points.shape[0]):
        fastest = max(fastest, body_step[i, 0] ** 2 + body_step[i, 1] ** 2 + body_step[i, 2] ** 2)
    fastest = math.sqrt(fastest)
    bounds = fastest, min(STRONGEST_PUSH, FASTEST_PUSH * h + fastest)
    tree, sheet = (cover.faces, cover.owns, cover.first, cover.beside), (cover.rest, cover.half, cover.garment)
    about = cover.seam, cover.patches, cover.members, cover.fans, cover.around
    pressed = Cover(*tree, *sheet, mobile, *about)
    for s in range(first, min(last, substeps)):
        b = f4((s + 1.0) / substeps)
        if phase == DONE:
            for i in range(n):
                for k in range(3):
                    previous[i, k] = began[i, k] = x[i, k]
                mobile[i] = inv_mass[i]
                for k in range(3):
                    if inv_mass[i] == 0.0:
                        x[i, k] = skin_from[i, k] + b * (skin_to[i, k] - skin_from[i, k])
                    else:
                        v[i, k] *= keep[i]
                        if k == 2:
                            v[i, k] -= gravity * h
                        if push.shape[0]:
                            v[i, k] += push[i, k] * h
                        x[i, k] += h * v[i, k]
            _solve_hinges(x, inv_mass, hinges, hinge_weights, hinge_give, h)
            if joints.shape[0]:
                for i in range(n):
                    for k in range(3):
                        style[i, k] = skin_from[i, k] + b * (skin_to[i, k] - skin_from[i, k])
                bend_strands(x, inv_mass, style, joints, joint_give, h)
            _solve_distances(x, inv_mass, edges, edge_rest, edge_give, h)
            _limit_stretch(x, previous, f4(CATCH_UP * h), inv_mass, edges, edge_rest, LONG)
            for i in range(n):
                if inv_mass[i] > 0.0 and hold[i] > 0.0:
                    for k in range(3):
                        goal = skin_from[i, k] + b * (skin_to[i, k] - skin_from[i, k])
                        x[i, k] += hold[i] * (goal - x[i, k])
            _limit_tethers(x, previous, inv_mass, anchor, reach)
            if body.near.shape[1]:
                for i in range(points.shape[0]):
                    for k in range(3):
                        points[i, k] = body_from[i, k] + b * (body_to[i, k] - body_from[i, k])
                        normals[i, k] = normals_from[i, k] + b * (normals_to[i, k] - normals_from[i, k])
                _collide(x, previous, inv_mass, mobile, body, points, normals, body_step, bounds, fabric)
                _limit_stretch(x, previous, f4(0.0), mobile, edges, edge_rest, LONGEST)
        if cover.faces.shape[0]:
            phase = hold_apart(phase, began, x, previous, h, pressed, lists, grip)
            if phase != DONE:
                return s, phase
        for i in range(n):
            for k in range(3):
                v[i, k] = (x[i, k] - previous[i, k]) / h
        _rub_threads(v, inv_mass, edges, rub)
    return min(last, substeps), DONE
