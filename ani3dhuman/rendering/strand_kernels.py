"""Kernels of the light between strands of hair: how densely strands lie, and how much light comes through.

Strands are too thin for maps of a whole character, so a grid holds how much of them lies in each of its voxels: the
sum of thickness times length, and of that times the dyad of the direction. A ray of unit direction w through a voxel of
volume V meets s = sqrt(A (A - w M w)) / V of them a metre: exactly their projected area where they are parallel, the
root of its mean square else. Of light exp(-sum of s times metres) comes through, as through a cloud of fibres that are
scattered at random (Beer and Lambert). In the voxel that a ray begins in, where and how wide its strands lie is heeded:
hair may be dense within a fraction of it, and what is seen of hair is its outermost strands.
"""

from __future__ import annotations

import math

import numba
import numpy as np

from ..jit import kernel, parallel_kernel

FIELDS = 16  # of a voxel: thickness times length, and of its dyad xx, yy, zz, xy, xz, yz; its moments x, y, z, xx ..
SHARP = 0.05  # of a voxel's side, the least that its strands are spread over
PIECE = 0.5  # of a voxel's side, length of the pieces that segments are counted in
_NEAR = 2  # segments of a strand to either side of a point that are not in its own light
_MOST = 64  # voxels of them
_OPAQUE = 7.0  # optical depth from which on nothing comes through


@kernel
def fill(points, thickness, ends, low, side, grid):  # type: ignore[no-untyped-def]
    """Fill `grid` (X,Y,Z,16) with the segments `ends` (K,2) between points (Q,3) of a thickness (Q,), metres.

    Voxels are `side` metres wide, the first begins at `low` (3,).
    """
    grid[:] = 0.0
    for k in range(ends.shape[0]):
        a, b = ends[k, 0], ends[k, 1]
        pieces, area, way = _segment(points[a], points[b], thickness[a], thickness[b], side)
        for piece in range(pieces):
            x, y, z = _voxel(points[a], points[b], (piece + 0.5) / pieces, low, side)
            if _inside(x, y, z, grid):
                _add(
                    grid[x, y, z], area, way, _within(points[a], points[b], (piece + 0.5) / pieces, low, side, x, y, z)
                )


@kernel
def _segment(a, b, thick, thin, side):  # type: ignore[no-untyped-def]
    """Of a segment: in how many pieces it is counted, the area of each, and its direction."""
    dx, dy, dz = b[0] - a[0], b[1] - a[1], b[2] - a[2]
    length = math.sqrt(dx * dx + dy * dy + dz * dz) + 1e-12
    pieces = max(1, math.ceil(length / (PIECE * side)))
    return pieces, 0.5 * (thick + thin) * length / pieces, (dx / length, dy / length, dz / length)


@kernel
def _voxel(a, b, along, low, side):  # type: ignore[no-untyped-def]
    x = math.floor((a[0] + along * (b[0] - a[0]) - low[0]) / side)
    y = math.floor((a[1] + along * (b[1] - a[1]) - low[1]) / side)
    z = math.floor((a[2] + along * (b[2] - a[2]) - low[2]) / side)
    return x, y, z


@kernel
def _inside(x, y, z, grid):  # type: ignore[no-untyped-def]
    return x >= 0 and y >= 0 and z >= 0 and x < grid.shape[0] and y < grid.shape[1] and z < grid.shape[2]


@kernel
def _within(a, b, along, low, side, x, y, z):  # type: ignore[no-untyped-def]
    """A place between two points, from the middle of its voxel."""
    rx = a[0] + along * (b[0] - a[0]) - low[0] - (x + 0.5) * side
    ry = a[1] + along * (b[1] - a[1]) - low[1] - (y + 0.5) * side
    rz = a[2] + along * (b[2] - a[2]) - low[2] - (z + 0.5) * side
    return rx, ry, rz


@kernel
def _add(fields, area, way, place):  # type: ignore[no-untyped-def]
    fields[0] += area
    _add_square(fields, 1, area, way)
    for k in range(3):
        fields[7 + k] += area * place[k]
    _add_square(fields, 10, area, place)


@kernel
def _add_square(fields, first, area, w):  # type: ignore[no-untyped-def]
    """Add `area` times w w: xx, yy, zz, xy, xz, yz from field `first` on."""
    x, y, z = w
    fields[first] += area * x * x
    fields[first + 1] += area * y * y
    fields[first + 2] += area * z * z
    fields[first + 3] += area * x * y
    fields[first + 4] += area * x * z
    fields[first + 5] += area * y * z


@kernel
def _form(f, first, x, y, z):  # type: ignore[no-untyped-def]
    """w M w of the dyad or second moment that begins at a field, for w = (x, y, z)."""
    square = f[first] * x * x + f[first + 1] * y * y + f[first + 2] * z * z
    return square + 2.0 * (f[first + 3] * x * y + f[first + 4] * x * z + f[first + 5] * y * z)


@kernel
def _own(q, points, thickness, strand_of, low, side, grid, ids, fields):  # type: ignore[no-untyped-def]
    """Voxels that the strand of point `q` lies in around it, and what it adds to each; their number."""
    count = 0
    for k in range(max(q - _NEAR, 0), min(q + _NEAR, points.shape[0] - 1)):
        if strand_of[k] != strand_of[q] or strand_of[k + 1] != strand_of[q]:
            continue
        pieces, area, way = _segment(points[k], points[k + 1], thickness[k], thickness[k + 1], side)
        for piece in range(pieces):
            x, y, z = _voxel(points[k], points[k + 1], (piece + 0.5) / pieces, low, side)
            if not _inside(x, y, z, grid):
                continue
            voxel = (x * grid.shape[1] + y) * grid.shape[2] + z
            slot = 0
            while slot < count and ids[slot] != voxel:
                slot += 1
            if slot == _MOST:
                continue
            if slot == count:
                ids[slot], count = voxel, count + 1
                fields[slot] = 0.0
            place = _within(points[k], points[k + 1], (piece + 0.5) / pieces, low, side, x, y, z)
            _add(fields[slot], area, way, place)
    return count


