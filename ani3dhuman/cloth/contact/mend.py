"""Lists brought up to date for a few vertices that left their lines, as when the body hits them: the others stay."""

from __future__ import annotations

import numpy as np
from numba import prange

from ...jit import inlined_kernel, kernel, parallel_kernel
from .candidates import BLOCKS, add_pair, block_of, block_with, never_meeting
from .flat import find_normal, within_cone
from .planes import compare, stay_apart
from .tree import BIG, fit_face, fit_node, leaf_of

FEW = 0.1  # share of the vertices that may have left their lines, so that it pays
APART, ABOUT, ALL = np.uint8(2), np.uint8(1), np.uint8(255)  # bits of marks
DROPPED = -BIG  # distance to be kept of pairs that are on a list no more


@kernel
def leave_lines(x0, x, elapsed, h, most, lists, off):  # type: ignore[no-untyped-def]
    """Give vertices that are off their lines, `elapsed` + `h` seconds old, new ones, from `x0` to `x` (V,3).

    They get twice the slack, up to `most` (V,). `off` (V,) bool is written; returns how many they are.
    """
    line, way, slack = lists.line, lists.way, lists.slack
    count = 0
    for i in range(x.shape[0]):
        square = 0.0
        for k in range(3):
            d = x[i, k] - line[i, k] - (elapsed + h) * way[i, k]
            square += d * d
        off[i] = not square <= slack[i] * slack[i]
        if off[i]:
            count += 1
    if count > FEW * x.shape[0]:
        return count
    for i in range(x.shape[0]):
        if off[i]:
            slack[i] = min(2 * slack[i], most[i])
            for k in range(3):
                line[i, k] = x[i, k] - (elapsed + h) * way[i, k]
    return count


