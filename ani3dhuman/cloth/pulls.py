"""What holds cloth together, in one substep (numba): bend, stretch, strands, and friction within the cloth.

XPBD as in Macklin, Mueller, Chentanez, "XPBD: Position-Based Simulation of Compliant Constrained
Dynamics" (2016), with one iteration per small substep (Macklin et al., "Small Steps in Physics
Simulation", 2019). Gauss-Seidel within each part of the cloth, then between parts: the result does not depend on the
number of threads.
"""

from __future__ import annotations

import math

import numpy as np
from numba import prange

from ..jit import inlined_kernel, kernel, parallel_kernel
from .parts import PARTS
from .rods import bend_strands

f4 = np.float32
LONG, LONGEST = 1.1, 1.2  # times its rest, of an edge before and after the body pushes, which so cannot tear it
WORTH = 10_000  # edges from which on a light pass over them is worth the other cores
CATCH_UP = 3.0  # m/s that an edge too long may gain in a substep, so that cloth follows what pulls it


@kernel
def make_ready(cloth, air, rub, h):  # type: ignore[no-untyped-def]
    """Write what does not change within a frame of substeps of `h` seconds; `air`, `rub` as of `kernels.Fabric`."""
    for i in range(air.shape[0]):
        cloth.keep[i] = math.exp(-air[i] * h)
    inv_mass, edges, hinges, weights = cloth.inv_mass, cloth.edges, cloth.hinges, cloth.hinge_weights
    give, soft, push, per, square = cloth.edge_give, cloth.edge_soft, cloth.edge_push, f4(1.0 / (h * h)), f4(h * h)
    for e in range(edges.shape[0]):
        a, b = inv_mass[edges[e, 0]], inv_mass[edges[e, 1]]
        w = a + b
        free = w > f4(0.0)
        cloth.edge_sum[e] = max(w + give[e] * per, soft[e] * per) if free else f4(0.0)
        cloth.edge_most[e] = push[e] * square
        cloth.edge_rub[e, 0] = rub[e] * a / w if free else f4(0.0)
        cloth.edge_rub[e, 1] = rub[e] * b / w if free else f4(0.0)
    give, soft = cloth.hinge_give, cloth.hinge_soft
    for e in range(hinges.shape[0]):
        w = f4(0.0)
        for k in range(4):
            w += inv_mass[hinges[e, k]] * weights[e, k] * weights[e, k]
        share = f4(-1.0) / max(w + give[e] * per, soft[e] * per) if w > f4(0.0) else f4(0.0)
        for k in range(4):
            cloth.hinge_pull[e, k] = inv_mass[hinges[e, k]] * weights[e, k] * share


@kernel
def _solve_distances(x, cloth, part):  # type: ignore[no-untyped-def]
    """Pull each pair of a part towards its rest length."""
    inv_mass, pairs, rest, total, most = cloth.inv_mass, cloth.edges, cloth.edge_rest, cloth.edge_sum, cloth.edge_most
    for e in range(np.uint64(cloth.edge_parts[part]), np.uint64(cloth.edge_parts[part + 1])):
        i, j = pairs[e, 0], pairs[e, 1]
        if total[e] == f4(0.0):
            continue
        dx, dy, dz = x[i, 0] - x[j, 0], x[i, 1] - x[j, 1], x[i, 2] - x[j, 2]
        length = math.sqrt(dx * dx + dy * dy + dz * dz)
        if length < 1e-9:
            continue
        s = (rest[e] - length) / (total[e] * length)
        if s * length > most[e]:
            s = most[e] / length
        a, b = s * inv_mass[i], s * inv_mass[j]
        x[i, 0] += a * dx
        x[i, 1] += a * dy
        x[i, 2] += a * dz
        x[j, 0] -= b * dx
        x[j, 1] -= b * dy
        x[j, 2] -= b * dz


