"""What keeps cloth from the body, as `kernels._collide` and `mesh.kernels` do it, in warp's kernels."""

from __future__ import annotations

import warp as wp

from ...mesh import kernels as mesh
from .. import kernels as solver

wp.set_module_options({"enable_backward": False})

UNDER = wp.constant(mesh.UNDER)
PRESSED, OPPOSED = wp.constant(solver.PRESSED), wp.constant(solver.OPPOSED)
LEAST, MOST = wp.constant(solver.OVERLAP[0]), wp.constant(solver.OVERLAP[1])
AWAY, TRUSTED = wp.constant(solver.AWAY), wp.constant(solver.TRUSTED)
SIDED = wp.constant(3.0 * solver.SIDED)
BY_SIDE, BY_END = wp.constant(solver.BY_SIDE), wp.constant(solver.BY_END)


@wp.func
def on_side(p: wp.vec3, a: wp.vec3, b: wp.vec3) -> float:
    """The share of the way from `a` to `b` that is nearest to `p`."""
    d = b - a
    square = wp.dot(d, d)
    if square > 1.0e-20:
        return wp.clamp(wp.dot(p - a, d) / square, 0.0, 1.0)
    return 0.0


@wp.func
def closest_on_triangle(p: wp.vec3, a: wp.vec3, b: wp.vec3, c: wp.vec3) -> wp.vec3:
    """Weights of the corners, whose sum is the point of the triangle nearest to `p`."""
    e, f, q = b - a, c - a, p - a
    ee, ff, ef = wp.dot(e, e), wp.dot(f, f), wp.dot(e, f)
    qe, qf = wp.dot(q, e), wp.dot(q, f)
    area = ee * ff - ef * ef
    if area > 1.0e-7 * ee * ff:
        u, w = (ff * qe - ef * qf) / area, (ee * qf - ef * qe) / area
        if u >= 0.0 and w >= 0.0 and u + w <= 1.0:
            return wp.vec3(1.0 - u - w, u, w)
    t = on_side(p, a, b)
    best, found = wp.length_sq(p - a - t * e), wp.vec3(1.0 - t, t, 0.0)
    t = on_side(p, a, c)
    away = wp.length_sq(p - a - t * f)
    if away < best:
        best, found = away, wp.vec3(1.0 - t, 0.0, t)
    t = on_side(p, b, c)
    if wp.length_sq(p - b - t * (c - b)) < best:
        found = wp.vec3(0.0, 1.0 - t, t)
    return found


@wp.func
def blended(w: wp.vec3, at: wp.vec3i, values: wp.array[wp.vec3]) -> wp.vec3:
    """The sum of the corners' values by their weights."""
    return w[0] * values[at[0]] + w[1] * values[at[1]] + w[2] * values[at[2]]


@wp.func
def nearest_around(
    p: wp.vec3,
    start: int,
    points: wp.array[wp.vec3],
    faces: wp.array[wp.vec3i],
    starts: wp.array[int],
    around: wp.array[int],
    normals: wp.array[wp.vec3],
    way: wp.vec3,
) -> tuple[int, wp.vec3, int]:
    """As `mesh.kernels.nearest_around`: the triangle, its corners' weights, the corner to start from next time.

    Where `way` is not 0 as `kernels._nearest_on_side`.
    """
    sided = wp.length_sq(way) > 0.0
    vertex, best, triangle, weights = int(start), float(1.0e30), int(-1), wp.vec3(0.0)
    walking, turn = int(1), int(0)
    while walking == 1 and turn < 12:
        turn += 1
        walking = int(0)
        for s in range(starts[vertex], starts[vertex + 1]):
            at = faces[around[s]]
            if sided and wp.dot(normals[at[0]] + normals[at[1]] + normals[at[2]], way) < SIDED:
                continue
            w = closest_on_triangle(p, points[at[0]], points[at[1]], points[at[2]])
            d = wp.length_sq(p - blended(w, at, points))
            if d < best * 0.999999:
                best = d
                triangle = around[s]
                weights = w
                walking = int(1)
        if walking == 1:
            corner = faces[triangle][0]
            if weights[1] > weights[0] and weights[1] >= weights[2]:
                corner = faces[triangle][1]
            elif weights[2] > weights[0] and weights[2] > weights[1]:
                corner = faces[triangle][2]
            if corner == vertex:
                walking = int(0)
            vertex = corner
    return triangle, weights, vertex


@wp.struct
class Particles:
    """P particles as the body meets them; C places on it are followed by each. See `kernels._collide`."""

    x: wp.array[wp.vec3]
    base: wp.array[wp.vec3]
    inv_mass: wp.array[float]
    mobile: wp.array[float]
    hold: wp.array[float]
    skin: wp.array[wp.vec3]
    anchor: wp.array[int]
    reach: wp.array[float]
    thickness: wp.array[float]
    grip: wp.array[float]
    near: wp.array2d[int]
    clear: wp.array2d[float]
    ways: wp.array[wp.vec3]
    led: wp.array[int]


