"""What `contact.apart` and `contact.tangles` do in a substep, in warp's kernels.

All pairs have their say at once, and a particle goes where those that concern it send it on average (Jacobi), where the
CPU takes one pair after the other.
"""

from __future__ import annotations

import warp as wp

from ..contact import apart, candidates, geometry, tangles
from .body import closest_on_triangle

wp.set_module_options({"enable_backward": False})

VERTEX, TINY = wp.constant(geometry.VERTEX), wp.constant(geometry.TINY)
KEPT_AT_REST = wp.constant(candidates.KEPT_AT_REST)
REMAINS, ENOUGH = wp.constant(apart.REMAINS), wp.constant(apart.ENOUGH)
STEEP = wp.constant(tangles.STEEP)
FURTHER = wp.constant(apart.FURTHER)


@wp.struct
class Pairs:
    """N pairs, as of `contact.candidates.Pairs` and `contact.apart.Touching`."""

    kind: wp.array[int]
    at: wp.array[wp.vec4i]
    normal: wp.array[wp.vec3]
    keep: wp.array[float]
    rested: wp.array[int]
    on: wp.array[int]
    weights: wp.array[wp.vec4]
    distance: wp.array[float]


@wp.struct
class Sums:
    """For each of P particles what is wished of it: sums of ways and of what its speed is to forget, and of weights."""

    way: wp.array[wp.vec3]
    silent: wp.array[wp.vec3]
    weight: wp.array[float]


@wp.func
def add(sums: Sums, v: int, weight: float, way: wp.vec3, silent: wp.vec3) -> None:
    """Wish something of particle `v`."""
    wp.atomic_add(sums.way, v, weight * way)
    wp.atomic_add(sums.silent, v, weight * silent)
    wp.atomic_add(sums.weight, v, weight)


@wp.kernel
def apply(x: wp.array[wp.vec3], base: wp.array[wp.vec3], sums: Sums) -> None:
    """Do what is wished, on average, and forget it."""
    i = wp.tid()
    weight = sums.weight[i]
    if weight > 0.0:
        x[i] = x[i] + sums.way[i] / weight
        base[i] = base[i] + sums.silent[i] / weight
        sums.way[i] = wp.vec3(0.0)
        sums.silent[i] = wp.vec3(0.0)
        sums.weight[i] = 0.0


@wp.kernel
def apply_all(x: wp.array[wp.vec3], base: wp.array[wp.vec3], sums: Sums) -> None:
    """Do all that is wished, and forget it."""
    i = wp.tid()
    if sums.weight[i] > 0.0:
        x[i] = x[i] + sums.way[i]
        base[i] = base[i] + sums.silent[i]
        sums.way[i] = wp.vec3(0.0)
        sums.silent[i] = wp.vec3(0.0)
        sums.weight[i] = 0.0


@wp.func
def on_edges(a: wp.vec3, b: wp.vec3, c: wp.vec3, d: wp.vec3) -> wp.vec2:
    """As `geometry.closest_on_edges`: the shares of the way along both that are nearest."""
    u, v, r = b - a, d - c, a - c
    uu, vv, uv = wp.dot(u, u), wp.dot(v, v), wp.dot(u, v)
    ur, vr = wp.dot(u, r), wp.dot(v, r)
    s, t = float(0.0), float(0.0)
    if uu > TINY and vv > TINY:
        area = uu * vv - uv * uv
        if area > 1.0e-9 * uu * vv:
            s = wp.clamp((uv * vr - ur * vv) / area, 0.0, 1.0)
        t = (uv * s + vr) / vv
        if t < 0.0:
            t = 0.0
            s = wp.clamp(-ur / uu, 0.0, 1.0)
        elif t > 1.0:
            t = 1.0
            s = wp.clamp((uv - ur) / uu, 0.0, 1.0)
    elif uu > TINY:
        s = wp.clamp(-ur / uu, 0.0, 1.0)
    elif vv > TINY:
        t = wp.clamp(vr / vv, 0.0, 1.0)
    return wp.vec2(s, t)


@wp.func
def nearest_of_pair(kind: int, at: wp.vec4i, x: wp.array[wp.vec3]) -> tuple[float, wp.vec3, wp.vec4]:
    """As `geometry.nearest_of_pair`."""
    a, b, c, d = x[at[0]], x[at[1]], x[at[2]], x[at[3]]
    weights = wp.vec4(0.0)
    if kind == VERTEX:
        w = closest_on_triangle(a, b, c, d)
        weights = wp.vec4(1.0, -w[0], -w[1], -w[2])
    else:
        s = on_edges(a, b, c, d)
        weights = wp.vec4(1.0 - s[0], s[0], s[1] - 1.0, -s[1])
    n = weights[0] * a + weights[1] * b + weights[2] * c + weights[3] * d
    distance = wp.length(n)
    if distance > 0.0:
        n = n / distance
    return distance, n, weights


