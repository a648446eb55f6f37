"""The nearest points of a set that moves: a tree of boxes built once, its boxes brought up to date (numba).

A guess makes a search short, as the point that was nearest a frame ago: nothing further away than it is opened.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from ..jit import inlined_kernel, kernel, parallel_kernel

LEAF = 4  # points in a leaf, at most
BLOCKS, TOGETHER = 16, 32  # parts of the particles that are searched for by themselves, in turns of so many
MOST = 8  # of the nearest points that are asked whether they face each other
BIG = np.float32(1e30)


def halved(places: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Order (N,) of places (N,3), and where each leaf begins in it (L+1,) int32, in a complete binary tree.

    Each node is halved across its longest side until no leaf has more than `most`; leaf l has those from l N / L on.
    """
    count, leaves = len(places), 1
    while leaves * most < count:
        leaves *= 2
    first = (np.arange(leaves + 1) * count) // leaves
    order, size = np.arange(count), leaves
    while size > 1:
        for start in range(0, leaves, size):
            part = order[first[start] : first[start + size]]
            if len(part):
                axis = np.ptp(places[part], axis=0).argmax()
                order[first[start] : first[start + size]] = part[np.argsort(places[part, axis], kind="stable")]
        size //= 2
    return order, first.astype(np.int32)


