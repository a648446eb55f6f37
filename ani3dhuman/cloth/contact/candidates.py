"""Which pairs of primitives may touch before the list is made again.

The list holds what can come within reach while every vertex stays within `slack` of the straight line that it is on.
So neighbours that move together cost nothing, however fast they are: what counts is how fast a pair closes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import prange

from ...jit import kernel, parallel_kernel
from .geometry import EDGE, VERTEX, gap_along, nearest_of_pair
from .tree import LEAF

BIG, NONE, THIRD = np.float32(1e30), np.float32(0), np.float32(1 / 3)
NUMBER = 32  # bits of a mark that hold the number of a leaf
LEAVES = (1 << NUMBER) - 1
BLOCKS = 16  # parts that the search is done in, whatever the number of threads, so that its order does not change
SEWN, BESIDE = 2, 1  # of `Cover.seam`
PASSED, MET = -1, -2  # numbers of garments that pass themselves: cards of hair; what was simulated before
HELD = np.uint8(4)  # the bit of `never_meeting` for what is moved from outside
KEPT_AT_REST = 0.9  # share of the distance that two primitives of one garment have at rest which may be kept


class Cover(NamedTuple):
    """What does not change about cloth of V vertices and F triangles in contact.

    Attributes:
        faces, owns, first, beside: of a `Tree` over its triangles.
        rest: (V,3) places at rest; half: (V,) metres, half the distance that it keeps from other cloth.
        garment: (V,) int32, the garment that a vertex belongs to; within one no more distance is kept than at rest,
            and none within one of a number below 0.
        inv_mass: (V,) 0 for what is moved from outside.
        seam: (V,) int8, 2 about crossings that the skeleton keeps, 1 beside that; see `seams`.
        patches, members, fans, around: of `Patches` about its triangles.
    """

    faces: np.ndarray
    owns: np.ndarray
    first: np.ndarray
    beside: np.ndarray
    rest: np.ndarray
    half: np.ndarray
    garment: np.ndarray
    inv_mass: np.ndarray
    seam: np.ndarray
    patches: np.ndarray
    members: np.ndarray
    fans: np.ndarray
    around: np.ndarray


class Pairs(NamedTuple):
    """N pairs of primitives; see `geometry`.

    Attributes:
        kind: (N,) int8; at: (N,4) int32 vertices.
        normal: (N,3) float32, of a plane between the two; keep: (N,) float32 metres to be kept between them.
        rested: (N,) bool, whether `keep` heeds how near they are at rest; `heed_rest` does that where they are near.
    """

    kind: np.ndarray
    at: np.ndarray
    normal: np.ndarray
    keep: np.ndarray
    rested: np.ndarray


class Boxes(NamedTuple):
    """Boxes of the tree's nodes (2L,12) and of triangles (F,12), float32 metres, and how they go.

    Attributes:
        node, face: low corner, high corner, and the least and the greatest way of what is in it, along each axis.
        normals: (2,F,3) of the triangles, now and at the end of their way; flat: (F,) bool, see `flat`;
            level: (V,) bool, whether the triangles at a vertex are.
        margin: (F,) metres that each triangle's box is wider than the triangle.
    """

    node: np.ndarray
    face: np.ndarray
    normals: np.ndarray
    flat: np.ndarray
    level: np.ndarray
    margin: np.ndarray


@kernel
def stay_apart(p, a, q, b):  # type: ignore[no-untyped-def]
    """Whether what is in two boxes, rows `a` of `p` and `b` of `q`, is apart along an axis and stays so on its way."""
    gap = -BIG
    for k in range(3):
        one = p[a, k] - q[b, 3 + k] - max(q[b, 9 + k] - p[a, 6 + k], NONE)
        other = q[b, k] - p[a, 3 + k] - max(p[a, 9 + k] - q[b, 6 + k], NONE)
        gap = max(gap, max(one, other))
    return gap > NONE


@kernel
def _parted(kind, i, j, k, m, x, y, reach):  # type: ignore[no-untyped-def]
    """Whether planes across the line from middle to middle of a pair's sides part it by `reach` from `x` to `y`.

    On straight lines the distance to a plane changes linearly, so that it is enough to look at both ends.
    """
    if kind == VERTEX:
        nx = x[i, 0] - (x[j, 0] + x[k, 0] + x[m, 0]) * THIRD
        ny = x[i, 1] - (x[j, 1] + x[k, 1] + x[m, 1]) * THIRD
        nz = x[i, 2] - (x[j, 2] + x[k, 2] + x[m, 2]) * THIRD
    else:
        nx = x[i, 0] + x[j, 0] - x[k, 0] - x[m, 0]
        ny = x[i, 1] + x[j, 1] - x[k, 1] - x[m, 1]
        nz = x[i, 2] + x[j, 2] - x[k, 2] - x[m, 2]
    gap = min(gap_along(kind, i, j, k, m, nx, ny, nz, x), gap_along(kind, i, j, k, m, nx, ny, nz, y))
    return gap > NONE and gap * gap > reach * reach * (nx * nx + ny * ny + nz * nz)


@kernel
def _gap_of_triangles(a, b, faces, nx, ny, nz, x):  # type: ignore[no-untyped-def]
    """How far a plane with this normal keeps two triangles apart."""
    low, high = BIG, -BIG
    for k in range(3):
        i, j = faces[a, k], faces[b, k]
        low = min(low, nx * x[i, 0] + ny * x[i, 1] + nz * x[i, 2])
        high = max(high, nx * x[j, 0] + ny * x[j, 1] + nz * x[j, 2])
    return low - high


@kernel
def _triangles_parted(a, b, faces, x, y, reach):  # type: ignore[no-untyped-def]
    """Whether planes across the line from middle to middle of two triangles part them by `reach` from `x` to `y`."""
    i, j, k = faces[a, 0], faces[a, 1], faces[a, 2]
    l, m, n = faces[b, 0], faces[b, 1], faces[b, 2]
    nx = (x[i, 0] + x[j, 0] + x[k, 0]) - (x[l, 0] + x[m, 0] + x[n, 0])
    ny = (x[i, 1] + x[j, 1] + x[k, 1]) - (x[l, 1] + x[m, 1] + x[n, 1])
    nz = (x[i, 2] + x[j, 2] + x[k, 2]) - (x[l, 2] + x[m, 2] + x[n, 2])
    gap = min(_gap_of_triangles(a, b, faces, nx, ny, nz, x), _gap_of_triangles(a, b, faces, nx, ny, nz, y))
    return gap > NONE and gap * gap > reach * reach * (nx * nx + ny * ny + nz * nz)


@kernel
def _reach(kind, i, j, k, m, keep, slack):  # type: ignore[no-untyped-def]
    """The distance that a pair must have on its straight lines so as not to come nearer than `keep`."""
    if kind == VERTEX:
        return keep + slack[i] + max(max(slack[j], slack[k]), slack[m])
    return keep + max(slack[i], slack[j]) + max(slack[k], slack[m])


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
def _never_meet(a, b, cover):  # type: ignore[no-untyped-def]
    """Whether two triangles are of one garment that passes itself, or of a seam, or both are moved from outside."""
    garment, inv_mass, seam, faces = cover.garment, cover.inv_mass, cover.seam, cover.faces
    if garment[faces[a, 0]] < 0 and garment[faces[a, 0]] == garment[faces[b, 0]]:
        return True
    mobile, sewn = 0.0, True
    for c in range(3):
        mobile += inv_mass[faces[a, c]] + inv_mass[faces[b, c]]
        sewn = sewn and seam[faces[a, c]] == SEWN and seam[faces[b, c]] == SEWN
    return sewn or mobile == 0.0


@kernel
def _beside(a, b, faces):  # type: ignore[no-untyped-def]
    """Whether two triangles share a vertex, so that no plane parts them."""
    i, j, k = faces[a, 0], faces[a, 1], faces[a, 2]
    return faces[b, 0] in (i, j, k) or faces[b, 1] in (i, j, k) or faces[b, 2] in (i, j, k)


@kernel
def compare(a, b, x, y, slack, cover, boxes, near):  # type: ignore[no-untyped-def]
    """Pairs of what triangle `a` owns and `b`, and the other way, that a first look cannot tell apart; how many.

    They are written to `near` (15,5) int32: kind and vertices. Arguments as of `list_pairs`.
    """
    faces, owns, half = cover.faces, cover.owns, cover.half
    count = 0
    if _never_meet(a, b, cover):
        return count
    if not _beside(a, b, faces) and _triangles_parted(a, b, faces, x, y, boxes.margin[a] + boxes.margin[b]):
        return count
    for turn in range(2):
        p, q = (a, b) if turn == 0 else (b, a)
        if owns[p] & 7:
            j, k, m = faces[q, 0], faces[q, 1], faces[q, 2]
            for c in range(3):
                i = faces[p, c]
                if not owns[p] >> c & 1 or i in (j, k, m):
                    continue
                if not _parted(VERTEX, i, j, k, m, x, y, _reach(VERTEX, i, j, k, m, half[i] + half[m], slack)):
                    near[count, 0], near[count, 1], near[count, 2] = VERTEX, i, j
                    near[count, 3], near[count, 4] = k, m
                    count += 1
    if owns[b] < 8:
        return count
    for c in range(3):
        if owns[a] >> (3 + c) & 1:
            i, j = faces[a, c], faces[a, (c + 1) % 3]
            for d in range(3):
                k, m = faces[b, d], faces[b, (d + 1) % 3]
                if not owns[b] >> 3 + d & 1 or i in (k, m) or j in (k, m):
                    continue
                if not _parted(EDGE, i, j, k, m, x, y, _reach(EDGE, i, j, k, m, half[i] + half[m], slack)):
                    near[count, 0], near[count, 1], near[count, 2] = EDGE, i, j
                    near[count, 3], near[count, 4] = k, m
                    count += 1
    return count


@kernel
def add_pair(row, x, y, slack, cover, tangled, pairs, count):  # type: ignore[no-untyped-def]
    """Add a pair (5,) to the list, if it can touch; returns the new count, which may exceed the room."""
    kind, i, j, k, m = row[0], row[1], row[2], row[3], row[4]
    if kind == VERTEX:
        crossed = tangled[i] and (tangled[j] or tangled[k] or tangled[m])
    else:
        crossed = (tangled[i] or tangled[j]) and (tangled[k] or tangled[m])
    mobile = cover.inv_mass[i] + cover.inv_mass[j] + cover.inv_mass[k] + cover.inv_mass[m] > 0.0
    sewn = min(min(cover.seam[i], cover.seam[j]), min(cover.seam[k], cover.seam[m])) == SEWN
    if crossed or sewn or not mobile:
        return count
    distance, nx, ny, nz, _wa, _wb, _wc, _wd = nearest_of_pair(kind, i, j, k, m, x)
    keep = cover.half[i] + cover.half[m]
    reach = _reach(kind, i, j, k, m, keep, slack)
    if distance > reach and gap_along(kind, i, j, k, m, nx, ny, nz, y) > reach:
        return count
    if keep <= 0.0 or distance <= 0.0:
        return count
    if count < pairs.kind.shape[0]:
        pairs.kind[count], pairs.keep[count], pairs.rested[count] = kind, keep, False
        pairs.at[count, 0], pairs.at[count, 1], pairs.at[count, 2], pairs.at[count, 3] = i, j, k, m
        pairs.normal[count, 0], pairs.normal[count, 1], pairs.normal[count, 2] = nx, ny, nz
    return count + 1


@kernel
def heed_rest(p, pairs, cover):  # type: ignore[no-untyped-def]
    """Let pair `p` of one garment keep no more distance than it has at rest."""
    pairs.rested[p] = True
    kind, i, j, k, m = pairs.kind[p], pairs.at[p, 0], pairs.at[p, 1], pairs.at[p, 2], pairs.at[p, 3]
    if cover.garment[i] == cover.garment[m] and _near_at_rest(kind, i, j, k, m, cover.rest, pairs.keep[p]):
        pairs.keep[p] = min(pairs.keep[p], KEPT_AT_REST * nearest_of_pair(kind, i, j, k, m, cover.rest)[0])


@kernel
def block_of(pairs, block):  # type: ignore[no-untyped-def]
    """The part of `Pairs` that is a block's."""
    room = pairs.kind.shape[0] // BLOCKS
    part = slice(block * room, (block + 1) * room)
    return Pairs(pairs.kind[part], pairs.at[part], pairs.normal[part], pairs.keep[part], pairs.rested[part])


