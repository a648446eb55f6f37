"""Which pairs of primitives may touch before the list is made again.

The list holds what can come within reach while every vertex stays within `slack` of the straight line that it is on.
So neighbours that move together cost nothing, however fast they are: what counts is how fast a pair closes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import prange

from ...jit import inlined_kernel, kernel, parallel_kernel
from .flat import NEAR, NOT, STILL, WHOLE
from .geometry import VERTEX, gap_along, nearest_of_pair
from .planes import compare, reach_of, stay_apart
from .tree import LEAF

NUMBER = 23  # bits of a mark that hold the number of a leaf; above them there are 8 more
LEAVES = np.int32((1 << NUMBER) - 1)
BLOCKS = 16  # parts that the search is done in, whatever the number of threads, so that its order does not change
GROUPS = 8  # of leaves side by side, in each block
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
        patches, members, mutual, near, fans, around: of `Patches` about its triangles.
        given: (V,) int64, its vertices in the order in which sums over them are made.
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
    mutual: np.ndarray
    near: np.ndarray
    fans: np.ndarray
    around: np.ndarray
    given: np.ndarray


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
        normals: (F,2,3) of the triangles, now and at the end of their way; flat: (F,) uint8, see `flat`;
            level: (V,) bool, whether the triangles at a vertex are.
        margin: (F,) metres that each triangle's box is wider than the triangle.
        own, apart: (F,) and (2L,) uint8, bits of triangles and nodes as of `never_meeting`.
        marks: (BLOCKS,F) uint8, 0, with which `mend` works.
    """

    node: np.ndarray
    face: np.ndarray
    normals: np.ndarray
    flat: np.ndarray
    level: np.ndarray
    margin: np.ndarray
    own: np.ndarray
    apart: np.ndarray
    marks: np.ndarray


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


@inlined_kernel
def add_pair(near, row, x, y, slack, inv_mass, seam, half, tangled, pairs, count):  # type: ignore[no-untyped-def]
    """Add a pair, a row of `near` (N,5), to the list, if it can touch; the new count, which may exceed the room."""
    kind, i, j, k, m = near[row, 0], near[row, 1], near[row, 2], near[row, 3], near[row, 4]
    if kind == VERTEX:
        crossed = tangled[i] and (tangled[j] or tangled[k] or tangled[m])
    else:
        crossed = (tangled[i] or tangled[j]) and (tangled[k] or tangled[m])
    mobile = inv_mass[i] + inv_mass[j] + inv_mass[k] + inv_mass[m] > 0.0
    sewn = min(min(seam[i], seam[j]), min(seam[k], seam[m])) == SEWN
    if crossed or sewn or not mobile:
        return count
    distance, nx, ny, nz, _wa, _wb, _wc, _wd = nearest_of_pair(kind, i, j, k, m, x)
    keep = half[i] + half[m]
    reach = reach_of(kind, i, j, k, m, keep, slack)
    if distance > reach and gap_along(kind, i, j, k, m, nx, ny, nz, y) > reach:
        return count
    if keep <= 0.0 or distance <= 0.0:
        return count
    kinds, at, normal, keeps, rested = pairs
    if count < kinds.shape[0]:
        kinds[count], keeps[count], rested[count] = kind, keep, False
        at[count, 0], at[count, 1], at[count, 2], at[count, 3] = i, j, k, m
        normal[count, 0], normal[count, 1], normal[count, 2] = nx, ny, nz
    return count + 1


@kernel
def heed_rest(p, pairs, cover):  # type: ignore[no-untyped-def]
    """Let pair `p` of one garment keep no more distance than it has at rest."""
    kinds, at, _, keep, rested = pairs
    rested[p] = True
    kind, i, j, k, m = kinds[p], at[p, 0], at[p, 1], at[p, 2], at[p, 3]
    if cover.garment[i] == cover.garment[m] and _near_at_rest(kind, i, j, k, m, cover.rest, keep[p]):
        keep[p] = min(keep[p], KEPT_AT_REST * nearest_of_pair(kind, i, j, k, m, cover.rest)[0])


@kernel
def block_of(pairs, block):  # type: ignore[no-untyped-def]
    """The part of `Pairs` that is a block's."""
    room = pairs.kind.shape[0] // BLOCKS
    part = slice(block * room, (block + 1) * room)
    return Pairs(pairs.kind[part], pairs.at[part], pairs.normal[part], pairs.keep[part], pairs.rested[part])


