"""What `cloth.pulls` and `cloth.rods` do in a substep, in warp's kernels: one colour of constraints at once."""

from __future__ import annotations

import warp as wp

wp.set_module_options({"enable_backward": False})


@wp.func
def share_of(clock: wp.array[int], substeps: float) -> float:
    """How much of the frame is over at the end of the substep that the clock counts."""
    return (float(clock[0]) + 1.0) / substeps


@wp.kernel
def tick(clock: wp.array[int]) -> None:
    """Count a substep."""
    clock[0] = clock[0] + 1


@wp.kernel
def mix(
    a: wp.array[wp.vec3], b: wp.array[wp.vec3], clock: wp.array[int], substeps: float, out: wp.array[wp.vec3]
) -> None:
    """Where points (N,3) are on their straight way from `a` to `b` at the end of a substep."""
    i = wp.tid()
    out[i] = a[i] + share_of(clock, substeps) * (b[i] - a[i])


@wp.kernel
def move(
    x: wp.array[wp.vec3],
    v: wp.array[wp.vec3],
    began: wp.array[wp.vec3],
    base: wp.array[wp.vec3],
    skin: wp.array[wp.vec3],
    inv_mass: wp.array[float],
    mobile: wp.array[float],
    keep: wp.array[float],
    push: wp.array[wp.vec3],
    h: float,
) -> None:
    """Begin a substep: each particle goes on as it went, or with the skin. `push` (P,3) holds gravity too, m/s^2."""
    i = wp.tid()
    began[i] = x[i]
    base[i] = x[i]
    mobile[i] = inv_mass[i]
    if inv_mass[i] == 0.0:
        x[i] = skin[i]
        return
    v[i] = keep[i] * v[i] + h * push[i]
    x[i] = x[i] + h * v[i]


@wp.kernel
def bend(
    x: wp.array[wp.vec3],
    inv_mass: wp.array[float],
    hinges: wp.array[wp.vec4i],
    weights: wp.array[wp.vec4],
    give: wp.array[float],
    soft: wp.array[float],
    per: float,
    first: int,
) -> None:
    """As `pulls._solve_hinges`, for the colour that begins at `first`; `per` is 1 over the substep's square."""
    e = first + wp.tid()
    at, K = hinges[e], weights[e]
    off, w = wp.vec3(0.0), float(0.0)
    for k in range(4):
        off += K[k] * x[at[k]]
        w += inv_mass[at[k]] * K[k] * K[k]
    if w == 0.0:
        return
    share = -1.0 / wp.max(w + give[e] * per, soft[e] * per)
    for k in range(4):
        if inv_mass[at[k]] > 0.0:
            x[at[k]] = x[at[k]] + inv_mass[at[k]] * K[k] * share * off


@wp.kernel
def pull(
    x: wp.array[wp.vec3],
    inv_mass: wp.array[float],
    edges: wp.array[wp.vec2i],
    rest: wp.array[float],
    give: wp.array[float],
    soft: wp.array[float],
    push: wp.array[float],
    per: float,
    first: int,
) -> None:
    """As `pulls._solve_distances`."""
    e = first + wp.tid()
    i, j = edges[e][0], edges[e][1]
    w = inv_mass[i] + inv_mass[j]
    d = x[i] - x[j]
    length = wp.length(d)
    if w == 0.0 or length < 1.0e-9:
        return
    s = wp.min((rest[e] - length) / wp.max(w + give[e] * per, soft[e] * per), push[e] / per) / length
    if inv_mass[i] > 0.0:
        x[i] = x[i] + s * inv_mass[i] * d
    if inv_mass[j] > 0.0:
        x[j] = x[j] - s * inv_mass[j] * d


