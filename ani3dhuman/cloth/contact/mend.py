"""Lists brought up to date for a few vertices that left their lines, as when the body hits them: the others stay."""

from __future__ import annotations

import math

import numpy as np
from numba import prange

from ...jit import inlined_kernel, kernel, parallel_kernel
from .candidates import BLOCKS, add_pair, block_of, leaves_side_by_side
from .flat import NEAR, NOT, WHOLE, find_normal, flatness, within_cone
from .planes import compare, stay_apart
from .tree import fit_face, fit_node, leaf_of

WORTH = 40  # triangles from which on waking another core is worth it
SPARE = 1.1  # times the way from its line, the slack of what is corrected
FEW = 0.1  # share of the vertices that may have left their lines, so that it pays
APART, ABOUT, ALL = np.uint8(2), np.uint8(1), np.uint8(255)  # bits of marks


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
def widen(x0, x, elapsed, most, lists, off):  # type: ignore[no-untyped-def]
    """Give vertices that are off their lines, `elapsed` seconds old, at `x0` or at `x` (V,3), slack as far as there.

    `off` (V,) bool is written; returns how many they are. Where one would need more than `most` (V,), that is all.
    """
    line, way, slack = lists.line, lists.way, lists.slack
    count = 0
    for i in range(x.shape[0]):
        one, other = 0.0, 0.0
        for k in range(3):
            at = line[i, k] + elapsed * way[i, k]
            one += (x0[i, k] - at) ** 2
            other += (x[i, k] - at) ** 2
        off[i] = not max(one, other) <= slack[i] * slack[i]
        if off[i]:
            count += 1
            wanted = SPARE * math.sqrt(max(one, other))
            if not wanted <= most[i]:
                return x.shape[0]
            slack[i] = wanted
    return count


