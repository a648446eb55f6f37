"""Where a sheet lies flat about a triangle: there its own parts cannot touch, and need not be looked at.

A patch whose normals all lie within 60 degrees of one direction is a graph over the plane across it: what is a length
apart along the cloth is at least half of it apart in space. Most of a garment is of such patches, and most pairs that
come within reach of each other lie in one.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import prange

from ...jit import kernel, parallel_kernel

NONE, ONE = np.float32(0), np.float32(1)
FLAT = np.float32(0.5)  # least cosine between the normals of a patch and their mean
STILL = np.uint8(16)  # the bit of `never_meeting` for what stays where it is
NOT, NEAR, WHOLE = np.uint8(0), np.uint8(1), np.uint8(2)  # how much of a patch is flat
RINGS = 2  # of triangles about a triangle that are near it
ROOM = 64  # triangles for which a patch has room at first, on average


class Patches(NamedTuple):
    """The patch about each of F triangles, from which cloth within reach belongs to the same sheet.

    Attributes:
        patches: (F+1,) int64; members[patches[t]:patches[t + 1]]: int32, triangle t and those about it, in a
            distance at rest, along the mesh; before mutual[t] those in whose own patch t is. About a crotch or a fold
            at rest that may be one of two alone: a way round is within reach of one, and not of the other.
        near: (F,) int64; members[patches[t]:near[t]] are the first `RINGS` rings about it, or none where one of them
            does not have t in its own patch.
        fans: (V+1,) int64; around[fans[v]:fans[v + 1]]: int32, the triangles at vertex v.
    """

    patches: np.ndarray
    members: np.ndarray
    mutual: np.ndarray
    near: np.ndarray
    fans: np.ndarray
    around: np.ndarray


def patches_of(faces: np.ndarray, rest: np.ndarray, reach: np.ndarray) -> Patches:
    """The patches about triangles (F,3) int32 by places (V,3) at rest, so that `reach` (V,) metres lie about each."""
    count = len(faces)
    corners = faces.ravel()
    fans = np.concatenate([[0], np.cumsum(np.bincount(corners, minlength=len(rest)))])
    around = (np.argsort(corners, kind="stable") // 3).astype(np.int32)
    middles = rest[faces].mean(1, dtype=np.float64) if count else np.zeros((0, 3))
    radii = np.linalg.norm(rest[faces] - middles[:, None], axis=2).max(1) if count else np.zeros(0)
    reaches = np.maximum(reach[faces].max(1), 0) if count else np.zeros(0)
    patches, near, room = np.zeros(count + 1, np.int64), np.zeros(count, np.int64), ROOM * count
    while True:
        members = np.empty(room, np.int32)
        _gather(faces, fans, around, middles, radii, reaches, patches, members, near)
        if patches[-1] <= room:
            members = members[: patches[-1]].copy()
            return Patches(patches, members, _mutual_first(patches, members, near), near, fans, around)
        room = int(patches[-1])


@kernel
def _gather(faces, first, at, middles, radii, reaches, starts, members, near):  # type: ignore[no-untyped-def]
    """Walk from each triangle over those that share a corner, as far as its reach."""
    count = faces.shape[0]
    seen, queue = np.full(count, -1, np.int32), np.empty(count, np.int32)
    total = 0
    for t in range(count):
        queue[0], seen[t], size, done = t, t, 1, 0
        ring, end, close = 0, 1, 1
        while done < size:
            for c in range(3):
                v = faces[queue[done], c]
                for k in range(first[v], first[v + 1]):
                    other = at[k]
                    if seen[other] == t:
                        continue
                    seen[other] = t
                    dx, dy = middles[other, 0] - middles[t, 0], middles[other, 1] - middles[t, 1]
                    dz = middles[other, 2] - middles[t, 2]
                    if dx * dx + dy * dy + dz * dz <= (radii[t] + radii[other] + reaches[t]) ** 2:
                        queue[size] = other
                        size += 1
            done += 1
            if done == end:  # all of a ring, so that the next one is complete
                ring, end = ring + 1, size
                if ring <= RINGS:
                    close = size
        near[t] = total + close
        for k in range(size):
            if total < members.shape[0]:
                members[total] = queue[k]
            total += 1
        starts[t + 1] = total


@kernel
def _mutual_first(starts, members, near):  # type: ignore[no-untyped-def]
    """Put first in each patch those in whose own patch its triangle is; (F,) int64 where the others begin.

    Where one of those before `near` (F,) is another one, that becomes the patch's begin.
    """
    ends = starts[:-1].copy()
    for t in range(ends.shape[0]):
        for k in range(starts[t], starts[t + 1]):
            other = members[k]
            for n in range(starts[other], starts[other + 1]):
                if members[n] == t:
                    members[k], members[ends[t]] = members[ends[t]], other
                    ends[t] += 1
                    break
            else:
                if k < near[t]:
                    near[t] = starts[t]
    return ends


@kernel
def find_normal(t, x, faces, normals, when):  # type: ignore[no-untyped-def]
    """Write the unit normal of triangle `t` to `normals` (F,2,3), now or at the end; zero where there is no area."""
    i, j, k = faces[t, 0], faces[t, 1], faces[t, 2]
    ex, ey, ez = x[j, 0] - x[i, 0], x[j, 1] - x[i, 1], x[j, 2] - x[i, 2]
    fx, fy, fz = x[k, 0] - x[i, 0], x[k, 1] - x[i, 1], x[k, 2] - x[i, 2]
    nx, ny, nz = ey * fz - ez * fy, ez * fx - ex * fz, ex * fy - ey * fx
    length = math.sqrt(nx * nx + ny * ny + nz * nz)
    scale = ONE / length if length > 0.0 else NONE
    normals[t, when, 0], normals[t, when, 1], normals[t, when, 2] = nx * scale, ny * scale, nz * scale


@kernel
def within_cone(others, start, stop, normals):  # type: ignore[no-untyped-def]
    """Whether the normals of triangles others[start:stop] are near their mean, now and at the end."""
    ax, ay, az, bx, by, bz = NONE, NONE, NONE, NONE, NONE, NONE
    for k in range(start, stop):
        o = others[k]
        ax += normals[o, 0, 0]
        ay += normals[o, 0, 1]
        az += normals[o, 0, 2]
        bx += normals[o, 1, 0]
        by += normals[o, 1, 1]
        bz += normals[o, 1, 2]
    least = FLAT * math.sqrt(ax * ax + ay * ay + az * az)
    later = FLAT * math.sqrt(bx * bx + by * by + bz * bz)
    for k in range(start, stop):
        o = others[k]
        if not ax * normals[o, 0, 0] + ay * normals[o, 0, 1] + az * normals[o, 0, 2] > least:
            return False
        if not bx * normals[o, 1, 0] + by * normals[o, 1, 1] + bz * normals[o, 1, 2] > later:
            return False
    return True


@kernel
def flatness(members, start, near, stop, normals):  # type: ignore[no-untyped-def]
    """How much of a patch is flat: all of it, what is near its middle, or not even that."""
    if within_cone(members, start, stop, normals):
        return WHOLE
    return NEAR if start < near < stop and within_cone(members, start, near, normals) else NOT


@kernel
def find_flat_about_moving(x, y, cover, boxes):  # type: ignore[no-untyped-def]
    """As `find_flat` for patches with a triangle that is not `STILL`; others are not compared and count as not flat."""
    starts, fans, normals = cover.patches, cover.fans, boxes.normals
    members, around = cover.members.view(np.uint32), cover.around.view(np.uint32)
    boxes.flat[:] = NOT
    for t in range(cover.faces.shape[0]):
        find_normal(t, x, cover.faces, normals, 0)
        find_normal(t, y, cover.faces, normals, 1)
    for v in range(fans.shape[0] - 1):
        boxes.level[v] = within_cone(around, fans[v], fans[v + 1], normals)
    for t in range(cover.faces.shape[0]):
        k = starts[t]
        while k < starts[t + 1] and boxes.own[members[k]] & STILL:
            k += 1
        if k < starts[t + 1]:
            boxes.flat[t] = flatness(members, starts[t], cover.near[t], starts[t + 1], normals)


@parallel_kernel
def _find_normals(x, y, faces, normals):  # type: ignore[no-untyped-def]
    for t in prange(faces.shape[0]):
        find_normal(t, x, faces, normals, 0)
        find_normal(t, y, faces, normals, 1)


@parallel_kernel
def _find_level(fans, around, normals, level):  # type: ignore[no-untyped-def]
    for v in prange(fans.shape[0] - 1):
        level[v] = within_cone(around, fans[v], fans[v + 1], normals)


@parallel_kernel
def _find_flatness(starts, members, near, normals, flat):  # type: ignore[no-untyped-def]
    for t in prange(flat.shape[0]):
        flat[t] = flatness(members, starts[t], near[t], starts[t + 1], normals)


def find_flat(x, y, cover, boxes):  # type: ignore[no-untyped-def]
    """Find about which triangles cloth lies flat at places `x` and at places `y` (V,3).

    `normals`, `flat` and `level` of `boxes` are written. By a kernel for each: numba made one loop of two over the same
    triangles when they stood in one kernel, and normals were read before they were there.
    """
    members, around = cover.members.view(np.uint32), cover.around.view(np.uint32)
    _find_normals(x, y, cover.faces, boxes.normals)
    _find_level(cover.fans, around, boxes.normals, boxes.level)
    _find_flatness(cover.patches, members, cover.near, boxes.normals, boxes.flat)
