"""Cloth that has crossed already: edges that pierce triangles, found anew, and how the crossing is made shorter.

Where two surfaces cross, they do so along a curve. Each edge that pierces a triangle is moved against it so that the
curve becomes shorter (Volino, Magnenat-Thalmann, "Resolving surface collisions through intersection contour
minimization", 2006); the curve shrinks to nothing, or runs out over a border. Nothing has to know inside from outside.
"""

from __future__ import annotations

import math

import numpy as np
from numba import prange

from ...jit import kernel, parallel_kernel
from .apart import FURTHER
from .candidates import BLOCKS, HELD, begin_at, next_leaf
from .geometry import pierces
from .planes import stay_apart

STRIDE, RATE = 0.1, 180.0  # share of the distance kept from other cloth that an edge is moved in a substep, a second
STEEP = 0.2  # least cosine between an edge and the normal of what it pierces that is reckoned with


@kernel
def _segment_apart(x, p, q, face, t):  # type: ignore[no-untyped-def]
    apart = False
    for k in range(3):
        apart = apart or min(x[p, k], x[q, k]) > face[t, 3 + k] or max(x[p, k], x[q, k]) < face[t, k]
    return apart


@kernel
def _note(a, b, x, cover, boxes, hits, count):  # type: ignore[no-untyped-def]
    """Note each edge that triangle `a` owns and that pierces `b`, and the other way."""
    faces, owns, seam = cover.faces, cover.owns, cover.seam
    number = cover.garment[faces[a, 0]]
    if number < 0 and number == cover.garment[faces[b, 0]]:
        return count
    for turn in range(2):
        p, q = (a, b) if turn == 0 else (b, a)
        j, k, m = faces[q, 0], faces[q, 1], faces[q, 2]
        for c in range(3):
            if not owns[p] >> (3 + c) & 1:
                continue
            e, f = faces[p, c], faces[p, (c + 1) % 3]
            if e in (j, k, m) or f in (j, k, m):
                continue
            if _segment_apart(x, e, f, boxes.face, q):
                continue
            if min(seam[e], seam[f]) > 0 and min(seam[j], seam[k]) > 0 and seam[m] > 0:
                continue
            if pierces(x, e, f, j, k, m)[0]:
                if count < hits.shape[0]:
                    hits[count, 0], hits[count, 1], hits[count, 2] = p, c, q
                count += 1
    return count


@parallel_kernel
def list_crossings(x, cover, boxes, hits, counts):  # type: ignore[no-untyped-def]
    """Find the edges that pierce triangles: block b of `hits` (N,3) int32, from b N / BLOCKS, gets counts[b] of them.

    A row is the triangle that owns the edge, the edge's side of it, and the triangle pierced; those of a seam are left
    out. Boxes are those of the places `x` (V,3) alone, with bits of `never_meeting`.
    """
    first = cover.first
    leaves = first.shape[0] - 1
    room, apart = hits.shape[0] // BLOCKS, boxes.apart & ~HELD  # what is held both ways may be a seam
    node_boxes, face = boxes.node, boxes.face
    for block in prange(BLOCKS):
        own_hits = hits[block * room : (block + 1) * room]
        count = 0
        stack = np.ones(64, np.int32)
        for leaf in range(block, leaves, BLOCKS):
            own = leaves + leaf
            top = begin_at(own, stack)
            while True:
                node, top = next_leaf(own, leaves, node_boxes, apart, stack, top)
                if node == 0:
                    break
                for a in range(first[leaf], first[leaf + 1]):
                    if node != own and stay_apart(face, a, node_boxes, node):
                        continue
                    for b in range(a + 1 if node == own else first[node - leaves], first[node - leaves + 1]):
                        if not stay_apart(face, a, face, b):
                            count = _note(a, b, x, cover, boxes, own_hits, count)
        counts[block] = count


@kernel
def mark_tangled(cover, hits, counts, tangled):  # type: ignore[no-untyped-def]
    """Mark (V,) the vertices of edges and triangles that cross."""
    room = hits.shape[0] // BLOCKS
    tangled[:] = False
    for block in range(BLOCKS):
        for h in range(block * room, block * room + min(counts[block], room)):
            p, c, q = hits[h, 0], hits[h, 1], hits[h, 2]
            tangled[cover.faces[p, c]] = tangled[cover.faces[p, (c + 1) % 3]] = True
            for k in range(3):
                tangled[cover.faces[q, k]] = True