@wp.kernel
def limit(
    x: wp.array[wp.vec3],
    base: wp.array[wp.vec3],
    mobile: wp.array[float],
    edges: wp.array[wp.vec2i],
    rest: wp.array[float],
    longest: float,
    gain: float,
    first: int,
) -> None:
    """As `pulls._limit_stretch`."""
    e = first + wp.tid()
    i, j = edges[e][0], edges[e][1]
    d = x[i] - x[j]
    length, most, w = wp.length(d), longest * rest[e], mobile[i] + mobile[j]
    if length <= most or w == 0.0:
        return
    grown = wp.dot(d, x[i] - base[i] - x[j] + base[j])
    share = 1.0 - wp.clamp((grown / length + gain) / (length - most), 0.0, 1.0)
    s = (most / length - 1.0) / w
    if mobile[i] > 0.0:
        x[i] = x[i] + s * mobile[i] * d
        base[i] = base[i] + share * s * mobile[i] * d
    if mobile[j] > 0.0:
        x[j] = x[j] - s * mobile[j] * d
        base[j] = base[j] - share * s * mobile[j] * d


@wp.kernel
def new_speeds(
    x: wp.array[wp.vec3],
    base: wp.array[wp.vec3],
    v: wp.array[wp.vec3],
    inv_mass: wp.array[float],
    jolt: wp.array[float],
    h: float,
) -> None:
    """As `pulls._new_speeds`."""
    i = wp.tid()
    moved = (x[i] - base[i]) / h
    change, most = moved - v[i], jolt[i] * h
    size = wp.length(change)
    if inv_mass[i] > 0.0 and size > most and wp.length_sq(moved) > wp.length_sq(v[i]):
        v[i] = v[i] + most / size * change
    else:
        v[i] = moved


@wp.kernel
def rub_threads(
    v: wp.array[wp.vec3], inv_mass: wp.array[float], edges: wp.array[wp.vec2i], rub: wp.array[float], first: int
) -> None:
    """As `pulls._rub_threads`."""
    e = first + wp.tid()
    i, j = edges[e][0], edges[e][1]
    w = inv_mass[i] + inv_mass[j]
    if w == 0.0:
        return
    d = (rub[e] / w) * (v[j] - v[i])
    if inv_mass[i] > 0.0:
        v[i] = v[i] + inv_mass[i] * d
    if inv_mass[j] > 0.0:
        v[j] = v[j] - inv_mass[j] * d


@wp.func
def turned(q: wp.quat, a: wp.vec3, b: wp.vec3) -> wp.quat:
    """The smallest rotation from direction `a` to direction `b` put upon `q`."""
    axis, w = wp.cross(a, b), 1.0 + wp.dot(a, b)
    if w * w + wp.dot(axis, axis) < 1.0e-12:
        return q
    return wp.normalize(wp.quat(axis, w)) * q


@wp.func
def direction(a: wp.vec3, b: wp.vec3) -> wp.vec3:
    """From `a` to `b`, of length 1."""
    return (b - a) / wp.max(wp.length(b - a), 1.0e-9)


@wp.kernel
def bend_strands(
    x: wp.array[wp.vec3],
    inv_mass: wp.array[float],
    style: wp.array[wp.vec3],
    joints: wp.array[wp.vec3i],
    give: wp.array[float],
    starts: wp.array[int],
    per: float,
) -> None:
    """As `rods.bend_strands`; joints[starts[n]:starts[n + 1]] are those of strand n."""
    n = wp.tid()
    q = wp.quat_identity()
    for e in range(starts[n], starts[n + 1]):
        i, j, k = joints[e][0], joints[e][1], joints[e][2]
        before, after = wp.length(style[j] - style[i]), wp.length(style[k] - style[j])
        q = turned(q, wp.quat_rotate(q, direction(style[i], style[j])), direction(x[i], x[j]))
        goal = wp.quat_rotate(q, direction(style[j], style[k]))
        s = after / wp.max(before, 1.0e-9)
        w = inv_mass[k] + inv_mass[j] * (1.0 + s) * (1.0 + s) + inv_mass[i] * s * s
        if w > 0.0:
            pulled = (after * goal - (x[k] - x[j])) / (w + give[e] * per)
            x[k] = x[k] + inv_mass[k] * pulled
            x[j] = x[j] - inv_mass[j] * (1.0 + s) * pulled
            x[i] = x[i] + inv_mass[i] * s * pulled
