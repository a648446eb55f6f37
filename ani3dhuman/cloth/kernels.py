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
from ..mesh.kernels import height_over, nearest_around
from ..mesh.surface import NOWHERE, TRUSTED
from .contact.candidates import Cover
from .contact.touch import DONE, hold_apart
from .pulls import draw_back, go_on, keep_whole, new_speeds

f4 = np.float32
STRONGEST_PUSH = 0.01  # metres a particle is pushed out of the body in one substep
FASTEST_PUSH = 7.2  # m/s, how much faster than the body that may be
PRESSED = 0.05  # times its own, the mobility of what the body pushes against other cloth, so that it stays outside
OPPOSED = -0.2  # cosine between two pushes of the body from which on what is between is pinched
OVERLAP = 0.004, 0.016  # metres that touched places of the body lie under a new one, from and to which that gives way
AWAY = 1.0  # metres, of what is left out for a frame


class Cloth(NamedTuple):
    """P particles and what holds them together; see `Constraints`.

    Attributes:
        inv_mass: (P,) 1/kg, 0 for pinned particles.
        edge_give, edge_soft, edge_push, hinge_give, hinge_soft, joint_give: of `Compliances`.
        joints: (S,3) neighbours along strands; see `rods.bend_strands`.
        members, starts, edge_parts, hinge_parts, joint_parts: of `Parts`, the order in which all that is solved.
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
    members: np.ndarray
    starts: np.ndarray
    edge_parts: np.ndarray
    hinge_parts: np.ndarray
    joint_parts: np.ndarray


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
        stray: (Q,) float32 metres by which what lies about a point goes another way than it in a substep.
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


@parallel_kernel
def _collide(x, previous, cloth, hold, mobile, body, now, body_step, strongest, fabric):  # type: ignore[no-untyped-def]
    """Draw particles back, and push them out of the body: on the line to the nearest point of each tracked place.

    What is between two places that push against each other comes to lie between them, as deep in both for their
    thickness: where the body passes through itself it must not come out on the other side of the thinner limb. Another
    place that it is deep under meanwhile is such another side, and is left out. `mobile`: see `State`.

    `near` (P,C) are places on the body that are followed from substep to substep, `clear` (P,C) a distance in which
    nothing can be touched, used up by how the particle moves against the body there. `strongest`: metres that a push
    may have. What lies under the surface by more than `deepest` is left alone.
    `now` is the body's `Pose`.
    """
    inv_mass, points, normals = cloth.inv_mass, now.body, now.normals
    near, clear, faces, starts, around, deepest, rough, radii, stray = body
    # taken out of their tuples here: in the loop that would count references for each particle
    anchor, reach, skin, thicknesses, frictions = cloth.anchor, cloth.reach, now.skin, fabric.thickness, fabric.friction
    for i in prange(x.shape[0]):
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
            d2, t, wa, wb, wc, near[i, c] = nearest_around(px, py, pz, near[i, c], points, faces, starts, around)
            if t < 0:
                continue
            height, no_side, nx, ny, nz = height_over(px, py, pz, d2, t, wa, wb, wc, points, normals, faces)
            if no_side:
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
    air, rub, gravity, _, _, grip = fabric
    keep, now = np.exp(-air * h), Pose(np.empty_like(start.skin), np.empty_like(start.body), np.empty_like(start.body))
    body_step = (end.body - start.body) / f4(substeps)
    fastest = 0.0
    for i in range(body_step.shape[0]):
        fastest = max(fastest, body_step[i, 0] ** 2 + body_step[i, 1] ** 2 + body_step[i, 2] ** 2)
    fastest = math.sqrt(fastest)
    strongest = min(STRONGEST_PUSH, FASTEST_PUSH * h + fastest)
    tree, sheet = (cover.faces, cover.owns, cover.first, cover.beside), (cover.rest, cover.half, cover.garment)
    about = cover.seam, cover.patches, cover.members, cover.mutual, cover.near, cover.fans, cover.around
    pressed = Cover(*tree, *sheet, mobile, *about)
    for s in range(first, min(last, substeps)):
        if phase == DONE:
            go_on(state, cloth, start, end, f4((s + 1.0) / substeps), now, keep, gravity, push, h)
            _collide(x, previous, cloth, hold, mobile, body, now, body_step, strongest, fabric)
            if body.near.shape[1]:
                keep_whole(x, previous, mobile, cloth)
        if cover.faces.shape[0]:
            phase = hold_apart(phase, began, x, previous, h, pressed, lists, grip)
            if phase != DONE:
                return s, phase
        new_speeds(x, v, previous, cloth, rub, h)
    return min(last, substeps), DONE
