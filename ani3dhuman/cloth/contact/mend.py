"""Lists brought up to date for a few vertices that left their lines, as when the body hits them: the others stay."""

from __future__ import annotations

import numpy as np
from numba import prange

from ...jit import kernel, parallel_kernel
from .candidates import BLOCKS, add_pair, block_of, compare, never_meeting, stay_apart
from .tree import BIG, fit_face, fit_node

FEW = 0.1  # share of the vertices that may have left their lines, so that it pays
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
    first = block * (pairs.kind.shape[0] // BLOCKS)
    for p in range(first, first + counts[block]):
        if off[pairs.at[p, 0]] or off[pairs.at[p, 1]] or off[pairs.at[p, 2]] or off[pairs.at[p, 3]]:
            pairs.keep[p] = DROPPED


@parallel_kernel
def _list_again(off, fan, x, y, slack, cover, tangled, boxes, pairs, counts):  # type: ignore[no-untyped-def]
    """List anew the pairs of triangles `fan` (F,) with a vertex that is `off`; all else as of `list_pairs`."""
    first, face, leaves = cover.first, boxes.face, cover.first.shape[0] - 1
    apart = never_meeting(cover)
    for block in prange(BLOCKS):
        _drop(block, off, pairs, counts)
        own, count = block_of(pairs, block), counts[block]
        near, stack = np.empty((15, 5), np.int32), np.empty(64, np.int32)
        for leaf in range(block, leaves, BLOCKS):
            for a in range(first[leaf], first[leaf + 1]):
                if not fan[a]:
                    continue
                stack[0], top = 1, 1
                while top > 0:
                    top -= 1
                    node = stack[top]
                    if apart[leaves + leaf] & apart[node] or stay_apart(face, a, boxes.node, node):
                        continue
                    if node < leaves:
                        stack[top], stack[top + 1] = 2 * node + 1, 2 * node
                        top += 2
                        continue
                    for b in range(first[node - leaves], first[node - leaves + 1]):
                        if b == a or (fan[b] and b < a) or stay_apart(face, a, face, b):
                            continue
                        found = compare(a, b, x, y, slack, cover, boxes, near)
                        for row in range(found):
                            if off[near[row, 1]] or off[near[row, 2]] or off[near[row, 3]] or off[near[row, 4]]:
                                count = add_pair(near[row], x, y, slack, cover, tangled, own, count)
        counts[block] = count


@kernel
def mend(off, elapsed, span, cover, lists):  # type: ignore[no-untyped-def]
    """List anew, for the rest of `span` seconds (float32) of which `elapsed` are over, the pairs that are `off`.

    Returns:
        Whether there was room.
    """
    first, face, boxes, leaves = cover.first, lists.boxes.face, lists.boxes, cover.first.shape[0] - 1
    x, y = lists.line + elapsed * lists.way, lists.line + span * lists.way
    fan = np.zeros(face.shape[0], np.bool_)
    for a in range(face.shape[0]):
        fan[a] = off[cover.faces[a, 0]] or off[cover.faces[a, 1]] or off[cover.faces[a, 2]]
    for leaf in range(leaves):
        moved = False
        for a in range(first[leaf], first[leaf + 1]):
            if fan[a]:
                fit_face(a, cover, lists.line, y, lists.slack, boxes)
                moved = True
        n = leaves + leaf
        while moved and n > 0:
            fit_node(n, first, boxes)
            n //= 2
    _list_again(off, fan, x, y, lists.slack, cover, lists.tangled, boxes, lists.pairs, lists.counts)
    return lists.counts.max() * BLOCKS <= lists.pairs.kind.shape[0]
