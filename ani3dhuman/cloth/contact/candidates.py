"""Which pairs of primitives may touch before the list is made again.

The list holds what can come within reach while every vertex stays within `slack` of the straight line that it is on.
So neighbours that move together cost nothing, however fast they are: what counts is how fast a pair closes.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import prange

from ...jit import kernel, parallel_kernel
from .geometry import EDGE, VERTEX, gap_along, nearest_of_pair

BLOCKS = 16  # parts that the search is done in, whatever the number of threads, so that its order does not change
KEPT_AT_REST = 0.9  # share of the distance that two primitives of one garment have at rest which may be kept


class Cover(NamedTuple):
    """What does not change about cloth of V vertices and F triangles in contact.

    Attributes:
        faces, owns, first, beside: of a `Tree` over its triangles.
        rest: (V,3) places at rest; half: (V,) metres, half the distance that it keeps from other cloth.
        garment: (V,) int32, the garment that a vertex belongs to; within one no more distance is kept than at rest,
            and none within one of a number below 0.
        inv_mass: (V,) 0 for what is moved from outside.
    """

    faces: np.ndarray
    owns: np.ndarray
    first: np.ndarray
    beside: np.ndarray
    rest: np.ndarray
    half: np.ndarray
    garment: np.ndarray
    inv_mass: np.ndarray


class Pairs(NamedTuple):
    """N pairs of primitives; see `geometry`.

    Attributes:
        kind: (N,) int8; at: (N,4) int32 vertices.
        normal: (N,3) float32, of a plane between the two; keep: (N,) float32 metres to be kept between them.
    """

    kind: np.ndarray
    at: np.ndarray
    normal: np.ndarray
    keep: np.ndarray


class Boxes(NamedTuple):
    """Boxes of the tree's nodes (2L,3) and of triangles (F,3), float32 metres, and how they go.

    Attributes:
        low, high: corners; back, ahead: the least and the greatest way of what is in it, along each axis.
    """

    node_low: np.ndarray
    node_high: np.ndarray
    node_back: np.ndarray
    node_ahead: np.ndarray
    face_low: np.ndarray
    face_high: np.ndarray
    face_back: np.ndarray
    face_ahead: np.ndarray


@kernel
def stay_apart(low, high, back, ahead, a, b):  # type: ignore[no-untyped-def]
    """Whether what is in two boxes is apart along an axis, and stays so on its way."""
    apart = False
    for k in range(3):
        apart = apart or (
            low[a, k] - high[b, k] > max(ahead[b, k] - back[a, k], 0.0)
            or low[b, k] - high[a, k] > max(ahead[a, k] - back[b, k], 0.0)
        )
    return apart


@kernel
def _gap_between_middles(kind, i, j, k, m, x):  # type: ignore[no-untyped-def]
    """A distance that a pair has at least: that between planes across the line from middle to middle of its sides."""
    if kind == VERTEX:
        nx = x[i, 0] - (x[j, 0] + x[k, 0] + x[m, 0]) / 3.0
        ny = x[i, 1] - (x[j, 1] + x[k, 1] + x[m, 1]) / 3.0
        nz = x[i, 2] - (x[j, 2] + x[k, 2] + x[m, 2]) / 3.0
    else:
        nx = x[i, 0] + x[j, 0] - x[k, 0] - x[m, 0]
        ny = x[i, 1] + x[j, 1] - x[k, 1] - x[m, 1]
        nz = x[i, 2] + x[j, 2] - x[k, 2] - x[m, 2]
    length = math.sqrt(nx * nx + ny * ny + nz * nz)
    if length == 0.0:
        return 0.0
    return gap_along(kind, i, j, k, m, nx / length, ny / length, nz / length, x)


@kernel
def _closing(kind, i, j, k, m, v):  # type: ignore[no-untyped-def]
    """The greatest relative speed of two vertices on different sides of a pair."""
    most = 0.0
    for a in range(1 if kind == VERTEX else 2):
        p = i if a == 0 else j
        for b in range(3 if kind == VERTEX else 2):
            q = m if b == 0 else (k if b == 1 else j)
            x, y, z = v[p, 0] - v[q, 0], v[p, 1] - v[q, 1], v[p, 2] - v[q, 2]
            most = max(most, x * x + y * y + z * z)
    return math.sqrt(most)


@kernel
def _near_at_rest(kind, i, j, k, m, rest, within):  # type: ignore[no-untyped-def]
    for c in range(3):
        if kind == VERTEX:
            la, ha = rest[i, c], rest[i, c]
            lb, hb = min(rest[j, c], rest[k, c], rest[m, c]), max(rest[j, c], rest[k, c], rest[m, c])
        else:
            la, ha = min(rest[i, c], rest[j, c]), max(rest[i, c], rest[j, c])
            lb, hb = min(rest[k, c], rest[m, c]), max(rest[k, c], rest[m, c])
        if la > hb + within or lb > ha + within:
            return False
    return True


@kernel
def _compare(a, b, faces, owns, x, v, half, span, slack, near):  # type: ignore[no-untyped-def]
    """Pairs of what triangle `a` owns and `b`, and the other way, that a first look cannot tell apart; how many.

    They are written to `near` (15,5) int32: kind and vertices.
    """
    count = 0
    for turn in range(2):
        p, q = (a, b) if turn == 0 else (b, a)
        j, k, m = faces[q, 0], faces[q, 1], faces[q, 2]
        for c in range(3):
            i = faces[p, c]
            if owns[p, c] and i not in (j, k, m):
                reach = half[i] + half[m] + 2 * slack + span * _closing(VERTEX, i, j, k, m, v)
                if _gap_between_middles(VERTEX, i, j, k, m, x) <= reach:
                    near[count, 0], near[count, 1], near[count, 2] = VERTEX, i, j
                    near[count, 3], near[count, 4] = k, m
                    count += 1
    for c in range(3):
        if owns[a, 3 + c]:
            i, j = faces[a, c], faces[a, (c + 1) % 3]
            for d in range(3):
                k, m = faces[b, d], faces[b, (d + 1) % 3]
                if owns[b, 3 + d] and i not in (k, m) and j not in (k, m):
                    reach = half[i] + half[m] + 2 * slack + span * _closing(EDGE, i, j, k, m, v)
                    if _gap_between_middles(EDGE, i, j, k, m, x) <= reach:
                        near[count, 0], near[count, 1], near[count, 2] = EDGE, i, j
                        near[count, 3], near[count, 4] = k, m
                        count += 1
    return count


@kernel
def _add(row, x, v, span, slack, cover, tangled, pairs, count):  # type: ignore[no-untyped-def]
    """Add a pair (5,) to the list, if it can touch; returns the new count, which may exceed the room."""
    kind, i, j, k, m = row[0], row[1], row[2], row[3], row[4]
    if kind == VERTEX:
        crossed = tangled[i] and (tangled[j] or tangled[k] or tangled[m])
    else:
        crossed = (tangled[i] or tangled[j]) and (tangled[k] or tangled[m])
    mobile = cover.inv_mass[i] + cover.inv_mass[j] + cover.inv_mass[k] + cover.inv_mass[m] > 0.0
    loose = cover.garment[i] < 0 and cover.garment[i] == cover.garment[m]
    if crossed or loose or not mobile:
        return count
    distance, nx, ny, nz, _wa, _wb, _wc, _wd = nearest_of_pair(kind, i, j, k, m, x)
    keep = cover.half[i] + cover.half[m]
    if distance > keep + 2 * slack + span * _closing(kind, i, j, k, m, v):
        return count
    if cover.garment[i] == cover.garment[m] and _near_at_rest(kind, i, j, k, m, cover.rest, keep):
        keep = min(keep, KEPT_AT_REST * nearest_of_pair(kind, i, j, k, m, cover.rest)[0])
    if keep <= 0.0 or distance <= 0.0:
        return count
    if count < pairs.kind.shape[0]:
        pairs.kind[count], pairs.keep[count] = kind, keep
        pairs.at[count, 0], pairs.at[count, 1], pairs.at[count, 2], pairs.at[count, 3] = i, j, k, m
        pairs.normal[count, 0], pairs.normal[count, 1], pairs.normal[count, 2] = nx, ny, nz
    return count + 1


@kernel
def next_leaf(own, leaves, boxes, stack, top):  # type: ignore[no-untyped-def]
    """Go on through the tree to the next leaf, not before leaf node `own`, whose box touches that of `own`.

    `stack` holds `top` nodes to be looked at; at the start the root alone.

    Returns:
        The leaf's node, 0 when there is none; the new `top`.
    """
    while top > 0:
        top -= 1
        node = stack[top]
        if stay_apart(boxes.node_low, boxes.node_high, boxes.node_back, boxes.node_ahead, own, node):
            continue
        if node >= leaves:
            if node >= own:
                return node, top
            continue
        stack[top] = 2 * node + 1
        top += 1
        last = 2 * node
        while last < leaves:
            last = 2 * last + 1
        if last >= own:
            stack[top] = 2 * node
            top += 1
    return 0, top


@kernel
def _pairs_from(leaf, x, v, span, slack, cover, tangled, boxes, pairs, count):  # type: ignore[no-untyped-def]
    """List the pairs of which a triangle of `leaf` holds a part, and none of an earlier leaf."""
    first = cover.first
    leaves = first.shape[0] - 1
    own, top = leaves + leaf, 1
    stack, near = np.ones(64, np.int32), np.empty((15, 5), np.int32)
    while True:
        node, top = next_leaf(own, leaves, boxes, stack, top)
        if node == 0:
            return count
        for a in range(first[leaf], first[leaf + 1]):
            for b in range(a + 1 if node == own else first[node - leaves], first[node - leaves + 1]):
                if not stay_apart(boxes.face_low, boxes.face_high, boxes.face_back, boxes.face_ahead, a, b):
                    found = _compare(a, b, cover.faces, cover.owns, x, v, cover.half, span, slack, near)
                    for row in range(found):
                        count = _add(near[row], x, v, span, slack, cover, tangled, pairs, count)


@parallel_kernel
def list_pairs(x, v, span, slack, cover, tangled, boxes, pairs, counts):  # type: ignore[no-untyped-def]
    """List what may touch within `span` seconds, at velocities `v` (V,3) from places `x` (V,3), kept within `slack`.

    Boxes are those of this way. Block b of `pairs` begins at b N / BLOCKS and gets counts[b] of them; more than its
    room says that there was not enough.
    """
    leaves = cover.first.shape[0] - 1
    room = pairs.kind.shape[0] // BLOCKS
    for b in prange(BLOCKS):
        own = Pairs(
            pairs.kind[b * room : (b + 1) * room],
            pairs.at[b * room : (b + 1) * room],
            pairs.normal[b * room : (b + 1) * room],
            pairs.keep[b * room : (b + 1) * room],
        )
        count = 0
        for leaf in range(b, leaves, BLOCKS):
            count = _pairs_from(leaf, x, v, span, slack, cover, tangled, boxes, own, count)
        counts[b] = count
