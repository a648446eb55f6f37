"""Kernels of light: depth maps of a mesh as its lights see it, and the light that points gather from them.

A map holds for each of its cells how near the mesh is, larger is nearer: one over the depth where the light has a
place, minus the depth where it is distant, `NOTHING` where there is no mesh.
"""

from __future__ import annotations

import math

import numba
import numpy as np

from ..jit import kernel, parallel_kernel

NOTHING = np.float32(-1e30)
_NEAR = 1e-3  # as a share of a map's depth unit: what is nearer to a lamp is not in its map


@parallel_kernel
def draw_depths(vertices, faces, views, distant, maps):  # type: ignore[no-untyped-def]
    """Fill `maps` (S,R,R) with the mesh as seen through `views` (S,3,4), rows right, up and along, in cells."""
    size = maps.shape[1]
    for s in numba.prange(maps.shape[0]):
        maps[s] = NOTHING
        flat = np.empty((vertices.shape[0], 3), np.float32)
        for v in range(vertices.shape[0]):
            flat[v, 0], flat[v, 1], flat[v, 2] = _seen(views[s], distant[s], vertices[v])
        for f in range(faces.shape[0]):
            a, b, c = flat[faces[f, 0]], flat[faces[f, 1]], flat[faces[f, 2]]
            if not distant[s] and (a[2] <= 0.0 or b[2] <= 0.0 or c[2] <= 0.0):
                continue
            area = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
            if abs(area) < 1e-9:
                continue
            x0 = max(0, math.ceil(min(a[0], b[0], c[0]) - 0.5))
            x1 = min(size - 1, math.floor(max(a[0], b[0], c[0]) - 0.5))
            y0 = max(0, math.ceil(min(a[1], b[1], c[1]) - 0.5))
            y1 = min(size - 1, math.floor(max(a[1], b[1], c[1]) - 0.5))
            for y in range(y0, y1 + 1):
                for x in range(x0, x1 + 1):
                    px, py = x + 0.5, y + 0.5
                    wb = ((px - a[0]) * (c[1] - a[1]) - (py - a[1]) * (c[0] - a[0])) / area
                    wc = ((b[0] - a[0]) * (py - a[1]) - (b[1] - a[1]) * (px - a[0])) / area
                    wa = 1.0 - wb - wc
                    if wa >= 0.0 and wb >= 0.0 and wc >= 0.0:
                        maps[s, y, x] = max(maps[s, y, x], wa * a[2] + wb * b[2] + wc * c[2])


@kernel
def _seen(view, distant, p):  # type: ignore[no-untyped-def]
    """Place of a point in a map, in cells, and how near it is; nearness 0 behind a lamp."""
    x = view[0, 0] * p[0] + view[0, 1] * p[1] + view[0, 2] * p[2] + view[0, 3]
    y = view[1, 0] * p[0] + view[1, 1] * p[1] + view[1, 2] * p[2] + view[1, 3]
    z = view[2, 0] * p[0] + view[2, 1] * p[1] + view[2, 2] * p[2] + view[2, 3]
    if distant:
        return x, y, -z
    if z <= _NEAR:
        return 0.0, 0.0, 0.0
    return x / z, y / z, 1.0 / z


@kernel
def _open(view, distant, depths, p, offset):  # type: ignore[no-untyped-def]
    """Share of light 0..1 that reaches a point: bilinear over cells whose mesh is not `offset` metres before it."""
    x, y, near = _seen(view, distant, p)
    if not distant:
        if near <= 0.0:
            return 1.0
        near = 1.0 / max(1.0 / near - offset, 1e-6)
    else:
        near += offset
    size = depths.shape[0]
    x -= 0.5
    y -= 0.5
    if x < 0.0 or y < 0.0 or x >= size - 1 or y >= size - 1:
        return 1.0
    i, j = int(x), int(y)
    u, w = x - i, y - j
    light = (1 - u) * (1 - w) * (depths[j, i] <= near) + u * (1 - w) * (depths[j, i + 1] <= near)
    return light + (1 - u) * w * (depths[j + 1, i] <= near) + u * w * (depths[j + 1, i + 1] <= near)