@kernel
def _drop(block, off, pairs, counts):  # type: ignore[no-untyped-def]
    """Drop the pairs of a block that are of vertices which are off; the others stay in their order. How many."""
    kinds, at, normal, keep, rested = pairs
    at = at.view(np.uint32)
    first = block * (at.shape[0] // BLOCKS)
    kept = np.uint64(first)
    for p in range(np.uint64(first), np.uint64(first + counts[block])):
        i, j, k, m = at[p, 0], at[p, 1], at[p, 2], at[p, 3]
        if off[i] | off[j] | off[k] | off[m]:
            continue
        if kept < p:
            kinds[kept], keep[kept], rested[kept] = kinds[p], keep[p], rested[p]
            at[kept, 0], at[kept, 1], at[kept, 2], at[kept, 3] = i, j, k, m
            normal[kept, 0], normal[kept, 1], normal[kept, 2] = normal[p, 0], normal[p, 1], normal[p, 2]
        kept += np.uint64(1)
    before, counts[block] = counts[block], np.int64(kept) - first
    return before - counts[block]


@inlined_kernel
def _mark(a, value, faces, patches, members, mutual, near, fans, around, flat, level, marks):  # type: ignore[no-untyped-def]
    """Note in `marks` (F,) uint8 what lies about triangle `a`, and what it need not be compared with; 0 as `value`
    forgets that."""
    end = patches[a + 1] if flat[a] == WHOLE else mutual[a]
    within = end if flat[a] == WHOLE else (near[a] if flat[a] == NEAR else patches[a])
    for k in range(patches[a], end):
        marks[members[k]] = value & (APART | ABOUT if k < within else ABOUT)
    if flat[a] != NOT:
        return
    for c in range(3):
        v = faces[a, c]
        if level[v]:
            for k in range(fans[v], fans[v + 1]):
                marks[around[k]] = value & (APART | ABOUT)


@inlined_kernel
def _leaves_about(again, start, end, first, face, nodes, bits, apart, hull, found, stack):  # type: ignore[no-untyped-def]
    """The leaf nodes whose boxes touch one about triangles again[start:end], those of one leaf, from left to right.

    They are written to `found` (L,); returns how many. `hull` (1,12) and `stack` are to work with.
    """
    leaves, both = first.shape[0] - 1, ALL
    for n in range(start, end):
        a = again[n, 0]
        both &= bits[a]
        for k in range(12):
            most = face[a, k] if n == start else hull[0, k]
            hull[0, k] = max(most, face[a, k]) if 3 <= k < 6 or k >= 9 else min(most, face[a, k])
    stack[0], top, count = 1, 1, 0
    while top > 0:
        top -= 1
        node = stack[top]
        if both & apart[node] or stay_apart(hull, 0, nodes, node):
            continue
        if node >= leaves:
            found[count] = node
            count += 1
        else:
            stack[top], stack[top + 1] = 2 * node + 1, 2 * node
            top += 2
    return count


@kernel
def _list_again(block, off, fan, again, ends, slack, cover, tangled, boxes, pairs, counts, marks):  # type: ignore[no-untyped-def]
    """List anew the pairs of triangles `again` (N,3), with their leaves and blocks, that have a vertex that is `off`.

    All else as of `list_pairs`. Returns how many were dropped.

    `fan` (F,) bool: whether a triangle is one of them; `ends`: `x` and `y`. `marks` (F,) uint8 are 0, and left so.
    """
    x, y = ends
    first, faces, owns, half = cover.first, cover.faces.view(np.uint32), cover.owns, cover.half
    inv_mass, seam, leaves = cover.inv_mass, cover.seam, first.shape[0] - 1
    patches, members, mutual, close = cover.patches, cover.members.view(np.uint32), cover.mutual, cover.near
    fans, around = cover.fans, cover.around.view(np.uint32)
    face, node_boxes, flat, level, margin = boxes.face, boxes.node, boxes.flat, boxes.level, boxes.margin
    bits, apart, own = boxes.own, boxes.apart, block_of(pairs, block)
    gone = _drop(block, off, pairs, counts)
    near, stack, hull = np.empty((15, 5), np.uint32), np.empty(64, np.int32), np.empty((1, 12), np.float32)
    touched, count, start = np.empty(leaves, np.int32), counts[block], 0
    while start < again.shape[0]:
        if again[start, 2] != block:
            start += 1
            continue
        begin, leaf = start, again[start, 1]
        while start < again.shape[0] and again[start, 1] == leaf:
            start += 1
        many = _leaves_about(again, begin, start, first, face, node_boxes, bits, apart, hull, touched, stack)
        for n in range(begin, start):
            a = again[n, 0]
            _mark(a, ALL, faces, patches, members, mutual, close, fans, around, flat, level, marks)
            for turn in range(many):
                node = touched[turn]
                if bits[a] & apart[node] or stay_apart(face, a, node_boxes, node):
                    continue
                for b in range(first[node - leaves], first[node - leaves + 1]):
                    if b == a or (fan[b] and b < a) or marks[b] & APART or (marks[b] and fan[b] and flat[b] == WHOLE):
                        continue
                    if bits[a] & bits[b] or stay_apart(face, a, face, b):
                        continue
                    p, q = np.uint32(a), np.uint32(b)
                    found = compare(p, q, x, y, slack, faces, owns, half, margin, near, off)
                    for row in range(found):
                        count = add_pair(near, row, x, y, slack, inv_mass, seam, half, tangled, own, count)
            _mark(a, 0, faces, patches, members, mutual, close, fans, around, flat, level, marks)
    counts[block] = count
    return gone


@parallel_kernel
def _list_many_again(off, fan, again, ends, slack, cover, tangled, boxes, pairs, counts, dropped):  # type: ignore[no-untyped-def]
    marks = boxes.marks
    for block in prange(BLOCKS):
        own = marks[block]
        dropped[block] += _list_again(block, off, fan, again, ends, slack, cover, tangled, boxes, pairs, counts, own)


@kernel
def _find_flat_about(t, cover, boxes):  # type: ignore[no-untyped-def]
    """Find how flat cloth lies about triangle `t` and at its corners; see `find_flat`."""
    members, around = cover.members.view(np.uint32), cover.around.view(np.uint32)
    boxes.flat[t] = flatness(members, cover.patches[t], cover.near[t], cover.patches[t + 1], boxes.normals)
    for c in range(3):
        v = cover.faces[t, c]
        boxes.level[v] = within_cone(around, cover.fans[v], cover.fans[v + 1], boxes.normals)


@parallel_kernel
def _find_flat_about_many(again, cover, boxes):  # type: ignore[no-untyped-def]
    for n in prange(again.shape[0]):  # what two threads write of a corner is the same
        _find_flat_about(again[n, 0], cover, boxes)


@kernel
def _put_ends(line, way, elapsed, span, ends):  # type: ignore[no-untyped-def]
    """Write where lines are after `elapsed` and `span` seconds to `ends` (2,V,3)."""
    for v in range(line.shape[0]):
        for k in range(3):
            ends[0, v, k] = line[v, k] + elapsed * way[v, k]
            ends[1, v, k] = line[v, k] + span * way[v, k]


@kernel
def _refit_about(again, cover, x, y, slack, boxes):  # type: ignore[no-untyped-def]
    """Bring the boxes of triangles `again` (N,3), in their order, and of the nodes above them up to date."""
    first, faces, half, leaves = cover.first, cover.faces, cover.half, cover.first.shape[0] - 1
    face, boxes_of_nodes, margin = boxes.face, boxes.node, boxes.margin
    nodes, count = np.empty(again.shape[0], np.int64), 0
    for n in range(again.shape[0]):
        fit_face(again[n, 0], faces, half, x, y, slack, face, margin)
        node = leaves + again[n, 1]
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
        Whether there was room, for what was dropped since the lists were made too: else it is time to make them anew.
    """
    x, y = lists.ends[0], lists.ends[1]
    _put_ends(lists.line, lists.way, elapsed, span, lists.ends)
    fan, fans, around = np.zeros(cover.faces.shape[0], np.bool_), cover.fans, cover.around
    for v in range(off.shape[0]):
        if off[v]:
            for k in range(fans[v], fans[v + 1]):
                fan[around[k]] = True
    which, boxes, pairs, counts, dropped = np.flatnonzero(fan), lists.boxes, lists.pairs, lists.counts, lists.dropped
    again, slack, tangled = np.empty((which.shape[0], 3), np.int64), lists.slack, lists.tangled
    leaves = cover.first.shape[0] - 1
    together = leaves_side_by_side(leaves)
    for n in range(which.shape[0]):
        leaf = leaf_of(which[n], fan.shape[0], leaves)
        again[n, 0], again[n, 1], again[n, 2] = which[n], leaf, leaf // together % BLOCKS
    _refit_about(again, cover, lists.line, y, lists.slack, boxes)
    for t in which:
        find_normal(t, x, cover.faces, boxes.normals, 0)
        find_normal(t, y, cover.faces, boxes.normals, 1)
    alone = again.shape[0] < WORTH
    if alone:
        for t in which:
            _find_flat_about(t, cover, boxes)
        for block in range(BLOCKS):
            own = boxes.marks[block]
            dropped[block] += _list_again(
                block, off, fan, again, (x, y), slack, cover, tangled, boxes, pairs, counts, own
            )
    else:
        _find_flat_about_many(again, cover, boxes)
        _list_many_again(off, fan, again, (x, y), slack, cover, tangled, boxes, pairs, counts, dropped)
    return (counts + dropped).max() * BLOCKS <= pairs.kind.shape[0]