@kernel
def _normal(x, a, b, c):  # type: ignore[no-untyped-def]
    ex, ey, ez = x[b, 0] - x[a, 0], x[b, 1] - x[a, 1], x[b, 2] - x[a, 2]
    fx, fy, fz = x[c, 0] - x[a, 0], x[c, 1] - x[a, 1], x[c, 2] - x[a, 2]
    nx, ny, nz = ey * fz - ez * fy, ez * fx - ex * fz, ex * fy - ey * fx
    length = max(math.sqrt(nx * nx + ny * ny + nz * nz), 1e-20)
    return nx / length, ny / length, nz / length


@kernel
def _shorter(x, e, f, opposite, nx, ny, nz, ex, ey, ez, over):  # type: ignore[no-untyped-def]
    """How the curve in the triangle (e, f, opposite) wants the edge to move; `over`: cosine of edge and normal."""
    mx, my, mz = _normal(x, e, f, opposite)
    rx, ry, rz = my * nz - mz * ny, mz * nx - mx * nz, mx * ny - my * nx
    length = math.sqrt(rx * rx + ry * ry + rz * rz)
    if length < 1e-6:
        return 0.0, 0.0, 0.0
    ox, oy, oz = x[opposite, 0] - x[e, 0], x[opposite, 1] - x[e, 1], x[opposite, 2] - x[e, 2]
    along = ox * ex + oy * ey + oz * ez
    side = rx * (ox - along * ex) + ry * (oy - along * ey) + rz * (oz - along * ez)
    if side < 0.0:
        length = -length
    rx, ry, rz = rx / length, ry / length, rz / length
    share = (ex * rx + ey * ry + ez * rz) / over
    return rx - share * nx, ry - share * ny, rz - share * nz


@kernel
def untangle(x, base, h, cover, hits, counts):  # type: ignore[no-untyped-def]
    """Move what crosses, in `h` seconds, towards not crossing.

    `base` (V,3) goes along, so that no speed comes of it.
    """
    stride = min(STRIDE, RATE * h)
    faces, inv_mass = cover.faces, cover.inv_mass
    room = hits.shape[0] // BLOCKS
    for block in range(BLOCKS):
        for h in range(block * room, block * room + min(counts[block], room)):
            p, c, q = hits[h, 0], hits[h, 1], hits[h, 2]
            e, f = faces[p, c], faces[p, (c + 1) % 3]
            i, j, k = faces[q, 0], faces[q, 1], faces[q, 2]
            hit, t, u, w = pierces(x, e, f, i, j, k)
            if not hit:
                continue
            nx, ny, nz = _normal(x, i, j, k)
            ex, ey, ez = x[f, 0] - x[e, 0], x[f, 1] - x[e, 1], x[f, 2] - x[e, 2]
            length = max(math.sqrt(ex * ex + ey * ey + ez * ez), 1e-12)
            ex, ey, ez = ex / length, ey / length, ez / length
            over = ex * nx + ey * ny + ez * nz
            if abs(over) < STEEP:
                over = STEEP if over >= 0.0 else -STEEP
            gx, gy, gz = _shorter(x, e, f, faces[p, (c + 2) % 3], nx, ny, nz, ex, ey, ez, over)
            if cover.beside[p, c] >= 0:
                hx, hy, hz = _shorter(x, e, f, cover.beside[p, c], nx, ny, nz, ex, ey, ez, over)
                gx, gy, gz = gx + hx, gy + hy, gz + hz
            size = math.sqrt(gx * gx + gy * gy + gz * gz)
            if size < 1e-9:
                continue
            at = (e, f, i, j, k)
            share = (1.0 - t, t, u + w - 1.0, -u, -w)
            total, most = 0.0, 0.0
            for s in range(5):
                total += inv_mass[at[s]] * share[s] * share[s]
                most = max(most, inv_mass[at[s]] * abs(share[s]))
            if total <= 0.0:
                continue
            total = max(total, most / FURTHER)
            move = stride * (cover.half[e] + cover.half[i]) / math.sqrt(size * size + 0.01) / total
            for s in range(5):
                m = move * inv_mass[at[s]] * share[s]
                v = at[s]
                x[v, 0] += m * gx
                x[v, 1] += m * gy
                x[v, 2] += m * gz
                base[v, 0] += m * gx
                base[v, 1] += m * gy
                base[v, 2] += m * gz