@kernel
def next_leaf(own, leaves, boxes, apart, stack, top):  # type: ignore[no-untyped-def]
    """Go on through the tree to the next leaf, not before leaf node `own`, whose box touches that of `own`.

    `stack` holds `top` nodes to be looked at; at the start the root alone. Nodes that have a bit of `apart` (2 leaves,)
    in common are passed over.

    Returns:
        The leaf's node, 0 when there is none; the new `top`.
    """
    while top > 0:
        top -= 1
        node = stack[top]
        if apart[own] & apart[node] or stay_apart(boxes.node, own, boxes.node, node):
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
def _mark(leaf, cover, boxes, marks):  # type: ignore[no-untyped-def]
    """Note in `marks` (F,) what lies about the triangles of a leaf.

    A mark holds the leaf's number; above it a bit for each of the leaf's triangles to whose patch that one belongs;
    above these a bit for each that it need not be compared with, as cloth lies flat there.
    """
    first, patches, members, fans, around = cover.first, cover.patches, cover.members, cover.fans, cover.around
    for a in range(first[leaf], first[leaf + 1]):
        bit = np.int64(1) << (NUMBER + a - first[leaf])
        bits = bit | bit << LEAF if boxes.flat[a] else bit
        for k in range(patches[a], patches[a + 1]):
            b = members[k]
            marks[b] = (marks[b] if marks[b] & LEAVES == leaf else leaf) | bits
        if boxes.flat[a]:
            continue
        for c in range(3):
            v = cover.faces[a, c]
            if boxes.level[v]:
                for k in range(fans[v], fans[v + 1]):
                    b = around[k]
                    marks[b] = (marks[b] if marks[b] & LEAVES == leaf else leaf) | bit << LEAF


