"""Compiled inner loops of the cloth solver (numba): one call advances one scene frame.

What holds cloth together is in `pulls`, what keeps it from other cloth in `contact`, what keeps it from the body here.
Arithmetic stays as written (no fastmath): reordered sums would change with the compilation, and folds grow from that.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import prange

from ..jit import kernel, parallel_kernel
from ..mesh.kernels import closest_on_triangle, height_over, nearest_around
from ..mesh.places import NOWHERE
from ..mesh.surface import TRUSTED
from .contact.candidates import Cover
from .contact.touch import DONE, hold_apart
from .parts import PARTS
from .pulls import draw_back, go_on, keep_whole, make_ready, new_speeds

f4 = np.float32
STRONGEST_PUSH = 0.01  # metres a particle is pushed out of the body in one substep
FASTEST_PUSH = 7.2  # m/s, how much faster than the body that may be
PRESSED = 0.05  # times its own, the mobility of what the body pushes against other cloth, so that it stays outside
OPPOSED = -0.2  # cosine between two pushes of the body from which on what is between is pinched
OVERLAP = 0.004, 0.016  # metres that touched places of the body lie under a new one, from and to which that gives way
AWAY = 1.0  # metres, of what is left out for a frame
SIDED = 0.2  # cosine to the way out of a limb, of the normals of that side of it
BY_SIDE, BY_END = 1, 2  # how particles leave a limb


class Cloth(NamedTuple):
    """P particles and what holds them together; see `Constraints`.

    Attributes:
        inv_mass: (P,) 1/kg, 0 for pinned particles.
        edge_give, edge_soft, edge_push, hinge_give, hinge_soft, joint_give: of `Compliances`.
        joints: (S,3) neighbours along strands; see `rods.bend_strands`.
        starts, edge_parts, hinge_parts, joint_parts: of `Parts`, the order in which all that is solved; part d has the
            particles from starts[d] to starts[d + 1].
        edge_sum, edge_most, edge_rub, hinge_pull: (E,), (E,), (E,2), (H,4) float32, of the frame at hand: what an
            edge's length is divided by (0: nothing moves), the most that it pushes, the shares of their difference of
            velocity that its ends lose, and how far a hinge's corners go; keep: (P,) the share of its speed that air
            leaves each; see `pulls.make_ready`.
    """

    inv_mass: np.ndarray
    edges: np.ndarray
    edge_rest: np.ndarray
    edge_give: np.ndarray
    edge_soft: np.ndarray
    edge_push: np.ndarray
    hinges: np.ndarray
    hinge_weights: np.ndarray
    hinge_give: np.ndarray
    hinge_soft: np.ndarray
    joints: np.ndarray
    joint_give: np.ndarray
    anchor: np.ndarray
    reach: np.ndarray
    starts: np.ndarray
    edge_parts: np.ndarray
    hinge_parts: np.ndarray
    joint_parts: np.ndarray
    edge_sum: np.ndarray
    edge_most: np.ndarray
    edge_rub: np.ndarray
    hinge_pull: np.ndarray
    keep: np.ndarray


class Fabric(NamedTuple):
    """What of `ClothSettings` holds for one frame, for each of P particles.

    Attributes:
        air: (P,) share of the velocity lost a second; gravity: m/s^2; thickness: (P,) metres kept from the body.
        rub: (E,) share of the difference of velocity along each edge that is lost in a substep.
        friction: (P,) share of the sliding over the body that is lost in a substep.
        grip: (P,) Coulomb's coefficient between cloth and cloth.
        jolt: (P,) float32 m/s^2, of `ClothSettings.jolt`; no rows where nothing has a limit.
    """

    air: np.ndarray
    rub: np.ndarray
    gravity: float
    thickness: np.ndarray
    friction: np.ndarray
    grip: np.ndarray
    jolt: np.ndarray


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
        stray: (Q,) float32 metres by which what lies about a point goes another way than it in a substep.
        ways: (P,3) float32 unit vectors, the one way by which a particle leaves the limb that its second place is on.
        led: (P,) uint8 how: 0 by the nearest side, BY_SIDE by that which looks along the way, however deep it is in the
            limb, BY_END along the way as far as that place, which is the limb's end.
        skin, points, normals: the `Pose` of the substep at hand; step: (Q,3) float32 metres that each point goes in a
            substep of the frame at hand, fastest: (1,) the most of them.
    """

    near: np.ndarray
    clear: np.ndarray
    faces: np.ndarray
    starts: np.ndarray
    around: np.ndarray
    deepest: float
    friction: np.ndarray
    radii: np.ndarray
    stray: np.ndarray
    ways: np.ndarray
    led: np.ndarray
    skin: np.ndarray
    points: np.ndarray
    normals: np.ndarray
    step: np.ndarray
    fastest: np.ndarray