@kernel
def _through(p, way, reach, low, side, grid, ids, fields, count):  # type: ignore[no-untyped-def]
    """Share of light that comes along the unit vector `way`, from `reach` metres away, to a point `p` through the
    grid, but for what `fields` have in the voxels `ids`; voxel by voxel (Amanatides and Woo 1987)."""
    x, y, z = _voxel(p, p, 0.0, low, side)
    gx, gy, gz = (p[0] - low[0]) / side - x, (p[1] - low[1]) / side - y, (p[2] - low[2]) / side - z
    wx, wy, wz = way
    sx, sy, sz = 1 if wx > 0.0 else -1, 1 if wy > 0.0 else -1, 1 if wz > 0.0 else -1
    lx, ly, lz = side / max(abs(wx), 1e-9), side / max(abs(wy), 1e-9), side / max(abs(wz), 1e-9)
    # what goes along an axis never comes to the next voxel aside
    tx = (1.0 - gx if wx > 0.0 else gx) * lx if abs(wx) > 1e-9 else 1e30
    ty = (1.0 - gy if wy > 0.0 else gy) * ly if abs(wy) > 1e-9 else 1e30
    tz = (1.0 - gz if wz > 0.0 else gz) * lz if abs(wz) > 1e-9 else 1e30
    depth, at, volume = 0.0, 0.0, side * side * side
    while _inside(x, y, z, grid) and at < reach and depth < _OPAQUE:
        end = min(tx, ty, tz)
        v = grid[x, y, z]
        if v[0] > 0.0:
            area, along = v[0], _form(v, 1, wx, wy, wz)
            first, second = v[7] * wx + v[8] * wy + v[9] * wz, _form(v, 10, wx, wy, wz)
            voxel = (x * grid.shape[1] + y) * grid.shape[2] + z
            for k in range(count):
                if ids[k] == voxel:
                    o = fields[k]
                    area -= o[0]
                    along -= _form(o, 1, wx, wy, wz)
                    first -= o[7] * wx + o[8] * wy + o[9] * wz
                    second -= _form(o, 10, wx, wy, wz)
            length = min(end, reach) - at
            if at == 0.0 and reach > end and area > 1e-3 * v[0]:
                back = min(
                    lx - tx if tx < 1e30 else 1e30, ly - ty if ty < 1e30 else 1e30, lz - tz if tz < 1e30 else 1e30
                )
                middle = first / area
                wide = max(math.sqrt(3.0 * max(second / area - middle * middle, 0.0)), SHARP * side)
                here = wx * (gx - 0.5) * side + wy * (gy - 0.5) * side + wz * (gz - 0.5) * side
                length = (end + back) * min(max((middle + wide - here) / (2.0 * wide), 0.0), 1.0)
            area = max(area, 0.0)
            depth += math.sqrt(area * max(area - along, 0.0)) / volume * length
        at = end
        if tx <= ty and tx <= tz:
            x, tx = x + sx, tx + lx
        elif ty <= tz:
            y, ty = y + sy, ty + ly
        else:
            z, tz = z + sz, tz + lz
    return math.exp(-depth)


@parallel_kernel
def through_from_around(points, thickness, strand_of, ways, low, side, grid, result):  # type: ignore[no-untyped-def]
    """Fill `result` (Q,S,2): the shares of light that come to points of strands along `ways` (S,3), unit vectors, and
    against them.

    Args:
        points, thickness: (Q,3) and (Q,) metres, strand by strand.
        strand_of: (Q,) number of each point's strand, which is not in its own light.
        low, side, grid: as of `fill`.
    """
    for q in numba.prange(points.shape[0]):
        ids, fields = np.empty(_MOST, np.int64), np.empty((_MOST, FIELDS), np.float32)
        count = _own(q, points, thickness, strand_of, low, side, grid, ids, fields)
        for s in range(ways.shape[0]):
            for end in range(2):
                sign = 1.0 - 2.0 * end
                way = (sign * ways[s, 0], sign * ways[s, 1], sign * ways[s, 2])
                result[q, s, end] = _through(points[q], way, 1e9, low, side, grid, ids, fields, count)


@parallel_kernel
def through_from_lights(points, thickness, strand_of, kinds, origins, low, side, grid, result):  # type: ignore[no-untyped-def]
    """Fill `result` (Q,S): the shares of light that come to points of strands from emitters at `origins` (S,3).

    Args:
        kinds: (S,) 0 for distant ones, whose origins are the unit vectors towards them.
    """
    for q in numba.prange(points.shape[0]):
        ids, fields = np.empty(_MOST, np.int64), np.empty((_MOST, FIELDS), np.float32)
        count = _own(q, points, thickness, strand_of, low, side, grid, ids, fields)
        for s in range(origins.shape[0]):
            x, y, z, reach = origins[s, 0], origins[s, 1], origins[s, 2], 1e9
            if kinds[s] != 0:
                x, y, z = x - points[q, 0], y - points[q, 1], z - points[q, 2]
                reach = math.sqrt(x * x + y * y + z * z) + 1e-9
                x, y, z = x / reach, y / reach, z / reach
            result[q, s] = _through(points[q], (x, y, z), reach, low, side, grid, ids, fields, count)