@kernel
def never_meeting(cover):  # type: ignore[no-untyped-def]
    """Bits (2 leaves,) for tree nodes: two that share one hold nothing that `_never_meet` leaves to be compared.

    Bits are of garments that pass themselves, `PASSED` and `MET`, and `HELD`.
    """
    first, faces, garment, inv_mass = cover.first, cover.faces, cover.garment, cover.inv_mass
    leaves = first.shape[0] - 1
    apart = np.zeros(2 * leaves, np.uint8)
    for leaf in range(leaves):
        bits = 7
        for a in range(first[leaf], first[leaf + 1]):
            if garment[faces[a, 0]] != PASSED:
                bits &= 6
            if garment[faces[a, 0]] != MET:
                bits &= 5
            if inv_mass[faces[a, 0]] > 0.0 or inv_mass[faces[a, 1]] > 0.0 or inv_mass[faces[a, 2]] > 0.0:
                bits &= 3
        apart[leaves + leaf] = bits
    for node in range(leaves - 1, 0, -1):
        apart[node] = apart[2 * node] & apart[2 * node + 1]
    return apart


@kernel
def _pairs_from(leaf, x, y, slack, cover, tangled, boxes, apart, marks, pairs, count):  # type: ignore[no-untyped-def]
    """List the pairs of which a triangle of `leaf` holds a part, and none of an earlier leaf."""
    first, flat, face = cover.first, boxes.flat, boxes.face
    _mark(leaf, cover, boxes, marks)
    leaves = first.shape[0] - 1
    own, top = leaves + leaf, 1
    stack, near = np.ones(64, np.int32), np.empty((15, 5), np.int32)
    while True:
        node, top = next_leaf(own, leaves, boxes, apart, stack, top)
        if node == 0:
            return count
        for a in range(first[leaf], first[leaf + 1]):
            for b in range(a + 1 if node == own else first[node - leaves], first[node - leaves + 1]):
                if stay_apart(face, a, face, b):
                    continue
                if marks[b] & LEAVES == leaf:
                    bits = marks[b] >> (NUMBER + a - first[leaf])
                    if bits >> LEAF & 1 or (bits & 1 and flat[b]):
                        continue
                found = compare(a, b, x, y, slack, cover, boxes, near)
                for row in range(found):
                    count = add_pair(near[row], x, y, slack, cover, tangled, pairs, count)


@parallel_kernel
def list_pairs(x, y, slack, cover, tangled, boxes, pairs, counts):  # type: ignore[no-untyped-def]
    """List what may touch on straight lines from places `x` to `y` (V,3) that each vertex leaves by `slack` (V,).

    Boxes are those of this way. Block b of `pairs` begins at b N / BLOCKS and gets counts[b] of them; more than its
    room says that there was not enough.
    """
    leaves, apart = cover.first.shape[0] - 1, never_meeting(cover)
    for b in prange(BLOCKS):
        own, count = block_of(pairs, b), 0
        marks = np.full(cover.faces.shape[0], LEAVES, np.int64)
        for leaf in range(b, leaves, BLOCKS):
            count = _pairs_from(leaf, x, y, slack, cover, tangled, boxes, apart, marks, own, count)
        counts[b] = count