@wp.func
def gap_along(kind: int, at: wp.vec4i, n: wp.vec3, x: wp.array[wp.vec3]) -> float:
    """As `geometry.gap_along`."""
    a, b, c, d = wp.dot(n, x[at[0]]), wp.dot(n, x[at[1]]), wp.dot(n, x[at[2]]), wp.dot(n, x[at[3]])
    if kind == VERTEX:
        return a - wp.max(b, wp.max(c, d))
    return wp.min(a, b) - wp.max(c, d)


@wp.func
def rest_of(kind: int, at: wp.vec4i, keep: float, rest: wp.array[wp.vec3], garment: wp.array[int]) -> float:
    """The distance that a pair is to keep, as of `candidates.heed_rest`."""
    if garment[at[0]] != garment[at[3]]:
        return keep
    distance, _n, _w = nearest_of_pair(kind, at, rest)
    return wp.min(keep, KEPT_AT_REST * distance)


@wp.kernel
def look(
    x0: wp.array[wp.vec3],
    x: wp.array[wp.vec3],
    share: float,
    fresh: int,
    pairs: Pairs,
    rest: wp.array[wp.vec3],
    garment: wp.array[int],
    found: wp.array[int],
) -> None:
    """As `apart.look`; counts in `found` those that are newly on."""
    p = wp.tid()
    if fresh == 1:
        pairs.on[p] = 0
    elif pairs.on[p] == 1:
        return
    kind, at = pairs.kind[p], pairs.at[p]
    if gap_along(kind, at, pairs.normal[p], x) >= share * pairs.keep[p]:
        return
    if pairs.rested[p] == 0:
        pairs.keep[p] = rest_of(kind, at, pairs.keep[p], rest, garment)
        pairs.rested[p] = 1
    if pairs.keep[p] <= 0.0:
        return
    distance, n, weights = nearest_of_pair(kind, at, x0)
    if distance <= 0.0:
        return
    pairs.normal[p] = n
    if gap_along(kind, at, n, x) >= share * pairs.keep[p]:
        return
    pairs.on[p] = 1
    pairs.distance[p] = distance
    pairs.weights[p] = weights
    wp.atomic_add(found, 0, 1)


@wp.kernel
def repel(
    x0: wp.array[wp.vec3],
    x: wp.array[wp.vec3],
    base: wp.array[wp.vec3],
    mobile: wp.array[float],
    friction: wp.array[float],
    widen: float,
    pairs: Pairs,
    sums: Sums,
) -> None:
    """As `apart.repel`; a particle heeds each pair as much as it is the pair's nearest point."""
    p = wp.tid()
    if pairs.on[p] == 0:
        return
    at, w, n = pairs.at[p], pairs.weights[p], pairs.normal[p]
    total, most, gap, r, u = float(0.0), float(0.0), float(0.0), wp.vec3(0.0), wp.vec3(0.0)
    for s in range(4):
        v = at[s]
        total += mobile[v] * w[s] * w[s]
        most = wp.max(most, mobile[v] * wp.abs(w[s]))
        gap += w[s] * wp.dot(n, x[v])
        r += w[s] * (x[v] - x0[v])
        u += w[s] * (x[v] - base[v])
    keep, before = pairs.keep[p], pairs.distance[p]
    wanted = wp.where(before >= keep, keep, before + widen * (keep - before))
    push = wanted - gap
    if push <= 0.0 or total <= 0.0:
        return
    total = wp.max(total, most / FURTHER)
    r = r - wp.dot(n, r) * n
    sliding, grip = wp.length(r), friction[at[0]] * push
    rub = float(1.0)
    if sliding > grip:
        rub = grip / sliding
    speed = wp.dot(n, u)
    silent = push - wp.min(push, wp.max(-speed, 0.0))
    u = u - speed * n
    slower = wp.clamp(rub * wp.dot(r, u) / wp.max(wp.dot(u, u), 1.0e-20), 0.0, 1.0)
    for s in range(4):
        v = at[s]
        if mobile[v] > 0.0 and w[s] != 0.0:
            m = mobile[v] * w[s] / total
            add(sums, v, wp.abs(w[s]), m * (push * n - rub * r), m * (silent * n - rub * r + slower * u))


@wp.func
def part(
    a: int,
    c: int,
    n: wp.vec3,
    least: float,
    x: wp.array[wp.vec3],
    base: wp.array[wp.vec3],
    mobile: wp.array[float],
    sums: Sums,
) -> None:
    """Wish that vertices of both sides of a plane be `least` apart across it."""
    total, lack = mobile[a] + mobile[c], least - wp.dot(n, x[a] - x[c])
    if lack <= 0.0 or total <= 0.0:
        return
    speed = wp.dot(n, x[a] - base[a] - x[c] + base[c])
    silent = 1.0 - wp.min(wp.max(-speed, 0.0) / lack, 1.0)
    if mobile[a] > 0.0:
        way = (lack * mobile[a] / total) * n
        add(sums, a, 1.0, way, silent * way)
    if mobile[c] > 0.0:
        way = (-lack * mobile[c] / total) * n
        add(sums, c, 1.0, way, silent * way)