@kernel
def _drop(block, off, pairs, counts):  # type: ignore[no-untyped-def]
    """Drop the pairs of a block that are of vertices which are off."""
    at, keep = pairs.at, pairs.keep
    first = block * (at.shape[0] // BLOCKS)
    for p in range(first, first + counts[block]):
        if off[at[p, 0]] or off[at[p, 1]] or off[at[p, 2]] or off[at[p, 3]]:
            keep[p] = DROPPED


@inlined_kernel
def _mark(a, value, faces, patches, members, mutual, fans, around, flat, level, marks):  # type: ignore[no-untyped-def]
    """Note in `marks` (F,) uint8 what lies about triangle `a`, and what it need not be compared with; 0 as `value`
    forgets that."""
    for k in range(patches[a], patches[a + 1] if flat[a] else mutual[a]):
        marks[members[k]] = value & (APART | ABOUT if flat[a] else ABOUT)
    if flat[a]:
        return
    for c in range(3):
        v = faces[a, c]
        if level[v]:
            for k in range(fans[v], fans[v + 1]):
                marks[around[k]] = value & (APART | ABOUT)


@parallel_kernel
def _list_again(off, fan, again, x, y, slack, cover, tangled, boxes, pairs, counts):  # type: ignore[no-untyped-def]
    """List anew the pairs of triangles `again` (N,), those with a vertex that is `off`; all else as of `list_pairs`.

    `fan` (F,) bool: whether a triangle is one of them.
    """
    first, faces, owns, half = cover.first, cover.faces, cover.owns, cover.half
    inv_mass, seam, leaves = cover.inv_mass, cover.seam, first.shape[0] - 1
    patches, members, mutual = cover.patches, cover.members, cover.mutual
    fans, around = cover.fans, cover.around
    face, node_boxes, flat, level, margin = boxes.face, boxes.node, boxes.flat, boxes.level, boxes.margin
    bits, apart = never_meeting(cover)
    for block in prange(BLOCKS):
        _drop(block, off, pairs, counts)
        own, count = block_of(pairs, block), counts[block]
        near, stack, marks = np.empty((15, 5), np.int32), np.empty(64, np.int32), np.zeros(face.shape[0], np.uint8)
        for a in again:
            leaf = leaf_of(a, face.shape[0], leaves)
            if block_with(leaf, leaves) != block:
                continue
            _mark(a, ALL, faces, patches, members, mutual, fans, around, flat, level, marks)
            stack[0], top = 1, 1
            while top > 0:
                top -= 1
                node = stack[top]
                if bits[a] & apart[node] or stay_apart(face, a, node_boxes, node):
                    continue
                if node < leaves:
                    stack[top], stack[top + 1] = 2 * node + 1, 2 * node
                    top += 2
                    continue
                for b in range(first[node - leaves], first[node - leaves + 1]):
                    if b == a or (fan[b] and b < a) or marks[b] & APART or (marks[b] and fan[b] and flat[b]):
                        continue
                    if bits[a] & bits[b] or stay_apart(face, a, face, b):
                        continue
                    found = compare(a, b, x, y, slack, faces, owns, half, margin, near)
                    for row in range(found):
                        if off[near[row, 1]] or off[near[row, 2]] or off[near[row, 3]] or off[near[row, 4]]:
                            count = add_pair(near, row, x, y, slack, inv_mass, seam, half, tangled, own, count)
            _mark(a, 0, faces, patches, members, mutual, fans, around, flat, level, marks)
        counts[block] = count


@parallel_kernel
def _find_flat_again(again, x, y, cover, boxes):  # type: ignore[no-untyped-def]
    """Find about which triangles `again` (N,), and their corners, cloth lies flat; see `find_flat`."""
    faces, starts, members, fans, around = cover.faces, cover.patches, cover.members, cover.fans, cover.around
    normals, flat, level = boxes.normals, boxes.flat, boxes.level
    for n in range(again.shape[0]):
        find_normal(again[n], x, faces, normals, 0)
        find_normal(again[n], y, faces, normals, 1)
    for n in prange(again.shape[0]):
        t = again[n]
        flat[t] = within_cone(members, starts[t], starts[t + 1], normals)
    for n in prange(again.shape[0]):  # what two threads write is the same
        for c in range(3):
            v = faces[again[n], c]
            level[v] = within_cone(around, fans[v], fans[v + 1], normals)


@kernel
def _refit_about(again, cover, x, y, slack, boxes):  # type: ignore[no-untyped-def]
    """Bring the boxes of triangles `again` (N,), in their order, and of the nodes above them up to date."""
    first, faces, half, leaves = cover.first, cover.faces, cover.half, cover.first.shape[0] - 1
    face, boxes_of_nodes, margin = boxes.face, boxes.node, boxes.margin
    nodes, count = np.empty(again.shape[0], np.int64), 0
    for a in again:
        fit_face(a, faces, half, x, y, slack, face, margin)
        node = leaves + leaf_of(a, faces.shape[0], leaves)
        if count == 0 or nodes[count - 1] != node:
            nodes[count] = node
            count += 1
    while count > 0 and nodes[0] > 0:
        above = 0
        for k in range(count):
            fit_node(nodes[k], first, face, boxes_of_nodes)
            node = nodes[k] // 2
            if above == 0 or nodes[above - 1] != node:
                nodes[above] = node
                above += 1
        count = above


@kernel
def mend(off, elapsed, span, cover, lists):  # type: ignore[no-untyped-def]
    """List anew, for the rest of `span` seconds (float32) of which `elapsed` are over, the pairs that are `off`.

    Returns:
        Whether there was room.
    """
    x, y = lists.line + elapsed * lists.way, lists.line + span * lists.way
    fan, fans, around = np.zeros(cover.faces.shape[0], np.bool_), cover.fans, cover.around
    for v in range(off.shape[0]):
        if off[v]:
            for k in range(fans[v], fans[v + 1]):
                fan[around[k]] = True
    again = np.flatnonzero(fan)
    _refit_about(again, cover, lists.line, y, lists.slack, lists.boxes)
    _find_flat_again(again, x, y, cover, lists.boxes)
    _list_again(off, fan, again, x, y, lists.slack, cover, lists.tangled, lists.boxes, lists.pairs, lists.counts)
    return lists.counts.max() * BLOCKS <= lists.pairs.kind.shape[0]