@kernel
def _limit_stretch(x, base, gain, inv_mass, cloth, longest, part):  # type: ignore[no-untyped-def]
    """Bring what is longer than `longest` times its rest back to that: no fabric of a garment gives so much.

    It takes the speed at which it grows longer, and adds no more than `gain` metres in the substep: `base` (P,3), from
    which speeds are reckoned, goes along by the rest.
    """
    pairs, rest = cloth.edges, cloth.edge_rest
    for e in range(np.uint64(cloth.edge_parts[part]), np.uint64(cloth.edge_parts[part + 1])):
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
def _solve_hinges(x, cloth, part):  # type: ignore[no-untyped-def]
    """Bend: pull sum_k K_k x_k of each hinge to zero, which is flat, whatever its stretch (isometric bending)."""
    hinges, weights, pull = cloth.hinges, cloth.hinge_weights, cloth.hinge_pull
    for e in range(np.uint64(cloth.hinge_parts[part]), np.uint64(cloth.hinge_parts[part + 1])):
        i, j, k, l = hinges[e, 0], hinges[e, 1], hinges[e, 2], hinges[e, 3]
        a, b, c, d = weights[e, 0], weights[e, 1], weights[e, 2], weights[e, 3]
        rx = a * x[i, 0] + b * x[j, 0] + c * x[k, 0] + d * x[l, 0]
        ry = a * x[i, 1] + b * x[j, 1] + c * x[k, 1] + d * x[l, 1]
        rz = a * x[i, 2] + b * x[j, 2] + c * x[k, 2] + d * x[l, 2]
        for n in range(4):
            p, m = hinges[e, n], pull[e, n]
            x[p, 0] += m * rx
            x[p, 1] += m * ry
            x[p, 2] += m * rz


@kernel
def _rub_threads(v, cloth, part):  # type: ignore[no-untyped-def]
    """Internal friction: neighbours lose a share of their difference, which quiets jitter and spares the swing."""
    edges, rub = cloth.edges, cloth.edge_rub
    for e in range(np.uint64(cloth.edge_parts[part]), np.uint64(cloth.edge_parts[part + 1])):
        i, j = edges[e, 0], edges[e, 1]
        a, b = rub[e, 0], rub[e, 1]
        for k in range(3):
            d = v[j, k] - v[i, k]
            v[i, k] += a * d
            v[j, k] -= b * d


@inlined_kernel
def draw_back(i, x, base, anchor, reach, hold, skin):  # type: ignore[no-untyped-def]
    """Draw a particle to the skin (P,3) by its share `hold` (P,), and no further from its anchor than along the cloth.

    The latter is long-range attachment; speeds as of `_limit_stretch`.
    """
    if hold[i] > 0.0:
        for k in range(3):
            x[i, k] += hold[i] * (skin[i, k] - x[i, k])
    a = anchor[i]
    if a < 0:
        return
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