@wp.struct
class Surface:
    """The body's triangles at the end of a substep, and how its points go in one; see `kernels.Body`."""

    points: wp.array[wp.vec3]
    normals: wp.array[wp.vec3]
    step: wp.array[wp.vec3]
    faces: wp.array[wp.vec3i]
    starts: wp.array[int]
    around: wp.array[int]
    rough: wp.array[float]
    radii: wp.array[float]
    stray: wp.array[float]


@wp.func
def draw_back(i: int, p: Particles) -> None:
    """As `pulls.draw_back`."""
    if p.hold[i] > 0.0:
        p.x[i] = p.x[i] + p.hold[i] * (p.skin[i] - p.x[i])
    a = p.anchor[i]
    if a < 0:
        return
    d = p.x[i] - p.x[a]
    length = wp.length(d)
    if length > p.reach[i]:
        grown = wp.dot(d, p.x[i] - p.base[i] - p.x[a] + p.base[a])
        s = p.reach[i] / length
        share = (1.0 - wp.clamp(grown / (length * (length - p.reach[i])), 0.0, 1.0)) * (s - 1.0)
        p.x[i] = p.x[a] + s * d
        p.base[i] = p.base[i] + share * d


@wp.kernel
def collide(own: Particles, body: Surface, deepest: float, strongest: float) -> None:
    """As `kernels._collide`, for one particle each."""
    i = wp.tid()
    if own.inv_mass[i] == 0.0:
        return
    draw_back(i, own)
    x, base, mobile, near, clear = own.x, own.base, own.mobile, own.near, own.clear
    thick, way = own.thickness[i], x[i] - base[i]
    last = wp.vec3(0.0)  # where the last push went
    lacked, pushed, wide = float(0.0), float(0.0), float(0.0)
    touched, pinched = int(0), int(0)
    for c in range(near.shape[1]):
        q = near[i, c]
        clear[i, c] = clear[i, c] - wp.length(way - body.step[q]) - body.stray[q]
        if clear[i, c] > 0.0:
            continue
        p = x[i]
        out, led = wp.vec3(0.0), int(0)
        if c == 1:
            out = own.ways[i]
            led = own.led[i]
        if led == BY_END:
            lack = wp.dot(out, body.points[q] - p) + thick
            clear[i, c] = wp.min(wp.max(-lack, 0.0), TRUSTED)
            push = wp.min(wp.max(lack, 0.0), strongest)
            x[i] = p + push * out
            base[i] = base[i] + push * out
            continue
        t, w, corner = nearest_around(p, q, body.points, body.faces, body.starts, body.around, body.normals, out)
        near[i, c] = corner
        if t < 0:
            continue
        at = body.faces[t]
        n, off = blended(w, at, body.normals), p - blended(w, at, body.points)
        distance, size, over = wp.length(off), wp.length(n), wp.dot(off, n)
        no_side = size < 1.0e-6 or (over < 0.0 and over > -UNDER * distance * size)
        if no_side and led != BY_SIDE:
            clear[i, c] = 0.0
            continue
        height = wp.where(over >= 0.0, distance, -distance)
        if distance > 1.0e-4:
            n = off / height
        else:
            n = n / wp.max(size, 1.0e-6)
        if led == BY_SIDE and height < 0.0:
            n = wp.normalize(n + out)
        clear[i, c] = wp.min(wp.max(height - thick, 0.0), TRUSTED)
        if height >= thick or height < -deepest:
            continue
        lack, facing, weight = thick - height, wp.dot(last, n), float(1.0)
        push = wp.min(lack, strongest)
        if pinched == 1 and wp.abs(facing) > -OPPOSED:
            continue
        if touched == 1 and c > 1:
            weight = wp.clamp((2.0 * thick + MOST - lack) / (MOST - LEAST), 0.0, 1.0)
            if weight == 0.0:
                clear[i, c] = AWAY
                continue
        mobile[i] = PRESSED * own.inv_mass[i]
        radius = body.radii[near[i, c]]
        if touched == 1 and facing < OPPOSED:
            back = (lacked * radius - (lack - pushed) * wide) / (radius + wide)
            push = pushed - wp.clamp(back, -strongest, strongest)
            mobile[i] = own.inv_mass[i]
            pinched = int(1)
        push = push * weight
        touched = int(1)
        last = n
        lacked = lack
        pushed = push
        wide = radius
        p = p + push * n
        friction = wp.where(body.rough[t] >= 0.0, body.rough[t], own.grip[i])
        slid = p - base[i] - blended(w, at, body.step)
        along = wp.dot(slid, n)
        x[i] = p - friction * (slid - along * n)
        if along > 0.0:
            base[i] = base[i] + along * n
