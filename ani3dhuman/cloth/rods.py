"""How strands keep their style: each segment is drawn to where the one before it, turned as it is now, would have it.

Discrete elastic rods without a twist of their own (Bergou et al., "Discrete Elastic Rods", 2008): a frame is carried
from the root along the strand by the smallest turns, so that the root's own turn (the head's) twists the whole strand.
The shape at rest is the one that the skeleton gives in that very moment.
"""

from __future__ import annotations

import math

import numpy as np

from ..jit import kernel

f4 = np.float32


@kernel
def _turn(q, a, b):  # type: ignore[no-untyped-def]
    """Put the smallest rotation from direction `a` to direction `b` (3,) upon quaternion `q` (4,) wxyz, in place."""
    w = 1.0 + a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
    x, y, z = a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]
    n = math.sqrt(w * w + x * x + y * y + z * z)
    if n < 1e-6:  # straight back: any axis would do, and none is better
        return
    w, x, y, z = w / n, x / n, y / n, z / n
    p0, p1, p2, p3 = q[0], q[1], q[2], q[3]
    q[0] = w * p0 - x * p1 - y * p2 - z * p3
    q[1] = w * p1 + x * p0 + y * p3 - z * p2
    q[2] = w * p2 - x * p3 + y * p0 + z * p1
    q[3] = w * p3 + x * p2 - y * p1 + z * p0


@kernel
def _rotated(q, v, out):  # type: ignore[no-untyped-def]
    """Vector `v` (3,) turned by quaternion `q` (4,) wxyz into `out` (3,)."""
    w, x, y, z = q[0], q[1], q[2], q[3]
    tx, ty, tz = 2 * (y * v[2] - z * v[1]), 2 * (z * v[0] - x * v[2]), 2 * (x * v[1] - y * v[0])
    out[0] = v[0] + w * tx + y * tz - z * ty
    out[1] = v[1] + w * ty + z * tx - x * tz
    out[2] = v[2] + w * tz + x * ty - y * tx


@kernel
def _direction(x, i, j, out):  # type: ignore[no-untyped-def]
    """Unit vector (3,) from point i to point j into `out`; their distance."""
    for k in range(3):
        out[k] = x[j, k] - x[i, k]
    length = math.sqrt(out[0] * out[0] + out[1] * out[1] + out[2] * out[2])
    for k in range(3):
        out[k] /= max(length, 1e-9)
    return length


@kernel
def bend_strands(x, inv_mass, style, joints, give, h):  # type: ignore[no-untyped-def]
    """Draw strands to their style, in place, in a substep of `h` seconds.

    `x` (P,3) are places now, `style` (P,3) as the skeleton has them, `joints` (S,3) neighbours along the strands, from
    each root to its tip, `give` (S,) m/N. Each joint pulls its three points so that their sum of momenta stays.
    """
    per = f4(1.0 / (h * h))
    q = np.zeros(4)
    now, then, goal = np.zeros(3), np.zeros(3), np.zeros(3)
    last = -1
    for e in range(joints.shape[0]):
        i, j, k = joints[e, 0], joints[e, 1], joints[e, 2]
        before = _direction(style, i, j, then)
        if last != j:  # a new strand
            q[0], q[1], q[2], q[3] = 1.0, 0.0, 0.0, 0.0
            last = j
        _rotated(q, then, goal)
        _direction(x, i, j, now)
        _turn(q, goal, now)
        after = _direction(style, j, k, then)
        last = k
        _rotated(q, then, goal)
        s = after / max(before, 1e-9)
        w = inv_mass[k] + inv_mass[j] * (1 + s) ** 2 + inv_mass[i] * s * s
        if w == 0.0:
            continue
        for c in range(3):
            pull = (after * goal[c] - (x[k, c] - x[j, c])) / (w + give[e] * per)
            x[k, c] += inv_mass[k] * pull
            x[j, c] -= inv_mass[j] * (1 + s) * pull
            x[i, c] += inv_mass[i] * s * pull