@kernel
def _nearest_on_side(px, py, pz, vertex, body, normals, faces, starts, around, wx, wy, wz):  # type: ignore[no-untyped-def]
    """As `nearest_around`, on the side of a limb that looks along (wx, wy, wz) alone; triangle -1 away from it."""
    best, triangle, wa, wb, wc = 1e30, -1, 0.0, 0.0, 0.0
    for _ in range(12):
        found = False
        for s in range(starts[vertex], starts[vertex + 1]):
            t = around[s]
            i, j, k = faces[t, 0], faces[t, 1], faces[t, 2]
            looks = (normals[i, 0] + normals[j, 0] + normals[k, 0]) * wx
            looks += (normals[i, 1] + normals[j, 1] + normals[k, 1]) * wy
            looks += (normals[i, 2] + normals[j, 2] + normals[k, 2]) * wz
            if looks < 3.0 * SIDED:
                continue
            d, ua, ub, uc = closest_on_triangle(px, py, pz, body, i, j, k)
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
def _collide(part, x, previous, cloth, hold, mobile, body, strongest, fabric):  # type: ignore[no-untyped-def]
    """Draw particles of a part back, and push them out of the body: on the line to the nearest point of each place.

    What is between two places that push against each other comes to lie between them, as deep in both for their
    thickness: where the body passes through itself it must not come out on the other side of the thinner limb. Another
    place that it is deep under meanwhile is such another side, and is left out. `mobile`: see `State`.

    `near` (P,C) are places on the body that are followed from substep to substep, `clear` (P,C) a distance in which
    nothing can be touched, used up by how the particle moves against the body there. `strongest`: metres that a push
    may have. What lies under the surface by more than `deepest` is left alone.
    """
    near, clear, faces, starts, around, deepest, rough, radii, stray, ways, led = body[:11]
    inv_mass, points, normals, body_step = cloth.inv_mass, body.points, body.normals, body.step
    # taken out of their tuples here: in the loop that would count references for each particle
    anchor, reach, skin, thicknesses, frictions = (
        cloth.anchor,
        cloth.reach,
        body.skin,
        fabric.thickness,
        fabric.friction,
    )
    for i in range(np.uint64(cloth.starts[part]), np.uint64(cloth.starts[part + 1])):
        if inv_mass[i] == 0.0:
            continue
        draw_back(i, x, previous, anchor, reach, hold, skin)
        thickness = thicknesses[i]
        vx, vy, vz = x[i, 0] - previous[i, 0], x[i, 1] - previous[i, 1], x[i, 2] - previous[i, 2]
        ox, oy, oz = 0.0, 0.0, 0.0  # where the last push went
        lacked, pushed, wide = 0.0, 0.0, 0.0  # how far it had to, and did, and how thick the body is there
        touched, pinched = False, False
        for c in range(near.shape[1]):
            if clear[i, c] >= NOWHERE:
                continue
            q = near[i, c]
            dx, dy, dz = vx - body_step[q, 0], vy - body_step[q, 1], vz - body_step[q, 2]
            clear[i, c] -= math.sqrt(dx * dx + dy * dy + dz * dz) + stray[q]
            if clear[i, c] > 0.0:
                continue
            px, py, pz = x[i, 0], x[i, 1], x[i, 2]
            wx, wy, wz = ways[i, 0], ways[i, 1], ways[i, 2]
            sided = c == 1 and led[i] == BY_SIDE
            if c == 1 and led[i] == BY_END:
                lack = wx * (points[q, 0] - px) + wy * (points[q, 1] - py) + wz * (points[q, 2] - pz) + thickness
                clear[i, c] = min(max(-lack, 0.0), TRUSTED)
                push = min(max(lack, 0.0), strongest)
                x[i, 0] += push * wx
                x[i, 1] += push * wy
                x[i, 2] += push * wz
                previous[i, 0] += push * wx
                previous[i, 1] += push * wy
                previous[i, 2] += push * wz
                continue
            if sided:
                d2, t, wa, wb, wc, q = _nearest_on_side(
                    px, py, pz, q, points, normals, faces, starts, around, wx, wy, wz
                )
            else:
                d2, t, wa, wb, wc, q = nearest_around(px, py, pz, q, points, faces, starts, around)
            near[i, c] = q
            if t < 0:
                continue
            height, no_side, nx, ny, nz = height_over(px, py, pz, d2, t, wa, wb, wc, points, normals, faces)
            if sided and (no_side or height < 0.0):  # from behind its rim too it is drawn over that side
                sign = -1.0 if no_side else 1.0
                height, nx, ny, nz = sign * height, sign * nx + wx, sign * ny + wy, sign * nz + wz
                length = max(math.sqrt(nx * nx + ny * ny + nz * nz), 1e-6)
                nx, ny, nz = nx / length, ny / length, nz / length
            elif no_side:
                clear[i, c] = 0.0
                continue
            clear[i, c] = min(max(height - thickness, 0.0), TRUSTED)
            if height >= thickness or height < -deepest:
                continue
            friction = frictions[i]
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