@kernel
def leaves_side_by_side(leaves):  # type: ignore[no-untyped-def]
    """How many leaves of a block lie together; the next so many are the next block's, and after the last the first's.

    So each block has some of all places.
    """
    return max(1, leaves // (GROUPS * BLOCKS))


@inlined_kernel
def begin_at(own, stack):  # type: ignore[no-untyped-def]
    """Put on the `stack` what `next_leaf` would find on its way to leaf node `own` itself; the number of nodes."""
    top, above = 0, 1
    while own >> above > 0:
        above += 1
    for step in range(above - 2, -1, -1):
        node = own >> step
        if node & 1 == 0:
            stack[top] = node + 1
            top += 1
    stack[top] = own
    return top + 1


@inlined_kernel
def next_leaf(own, leaves, boxes, apart, stack, top):  # type: ignore[no-untyped-def]
    """Go on through the tree to the next leaf, not before leaf node `own`, whose box touches that of `own`.

    `boxes` are those of the nodes.

    `stack` holds `top` nodes to be looked at, at the start those of `begin_at`. Nodes that have a bit of `apart`
    (2 leaves,) in common are passed over.

    Returns:
        The leaf's node, 0 when there is none; the new `top`.
    """
    while top > 0:
        top -= 1
        node = stack[top]
        if apart[own] & apart[node] or stay_apart(boxes, own, boxes, node):
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


@inlined_kernel
def _mark(leaf, first, faces, patches, members, mutual, near, fans, around, flat, level, marks):  # type: ignore[no-untyped-def]
    """Note in `marks` (F,) what lies about the triangles of a leaf; the arrays are of `Cover` and `Boxes`.

    A mark holds the leaf's number; above it a bit for each of the leaf's triangles that are in one patch with that one,
    whichever it is about; above these a bit for each that it need not be compared with, as cloth lies flat there.
    """
    for a in range(first[leaf], first[leaf + 1]):
        bit = np.int32(1 << (NUMBER + a - first[leaf]))
        bits = bit | bit << LEAF if flat[a] == WHOLE else bit
        for k in range(patches[a], patches[a + 1] if flat[a] == WHOLE else mutual[a]):
            b = members[k]
            marks[b] = (marks[b] if marks[b] & LEAVES == leaf else leaf) | bits
        if flat[a] == NEAR:
            for k in range(patches[a], near[a]):
                marks[members[k]] |= bit << LEAF
        if flat[a] != NOT:
            continue
        for c in range(3):
            v = faces[a, c]
            if level[v]:
                for k in range(fans[v], fans[v + 1]):
                    b = around[k]
                    marks[b] = (marks[b] if marks[b] & LEAVES == leaf else leaf) | bit << LEAF


@kernel
def never_meeting(cover, moving, boxes):  # type: ignore[no-untyped-def]
    """Fill bits `own` of triangles and `apart` of tree nodes, of `Boxes`: two that share one hold nothing that is to be
    compared.

    Bits are of garments that pass themselves, `PASSED` and `MET`, of what is held, of seams, and of triangles without a
    vertex that is `moving` (V,) bool; without rows all may be.
    """
    own, apart = boxes.own, boxes.apart
    first, faces, garment = cover.first, cover.faces, cover.garment
    inv_mass, seam = cover.inv_mass, cover.seam
    leaves = first.shape[0] - 1
    for leaf in range(leaves):
        bits = 31
        for a in range(first[leaf], first[leaf + 1]):
            i, j, k = faces[a, 0], faces[a, 1], faces[a, 2]
            own[a] = 1 if garment[i] == PASSED else (2 if garment[i] == MET else 0)
            if not (inv_mass[i] > 0.0 or inv_mass[j] > 0.0 or inv_mass[k] > 0.0):
                own[a] |= HELD
            if seam[i] == SEWN and seam[j] == SEWN and seam[k] == SEWN:
                own[a] |= 8
            if moving.shape[0] and not (moving[i] or moving[j] or moving[k]):
                own[a] |= STILL
            bits &= own[a]
        apart[leaves + leaf] = bits
    for node in range(leaves - 1, 0, -1):
        apart[node] = apart[2 * node] & apart[2 * node + 1]


@inlined_kernel
def _pairs_of(block, x, y, slack, cover, tangled, boxes, pairs):  # type: ignore[no-untyped-def]
    """List the pairs of which a triangle of a block's leaves holds a part, and none of an earlier leaf; how many."""
    first, faces, owns, half = cover.first, cover.faces.view(np.uint32), cover.owns, cover.half
    inv_mass, seam = cover.inv_mass, cover.seam
    patches, members, mutual, close = cover.patches, cover.members.view(np.uint32), cover.mutual, cover.near
    fans, around = cover.fans, cover.around.view(np.uint32)
    face, node_boxes, flat, level, margin = boxes.face, boxes.node, boxes.flat, boxes.level, boxes.margin
    own_bits, apart = boxes.own, boxes.apart
    marks, stack, near = np.full(faces.shape[0], LEAVES, np.int32), np.empty(64, np.int32), np.empty((15, 5), np.uint32)
    leaves = first.shape[0] - 1
    together, count = leaves_side_by_side(leaves), 0
    for begin in range(block * together, leaves, BLOCKS * together):
        for leaf in range(begin, min(begin + together, leaves)):
            marked = False
            own = leaves + leaf
            top = begin_at(own, stack)
            while True:
                node, top = next_leaf(own, leaves, node_boxes, apart, stack, top)
                if node == 0:
                    break
                if not marked:
                    number = np.int32(leaf)
                    _mark(number, first, faces, patches, members, mutual, close, fans, around, flat, level, marks)
                    marked = True
                for a in range(first[leaf], first[leaf + 1]):
                    if node != own and stay_apart(face, a, node_boxes, node):
                        continue
                    for b in range(a + 1 if node == own else first[node - leaves], first[node - leaves + 1]):
                        if marks[b] & LEAVES == leaf:
                            bits = marks[b] >> (NUMBER + a - first[leaf])
                            if bits >> LEAF & 1 or (bits & 1 and flat[b] == WHOLE):
                                continue
                        if own_bits[a] & own_bits[b] or stay_apart(face, a, face, b):
                            continue
                        p, q = np.uint32(a), np.uint32(b)
                        found = compare(p, q, x, y, slack, faces, owns, half, margin, near, None)
                        for row in range(found):
                            count = add_pair(near, row, x, y, slack, inv_mass, seam, half, tangled, pairs, count)
    return count


@parallel_kernel
def list_pairs(x, y, slack, cover, tangled, boxes, pairs, counts):  # type: ignore[no-untyped-def]
    """List what may touch on straight lines from places `x` to `y` (V,3) that each vertex leaves by `slack` (V,).

    Boxes are those of this way, with bits of `never_meeting`. Block b of `pairs` begins at b N / BLOCKS and gets
    counts[b] of them; more than its room says that there was not enough.
    """
    for b in prange(BLOCKS):
        counts[b] = _pairs_of(b, x, y, slack, cover, tangled, boxes, block_of(pairs, b))