@wp.kernel
def put_back(
    x: wp.array[wp.vec3],
    base: wp.array[wp.vec3],
    mobile: wp.array[float],
    pairs: Pairs,
    sums: Sums,
    turn: int,
    failing: wp.array[int],
) -> None:
    """A round of `apart.put_back`; failing[turn + 1] counts pairs that failed before it, and 0 ends it."""
    p = wp.tid()
    if pairs.on[p] == 0 or failing[turn] == 0:
        return
    kind, at, n = pairs.kind[p], pairs.at[p], pairs.normal[p]
    least = REMAINS * wp.min(pairs.distance[p], pairs.keep[p])
    if gap_along(kind, at, n, x) >= ENOUGH * least:
        return
    wp.atomic_add(failing, turn + 1, 1)
    part(at[0], at[3], n, least, x, base, mobile, sums)
    part(at[0], at[2], n, least, x, base, mobile, sums)
    if kind == VERTEX:
        part(at[0], at[1], n, least, x, base, mobile, sums)
    else:
        part(at[1], at[3], n, least, x, base, mobile, sums)
        part(at[1], at[2], n, least, x, base, mobile, sums)


@wp.func
def normal_of(a: wp.vec3, b: wp.vec3, c: wp.vec3) -> wp.vec3:
    """Unit normal of a triangle."""
    n = wp.cross(b - a, c - a)
    return n / wp.max(wp.length(n), 1.0e-20)


@wp.func
def shorter(e: wp.vec3, f: wp.vec3, opposite: wp.vec3, n: wp.vec3, along: wp.vec3, over: float) -> wp.vec3:
    """As `tangles._shorter`."""
    r = wp.cross(normal_of(e, f, opposite), n)
    length = wp.length(r)
    if length < 1.0e-6:
        return wp.vec3(0.0)
    o = opposite - e
    if wp.dot(r, o - wp.dot(o, along) * along) < 0.0:
        length = -length
    r = r / length
    return r - (wp.dot(along, r) / over) * n


@wp.func
def pierced(p: wp.vec3, q: wp.vec3, a: wp.vec3, b: wp.vec3, c: wp.vec3) -> wp.vec4:
    """As `geometry.pierces`: 1 or 0, where along the segment, and the corners' weights."""
    d, e, f, s = q - p, b - a, c - a, p - a
    h, g = wp.cross(d, f), wp.cross(s, e)
    det = wp.dot(e, h)
    if det == 0.0:
        return wp.vec4(0.0)
    u, w, t = wp.dot(s, h) / det, wp.dot(d, g) / det, wp.dot(f, g) / det
    if u < 0.0 or w < 0.0 or u + w > 1.0 or t < 0.0 or t > 1.0:
        return wp.vec4(0.0)
    return wp.vec4(1.0, t, u, w)


@wp.kernel
def untangle(
    x: wp.array[wp.vec3],
    mobile: wp.array[float],
    half: wp.array[float],
    faces: wp.array[wp.vec3i],
    beside: wp.array[wp.vec3i],
    hits: wp.array[wp.vec3i],
    stride: float,
    sums: Sums,
) -> None:
    """As `tangles.untangle`, for a crossing each."""
    t = wp.tid()
    own, c, other = hits[t][0], hits[t][1], hits[t][2]
    e, f, g = faces[own][c], faces[own][(c + 1) % 3], faces[own][(c + 2) % 3]
    i, j, k = faces[other][0], faces[other][1], faces[other][2]
    found = pierced(x[e], x[f], x[i], x[j], x[k])
    if found[0] == 0.0:
        return
    d, way, u, w = x[f] - x[e], found[1], found[2], found[3]
    n = normal_of(x[i], x[j], x[k])
    along = d / wp.max(wp.length(d), 1.0e-12)
    over = wp.dot(along, n)
    if wp.abs(over) < STEEP:
        over = wp.where(over >= 0.0, STEEP, -STEEP)
    goal = shorter(x[e], x[f], x[g], n, along, over)
    if beside[own][c] >= 0:
        goal = goal + shorter(x[e], x[f], x[beside[own][c]], n, along, over)
    size = wp.length(goal)
    if size < 1.0e-9:
        return
    ends = wp.vec2(mobile[e] * (1.0 - way), mobile[f] * way)
    corners = wp.vec3(mobile[i] * (1.0 - u - w), mobile[j] * u, mobile[k] * w)
    total = wp.dot(ends, wp.vec2(1.0 - way, way)) + wp.dot(corners, wp.vec3(1.0 - u - w, u, w))
    if total <= 0.0:
        return
    total = wp.max(total, wp.max(wp.max(ends), wp.max(corners)) / FURTHER)
    goal = (stride * (half[e] + half[i]) / wp.sqrt(size * size + 0.01) / total) * goal
    add(sums, e, 1.0, mobile[e] * (1.0 - way) * goal, mobile[e] * (1.0 - way) * goal)
    add(sums, f, 1.0, mobile[f] * way * goal, mobile[f] * way * goal)
    add(sums, i, 1.0, -mobile[i] * (1.0 - u - w) * goal, -mobile[i] * (1.0 - u - w) * goal)
    add(sums, j, 1.0, -mobile[j] * u * goal, -mobile[j] * u * goal)
    add(sums, k, 1.0, -mobile[k] * w * goal, -mobile[k] * w * goal)