@kernel
def _mix(a, b, share, out, part):  # type: ignore[no-untyped-def]
    own = slice(part * a.shape[0] // PARTS, (part + 1) * a.shape[0] // PARTS)
    one, other, between = a[own].reshape(-1), b[own].reshape(-1), out[own].reshape(-1)
    for i in range(one.shape[0]):
        between[i] = one[i] + share * (other[i] - one[i])


@kernel
def _move(state, cloth, start, end, share, skin, gravity, push, h, part):  # type: ignore[no-untyped-def]
    """Begin a substep: each particle of a part goes on as it went, or with the `skin` (P,3), which is written."""
    x, v, began, previous, mobile = state
    starts, inv_mass, keep = cloth.starts, cloth.inv_mass, cloth.keep
    for i in range(np.uint64(starts[part]), np.uint64(starts[part + 1])):
        for k in range(3):
            previous[i, k] = began[i, k] = x[i, k]
            skin[i, k] = start[i, k] + share * (end[i, k] - start[i, k])
        mobile[i] = inv_mass[i]
        if inv_mass[i] == 0.0:
            for k in range(3):
                x[i, k] = skin[i, k]
            continue
        for k in range(3):
            v[i, k] *= keep[i]
            if k == 2:
                v[i, k] -= gravity * h
            if push.shape[0]:
                v[i, k] += push[i, k] * h
            x[i, k] += h * v[i, k]


@kernel
def _pull(x, previous, cloth, skin, h, part):  # type: ignore[no-untyped-def]
    _solve_hinges(x, cloth, part)
    first, last = cloth.joint_parts[part], cloth.joint_parts[part + 1]
    if last > first:
        bend_strands(x, cloth.inv_mass, skin, cloth.joints[first:last], cloth.joint_give[first:last], h)
    _solve_distances(x, cloth, part)
    _limit_stretch(x, previous, f4(CATCH_UP * h), cloth.inv_mass, cloth, LONG, part)


@parallel_kernel
def go_on(state, cloth, start, end, share, now, gravity, push, h):  # type: ignore[no-untyped-def]
    """Begin a substep of `h` seconds: all go on as they went, are bent back and pulled together.

    Arguments as of `kernels.step_frame`; `now`, the `Pose` by a `share` of the way from `start` to `end`, is written.
    """
    for part in prange(PARTS):
        _mix(start.body, end.body, share, now.body, part)
        _mix(start.normals, end.normals, share, now.normals, part)
        _move(state, cloth, start.skin, end.skin, share, now.skin, gravity, push, h, part)
        _pull(state.x, state.previous, cloth, now.skin, h, part)
    _pull(state.x, state.previous, cloth, now.skin, h, PARTS)


@kernel
def keep_whole(x, previous, mobile, cloth, part):  # type: ignore[no-untyped-def]
    """Bring back what the body made too long in a part; `mobile` (P,) are inverse masses."""
    _limit_stretch(x, previous, f4(0.0), mobile, cloth, LONGEST, part)


@kernel
def _new_speeds(x, v, previous, cloth, jolt, h, part):  # type: ignore[no-untyped-def]
    starts, inv_mass, limited = cloth.starts, cloth.inv_mass, jolt.shape[0] > 0
    for i in range(np.uint64(starts[part]), np.uint64(starts[part + 1])):
        if limited and inv_mass[i] > f4(0.0):
            dx, dy, dz = (x[i, 0] - previous[i, 0]) / h, (x[i, 1] - previous[i, 1]) / h, (x[i, 2] - previous[i, 2]) / h
            faster = dx * dx + dy * dy + dz * dz > v[i, 0] * v[i, 0] + v[i, 1] * v[i, 1] + v[i, 2] * v[i, 2]
            dx, dy, dz = dx - v[i, 0], dy - v[i, 1], dz - v[i, 2]
            change, most = math.sqrt(dx * dx + dy * dy + dz * dz), jolt[i] * h
            if faster and change > most:
                v[i, 0] += most / change * dx
                v[i, 1] += most / change * dy
                v[i, 2] += most / change * dz
                continue
        for k in range(3):
            v[i, k] = (x[i, k] - previous[i, k]) / h
    _rub_threads(v, cloth, part)


@parallel_kernel
def _new_speeds_of_parts(x, v, previous, cloth, jolt, h):  # type: ignore[no-untyped-def]
    for part in prange(PARTS):
        _new_speeds(x, v, previous, cloth, jolt, h, part)


@kernel
def new_speeds(x, v, previous, cloth, jolt, h):  # type: ignore[no-untyped-def]
    """End a substep: speeds by what it moved, less friction within the cloth; `jolt` (P,) as of `kernels.Fabric`.

    What contact pushes is long for a moment, and is drawn back by its edges within a substep: where that makes it
    faster at more than `jolt` it is a correction for the rest, and no speed. Slower it may become at once.
    """
    if cloth.edges.shape[0] < WORTH:
        for part in range(PARTS):
            _new_speeds(x, v, previous, cloth, jolt, h, part)
    else:
        _new_speeds_of_parts(x, v, previous, cloth, jolt, h)
    _rub_threads(v, cloth, PARTS)