@kernel
def _strength(kind, frame, cone, dx, dy, dz, square):  # type: ignore[no-untyped-def]
    """What a lamp sends towards a point `d` from it: a factor on its light at a metre."""
    length = math.sqrt(square)
    x = (dx * frame[0, 0] + dy * frame[0, 1] + dz * frame[0, 2]) / length
    y = (dx * frame[1, 0] + dy * frame[1, 1] + dz * frame[1, 2]) / length
    z = -(dx * frame[2, 0] + dy * frame[2, 1] + dz * frame[2, 2]) / length
    if kind == 1:
        return 1.0 / (square + cone[2])
    if z <= 0.0:
        return 0.0
    if kind == 3:
        tangent = math.sqrt(max(1.0 - z * z, 0.0)) / z
        return z * max(cone[0] - tangent, 0.0) * cone[1] / square
    # the axes of a stretched spot are as long as it is stretched
    x /= frame[0, 0] ** 2 + frame[0, 1] ** 2 + frame[0, 2] ** 2
    y /= frame[1, 0] ** 2 + frame[1, 1] ** 2 + frame[1, 2] ** 2
    inside = (z / math.sqrt(x * x + y * y + z * z) - cone[0]) * cone[1]
    inside = min(max(inside, 0.0), 1.0)
    return inside * inside * (3.0 - 2.0 * inside) / (square + cone[2])


@parallel_kernel
def gather(points, normals, kinds, places, colors, frames, cones, slots, views, maps, cells, result):  # type: ignore[no-untyped-def]
    """Add to `result` (N,3) the light that white surfaces send on: of emitters, through the maps of their `slots`.

    `slots` (S,) are numbers of maps, -1 for light without shadows; `cells` (M,) the metres of a cell of each, a metre
    from a lamp where the light has a place.
    """
    for n in numba.prange(points.shape[0]):
        p, normal = points[n], normals[n]
        for s in range(kinds.shape[0]):
            if kinds[s] == 0:
                dx, dy, dz, square = places[s, 0], places[s, 1], places[s, 2], 1.0
            else:
                dx, dy, dz = places[s, 0] - p[0], places[s, 1] - p[1], places[s, 2] - p[2]
                square = max(dx * dx + dy * dy + dz * dz, 1e-8)
            length = math.sqrt(square)
            facing = (normal[0] * dx + normal[1] * dy + normal[2] * dz) / length
            if facing <= 0.0:
                continue
            strength = facing
            if kinds[s] != 0:
                strength *= _strength(kinds[s], frames[s], cones[s], -dx, -dy, -dz, square)
            if strength <= 0.0:
                continue
            slot = slots[s]
            if slot >= 0:
                cell = cells[slot] * (1.0 if kinds[s] == 0 else length)
                strength *= _unshadowed(views[slot], kinds[s] == 0, maps[slot], p, normal, facing, cell)
            for k in range(3):
                result[n, k] += strength * colors[s, k]


@kernel
def _unshadowed(view, distant, depths, p, normal, facing, cell):  # type: ignore[no-untyped-def]
    """Share of light that reaches a surface: looked up a little off it, so that it does not shade itself."""
    away = cell * (0.5 + 2.0 * math.sqrt(max(1.0 - facing * facing, 0.0)))
    q = (p[0] + away * normal[0], p[1] + away * normal[1], p[2] + away * normal[2])
    return _open(view, distant, depths, q, cell)


@parallel_kernel
def gather_openness(points, normals, ways, weights, views, maps, cell, result):  # type: ignore[no-untyped-def]
    """Fill `result` (N,) with the share of the light of an uneven sky, `weights` (S,) from `ways` (S,3), that comes."""
    for n in numba.prange(points.shape[0]):
        whole, open_ = 1e-12, 0.0
        for s in range(ways.shape[0]):
            facing = normals[n, 0] * ways[s, 0] + normals[n, 1] * ways[s, 1] + normals[n, 2] * ways[s, 2]
            if facing <= 0.0:
                continue
            light = facing * weights[s]
            whole += light
            open_ += light * _unshadowed(views[s], True, maps[s], points[n], normals[n], facing, cell)
        result[n] = open_ / whole