class PointTree:
    """A tree over Q points; `boxes_of` says where they are."""

    def __init__(self, places: np.ndarray) -> None:
        self.order, self.first = halved(np.asarray(places, np.float64), LEAF)
        self.order = self.order.astype(np.int32)

    def boxes_of(self, points: np.ndarray) -> np.ndarray:
        """Low and high corners (2L,6) float32 of the boxes of its nodes, for points (Q,3) float32."""
        boxes = np.empty((2 * (len(self.first) - 1), 6), np.float32)
        _fit(points, self.order, self.first, boxes)
        return boxes

    def nearest(
        self, x: np.ndarray, points: np.ndarray, boxes: np.ndarray, guess: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Distances (N,) float32 from `x` (N,3) to the nearest of `points` (Q,3), and which (N,) int64 that is.

        `guess` (N,): a point each, the nearer the better.
        """
        far, near = np.empty(len(x), np.float32), np.empty(len(x), np.int64)
        _find_nearest(x, points, self.order, self.first, boxes, np.ascontiguousarray(guess), far, near)
        return far, near

    def across(
        self,
        x: np.ndarray,
        points: np.ndarray,
        boxes: np.ndarray,
        normals: np.ndarray,
        now: np.ndarray,
        limits: tuple[float, float, float],
    ) -> np.ndarray:
        """The nearest point (N,) int64 that faces the nearest one `now` (N,) of each `x` (N,3), -1 for none.

        Of the `MOST` nearest are asked those nearer than the first of `limits`, metres, with `normals` (Q,3) whose
        cosine is less than the second, under which a place is by no more than the third, metres.
        """
        found = np.empty(len(x), np.int64)
        _find_across(x, points, self.order, self.first, boxes, normals, now, *map(np.float32, limits), found)
        return found


@kernel
def _fit(points, order, first, boxes):  # type: ignore[no-untyped-def]
    leaves = first.shape[0] - 1
    for n in range(2 * leaves - 1, 0, -1):
        for k in range(3):
            low, high = BIG, -BIG
            if n >= leaves:
                for p in range(first[n - leaves], first[n - leaves + 1]):
                    low, high = min(low, points[order[p], k]), max(high, points[order[p], k])
            else:
                low = min(boxes[2 * n, k], boxes[2 * n + 1, k])
                high = max(boxes[2 * n, 3 + k], boxes[2 * n + 1, 3 + k])
            boxes[n, k], boxes[n, 3 + k] = low, high


@inlined_kernel
def _to_box(px, py, pz, n, boxes):  # type: ignore[no-untyped-def]
    """Squared distance to the box of node `n`."""
    dx = max(max(boxes[n, 0] - px, px - boxes[n, 3]), np.float32(0))
    dy = max(max(boxes[n, 1] - py, py - boxes[n, 4]), np.float32(0))
    dz = max(max(boxes[n, 2] - pz, pz - boxes[n, 5]), np.float32(0))
    return dx * dx + dy * dy + dz * dz


@inlined_kernel
def _open(n, top, px, py, pz, boxes, stack, ways, most):  # type: ignore[no-untyped-def]
    """Put the children of node `n` on the stack, the nearer one on top, where they are nearer than `most`."""
    one, other = _to_box(px, py, pz, 2 * n, boxes), _to_box(px, py, pz, 2 * n + 1, boxes)
    first = 2 * n if one > other else 2 * n + 1
    if max(one, other) < most:
        stack[top], ways[top] = first, max(one, other)
        top += 1
    if min(one, other) < most:
        stack[top], ways[top] = 4 * n + 1 - first, min(one, other)
        top += 1
    return top


@parallel_kernel
def _find_nearest(x, points, order, first, boxes, guess, far, near):  # type: ignore[no-untyped-def]
    count, leaves = x.shape[0], first.shape[0] - 1
    for block in prange(BLOCKS):
        stack, ways = np.empty(64, np.int64), np.empty(64, np.float32)
        for begin in range(block * TOGETHER, count, BLOCKS * TOGETHER):
            for i in range(begin, min(begin + TOGETHER, count)):
                px, py, pz = x[i, 0], x[i, 1], x[i, 2]
                q = guess[i]
                dx, dy, dz = px - points[q, 0], py - points[q, 1], pz - points[q, 2]
                best = dx * dx + dy * dy + dz * dz
                stack[0], ways[0], top = 1, np.float32(0), 1
                while top > 0:
                    top -= 1
                    if ways[top] >= best:
                        continue
                    n = stack[top]
                    if n < leaves:
                        top = _open(n, top, px, py, pz, boxes, stack, ways, best)
                        continue
                    for p in range(first[n - leaves], first[n - leaves + 1]):
                        o = order[p]
                        dx, dy, dz = px - points[o, 0], py - points[o, 1], pz - points[o, 2]
                        d = dx * dx + dy * dy + dz * dz
                        if d < best:
                            best, q = d, o
                far[i], near[i] = np.sqrt(best), q


@parallel_kernel
def _find_across(x, points, order, first, boxes, normals, now, within, facing, behind, found):  # type: ignore[no-untyped-def]
    count, leaves = x.shape[0], first.shape[0] - 1
    for block in prange(BLOCKS):
        stack, ways = np.empty(64, np.int64), np.empty(64, np.float32)
        ids, squares = np.empty(MOST, np.int64), np.empty(MOST, np.float32)
        for begin in range(block * TOGETHER, count, BLOCKS * TOGETHER):
            for i in range(begin, min(begin + TOGETHER, count)):
                px, py, pz = x[i, 0], x[i, 1], x[i, 2]
                known, most = 0, within * within
                stack[0], ways[0], top = 1, np.float32(0), 1
                while top > 0:
                    top -= 1
                    if ways[top] >= most:
                        continue
                    n = stack[top]
                    if n < leaves:
                        top = _open(n, top, px, py, pz, boxes, stack, ways, most)
                        continue
                    for p in range(first[n - leaves], first[n - leaves + 1]):
                        o = order[p]
                        dx, dy, dz = px - points[o, 0], py - points[o, 1], pz - points[o, 2]
                        d = dx * dx + dy * dy + dz * dz
                        if d >= most:
                            continue
                        at = min(known, MOST - 1)
                        while at > 0 and squares[at - 1] > d:
                            ids[at], squares[at] = ids[at - 1], squares[at - 1]
                            at -= 1
                        ids[at], squares[at] = o, d
                        known = min(known + 1, MOST)
                        if known == MOST:
                            most = squares[MOST - 1]
                found[i], q = -1, now[i]
                for k in range(known):
                    o = ids[k]
                    cosine = (
                        normals[o, 0] * normals[q, 0] + normals[o, 1] * normals[q, 1] + normals[o, 2] * normals[q, 2]
                    )
                    over = (px - points[o, 0]) * normals[o, 0] + (py - points[o, 1]) * normals[o, 1]
                    over += (pz - points[o, 2]) * normals[o, 2]
                    if cosine < facing and over > -behind:
                        found[i] = o
                        break
