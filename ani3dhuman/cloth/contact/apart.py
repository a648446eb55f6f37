"""Keep what does not cross from crossing, in one step of the solver.

Two convex things that a plane keeps apart at the start of a step, and at its end, do not meet on straight lines
between. For each pair that comes near, that plane lies across the shortest way between the two at the start. First the
pair is pushed to the distance that it should keep, with friction; then, as long as a plane is passed, the vertices that
pass it are put back. Sliding along the plane and moving together are free. What cannot be solved so moves as one.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import prange

from ...jit import kernel, parallel_kernel
from .candidates import BLOCKS, heed_rest
from .geometry import VERTEX, gap_along, nearest_of_pair

WIDEN, RATE = 0.25, 432.0  # share of what lacks to the distance to be kept that is made good in one step; in a second
FURTHER = 3.0  # times what lacks, the most that a corner of little weight goes for it, where the others are held
REMAINS = 0.3  # share of a pair's distance that must be left after a step
ENOUGH = 0.5  # share of that with which it counts as left
ROUNDS = 6
WORTH = 3_000  # pairs from which on the other cores are worth it
TRIES = 3  # how often it is looked whether what was put back passes other planes
ZONES = 4  # how often what cannot be solved is joined to larger parts that move as one


class Touching(NamedTuple):
    """What is known of N pairs in this step.

    Attributes:
        on: (N,) bool, pairs that are near; lists: (N,) int32, block by block, which those are; counts: (BLOCKS,).
        weights: (N,4) float32 of the nearest points at the start; distance: (N,) float32 metres at the start.
        moved: (V,) bool, vertices that were moved since the lists were emptied.
    """

    on: np.ndarray
    lists: np.ndarray
    counts: np.ndarray
    weights: np.ndarray
    distance: np.ndarray
    moved: np.ndarray


@kernel
def _look(b, x0, x, share, fresh, cover, pairs, counts, touching):  # type: ignore[no-untyped-def]
    """`look` for a block."""
    kinds, at, normal, keep, rested = pairs
    at = at.view(np.uint32)
    on, lists, touching_counts, weights, distances, moved = touching
    first = b * (kinds.shape[0] // BLOCKS)
    count = 0 if fresh else touching_counts[b]
    for p in range(first, first + counts[b]):
        i, j, k, m = at[p, 0], at[p, 1], at[p, 2], at[p, 3]
        if fresh:
            on[p] = False
        elif on[p] or not (moved[i] or moved[j] or moved[k] or moved[m]):
            continue
        kind = kinds[p]
        nx, ny, nz = normal[p, 0], normal[p, 1], normal[p, 2]
        least = share * keep[p]
        if gap_along(kind, i, j, k, m, nx, ny, nz, x) >= least:
            continue
        if not rested[p]:
            heed_rest(p, pairs, cover)
            least = share * keep[p]
        if keep[p] <= 0.0:
            continue
        distance, nx, ny, nz, wa, wb, wc, wd = nearest_of_pair(kind, i, j, k, m, x0)
        if distance <= 0.0:
            continue
        normal[p, 0], normal[p, 1], normal[p, 2] = nx, ny, nz
        if gap_along(kind, i, j, k, m, nx, ny, nz, x) >= least:
            continue
        on[p] = True
        distances[p] = distance
        weights[p, 0], weights[p, 1] = wa, wb
        weights[p, 2], weights[p, 3] = wc, wd
        lists[first + count] = p
        count += 1
    touching_counts[b] = count


@parallel_kernel
def _look_in_all(x0, x, share, fresh, cover, pairs, counts, touching):  # type: ignore[no-untyped-def]
    for b in prange(BLOCKS):
        _look(b, x0, x, share, fresh, cover, pairs, counts, touching)


@kernel
def look(x0, x, share, fresh, cover, pairs, counts, touching):  # type: ignore[no-untyped-def]
    """Put on the lists what is nearer than `share` of its distance to be kept, at places `x`, by its old plane.

    Those get a new plane, of places `x0` at the start of the step. `fresh` empties the lists first; else only pairs of
    what was moved since are looked at.
    """
    if fresh:
        touching.moved[:] = False
    if counts.sum() < WORTH:
        for b in range(BLOCKS):
            _look(b, x0, x, share, fresh, cover, pairs, counts, touching)
    else:
        _look_in_all(x0, x, share, fresh, cover, pairs, counts, touching)


@kernel
def repel(x0, x, base, h, inv_mass, pairs, touching, friction):  # type: ignore[no-untyped-def]
    """Push near pairs towards the distance to be kept, in `h` seconds, and let them rub.

    `friction` (V,) are Coulomb's coefficients.
    What a push adds beyond stopping the approach is a correction, not a speed: `base` (V,3), from which speeds are
    reckoned, goes along. The approach is that of speeds too: what the body's pushes moved is not to be flung off.
    """
    kinds, at, normal, keeps, _ = pairs
    _, lists, counts, weights, distances, moved = touching
    room, widen = kinds.shape[0] // BLOCKS, min(WIDEN, RATE * h)
    for b in range(BLOCKS):
        for n in range(b * room, b * room + counts[b]):
            p = lists[n]
            total, most, gap, rx, ry, rz, ux, uy, uz = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
            nx, ny, nz = normal[p, 0], normal[p, 1], normal[p, 2]
            for s in range(4):
                v, w = at[p, s], weights[p, s]
                total += inv_mass[v] * w * w
                most = max(most, inv_mass[v] * abs(w))
                gap += w * (nx * x[v, 0] + ny * x[v, 1] + nz * x[v, 2])
                rx += w * (x[v, 0] - x0[v, 0])
                ry += w * (x[v, 1] - x0[v, 1])
                rz += w * (x[v, 2] - x0[v, 2])
                ux += w * (x[v, 0] - base[v, 0])
                uy += w * (x[v, 1] - base[v, 1])
                uz += w * (x[v, 2] - base[v, 2])
            keep, before = keeps[p], distances[p]
            wanted = keep if before >= keep else before + widen * (keep - before)
            push = wanted - gap
            if push <= 0.0 or total <= 0.0:
                continue
            total = max(total, most / FURTHER)
            along = nx * rx + ny * ry + nz * rz
            rx, ry, rz = rx - along * nx, ry - along * ny, rz - along * nz
            sliding = math.sqrt(rx * rx + ry * ry + rz * rz)
            grip = friction[at[p, 0]] * push
            rub = 1.0 if sliding <= grip else grip / sliding
            speed = nx * ux + ny * uy + nz * uz
            silent = push - min(push, max(-speed, 0.0))
            ux, uy, uz = ux - speed * nx, uy - speed * ny, uz - speed * nz
            slower = rub * (rx * ux + ry * uy + rz * uz) / max(ux * ux + uy * uy + uz * uz, 1e-20)
            slower = min(max(slower, 0.0), 1.0)
            for s in range(4):
                v = at[p, s]
                m = inv_mass[v] * weights[p, s] / total
                moved[v] = True
                x[v, 0] += m * (push * nx - rub * rx)
                x[v, 1] += m * (push * ny - rub * ry)
                x[v, 2] += m * (push * nz - rub * rz)
                base[v, 0] += m * (silent * nx - rub * rx + slower * ux)
                base[v, 1] += m * (silent * ny - rub * ry + slower * uy)
                base[v, 2] += m * (silent * nz - rub * rz + slower * uz)


@kernel
def put_back(x, base, inv_mass, pairs, touching, rounds):  # type: ignore[no-untyped-def]
    """Bring vertices that passed the plane of a near pair back to their side of it; the number of pairs that fail.

    That takes speed, but adds none: `base` as of `repel`.
    """
    kinds, at, normal, keeps, _ = pairs
    _, lists, counts, _, distances, moved = touching
    room = kinds.shape[0] // BLOCKS
    failing = 0
    for _ in range(rounds):
        failing = 0
        for b in range(BLOCKS):
            for n in range(b * room, b * room + counts[b]):
                p = lists[n]
                kind = kinds[p]
                i, j, k, m = at[p, 0], at[p, 1], at[p, 2], at[p, 3]
                nx, ny, nz = normal[p, 0], normal[p, 1], normal[p, 2]
                least = REMAINS * min(distances[p], keeps[p])
                if gap_along(kind, i, j, k, m, nx, ny, nz, x) >= ENOUGH * least:
                    continue
                failing += 1
                for first in range(1 if kind == VERTEX else 2):
                    a = i if first == 0 else j
                    for second in range(3 if kind == VERTEX else 2):
                        c = m if second == 0 else (k if second == 1 else j)
                        total = inv_mass[a] + inv_mass[c]
                        gap = nx * (x[a, 0] - x[c, 0]) + ny * (x[a, 1] - x[c, 1]) + nz * (x[a, 2] - x[c, 2])
                        if gap >= least or total <= 0.0:
                            continue
                        s, t = (least - gap) * inv_mass[a] / total, (least - gap) * inv_mass[c] / total
                        speed = nx * (x[a, 0] - base[a, 0] - x[c, 0] + base[c, 0])
                        speed += ny * (x[a, 1] - base[a, 1] - x[c, 1] + base[c, 1])
                        speed += nz * (x[a, 2] - base[a, 2] - x[c, 2] + base[c, 2])
                        silent = 1.0 - min(max(-speed, 0.0) / (least - gap), 1.0)
                        moved[a] = moved[c] = True
                        x[a, 0] += s * nx
                        x[a, 1] += s * ny
                        x[a, 2] += s * nz
                        x[c, 0] -= t * nx
                        x[c, 1] -= t * ny
                        x[c, 2] -= t * nz
                        base[a, 0] += silent * s * nx
                        base[a, 1] += silent * s * ny
                        base[a, 2] += silent * s * nz
                        base[c, 0] -= silent * t * nx
                        base[c, 1] -= silent * t * ny
                        base[c, 2] -= silent * t * nz
        if failing == 0:
            break
    return failing


@kernel
def _root(parent, v):  # type: ignore[no-untyped-def]
    while parent[v] != v:
        parent[v] = parent[parent[v]]
        v = parent[v]
    return v


@kernel
def _join_failing(x, pairs, touching, parent):  # type: ignore[no-untyped-def]
    """Join the vertices of each near pair that fails in one zone; the number of those pairs."""
    kinds, at, normal, keeps, _ = pairs
    _, lists, counts, _, distances, _ = touching
    room = kinds.shape[0] // BLOCKS
    failing = 0
    for b in range(BLOCKS):
        for n in range(b * room, b * room + counts[b]):
            p = lists[n]
            i, j, k, m = at[p, 0], at[p, 1], at[p, 2], at[p, 3]
            nx, ny, nz = normal[p, 0], normal[p, 1], normal[p, 2]
            least = REMAINS * min(distances[p], keeps[p])
            if gap_along(kinds[p], i, j, k, m, nx, ny, nz, x) < ENOUGH * least:
                failing += 1
                for s in range(1, 4):
                    a, c = _root(parent, i), _root(parent, at[p, s])
                    parent[max(a, c)] = min(a, c)
    return failing


@kernel
def move_as_one(x0, x, base, inv_mass, given, parent, moved):  # type: ignore[no-untyped-def]
    """Give the vertices of each zone its mean motion, weighed by mass; where some are moved from outside, theirs.

    Their speeds, which are reckoned from `base` (V,3), become the mean of those. `given` and `moved` are as of `Cover`
    and `Touching`.
    """
    count = x.shape[0]
    sums, speeds, masses = np.zeros((count, 3)), np.zeros((count, 3)), np.zeros(count)
    held, size = np.zeros(count, np.bool_), np.zeros(count, np.int32)
    for v in range(count):
        r = _root(parent, v)
        size[r] += 1
        held[r] = held[r] or inv_mass[v] == 0.0
    for v in given:
        r = _root(parent, v)
        if size[r] < 2 or (held[r] and inv_mass[v] > 0.0):
            continue
        mass = 1.0 if inv_mass[v] == 0.0 else 1.0 / inv_mass[v]
        masses[r] += mass
        for k in range(3):
            sums[r, k] += mass * (x[v, k] - x0[v, k])
            speeds[r, k] += mass * (x[v, k] - base[v, k])
    for v in range(count):
        r = _root(parent, v)
        if size[r] >= 2 and inv_mass[v] > 0.0:
            moved[v] = True
            for k in range(3):
                x[v, k] = x0[v, k] + sums[r, k] / masses[r]
                base[v, k] = x[v, k] - speeds[r, k] / masses[r]


@kernel
def keep_sides(x0, x, base, cover, pairs, counts, touching):  # type: ignore[no-untyped-def]
    """Change places `x` so that on the way from `x0` nothing crosses; the number of pairs for which that failed.

    `base` as of `repel`.
    It fails where what is moved from outside (inv_mass 0) leaves no way.
    """
    parent, failing, inv_mass = np.zeros(0, np.int64), 0, cover.inv_mass
    for attempt in range(TRIES + ZONES):
        if attempt < TRIES:
            failing = put_back(x, base, inv_mass, pairs, touching, ROUNDS)
        else:
            if attempt == TRIES:
                parent = np.arange(x.shape[0])
            failing = _join_failing(x, pairs, touching, parent)
            if failing > 0:
                move_as_one(x0, x, base, inv_mass, cover.given, parent, touching.moved)
        before = touching.counts.sum()
        look(x0, x, REMAINS, False, cover, pairs, counts, touching)
        if failing == 0 and touching.counts.sum() == before:
            break
    return failing