@parallel_kernel
def _meet_body(x, previous, cloth, hold, mobile, body, strongest, fabric):  # type: ignore[no-untyped-def]
    """Draw back, push out of the body, and bring back what that made too long."""
    met = body.near.shape[1] > 0
    for part in prange(PARTS):
        _collide(part, x, previous, cloth, hold, mobile, body, strongest, fabric)
        if met:
            keep_whole(x, previous, mobile, cloth, part)
    if met:
        keep_whole(x, previous, mobile, cloth, PARTS)


@kernel
def _make_ready(cloth, fabric, body, start, end, h, substeps):  # type: ignore[no-untyped-def]
    """Write what does not change within a frame; arguments as of `step_frame`."""
    make_ready(cloth, fabric.air, fabric.rub, h)
    step, one, other = body.step, start.body, end.body
    fastest = 0.0
    for i in range(step.shape[0]):
        for k in range(3):
            step[i, k] = (other[i, k] - one[i, k]) / f4(substeps)
        fastest = max(fastest, step[i, 0] ** 2 + step[i, 1] ** 2 + step[i, 2] ** 2)
    body.fastest[0] = math.sqrt(fastest)


@kernel
def all_within(x, most):  # type: ignore[no-untyped-def]
    """Whether all numbers of `x` (P,3) are less than `most` from 0."""
    furthest = f4(0.0)
    for value in x.reshape(-1):
        furthest = max(furthest, abs(value)) if value == value else f4(np.inf)
    return furthest < most


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
    if first == 0 and phase == DONE:
        _make_ready(cloth, fabric, body, start, end, h, substeps)
    now = Pose(body.skin, body.points, body.normals)
    strongest = min(STRONGEST_PUSH, FASTEST_PUSH * h + body.fastest[0])
    tree, sheet = (cover.faces, cover.owns, cover.first, cover.beside), (cover.rest, cover.half, cover.garment)
    about = cover.seam, cover.patches, cover.members, cover.mutual, cover.near, cover.fans, cover.around, cover.given
    pressed = Cover(*tree, *sheet, mobile, *about)
    for s in range(first, min(last, substeps)):
        if phase == DONE:
            go_on(state, cloth, start, end, f4((s + 1.0) / substeps), now, fabric.gravity, push, h)
            _meet_body(x, previous, cloth, hold, mobile, body, strongest, fabric)
        if cover.faces.shape[0]:
            phase = hold_apart(phase, began, x, previous, h, pressed, lists, fabric.grip)
            if phase != DONE:
                return s, phase
        new_speeds(x, v, previous, cloth, fabric.jolt, h)
    return min(last, substeps), DONE
