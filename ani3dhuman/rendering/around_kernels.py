"""Kernels of the light from all around: maps of all surfaces of a mesh, and what points see of them and of the sky."""

from __future__ import annotations

import math

import numba
import numpy as np

from ..jit import kernel, parallel_kernel
from ..mesh.raster import is_clear
from .light_kernels import CLEARANCE, scattered_by, seen_at

_SCATTER = 1.0  # cells, how far around a point the lookups of its surroundings are scattered
_NUMBERS = np.arange(256)
_SCATTERED = (
    _SCATTER * np.sqrt(_NUMBERS * 0.61803398875 % 1.0)[:, None]
    * np.stack([np.cos(_NUMBERS * 2 * np.pi / 256), np.sin(_NUMBERS * 2 * np.pi / 256)], axis=1)
).astype(np.float32)  # fmt: skip
_BLOCK = 256  # points that are lit together from all around


@parallel_kernel
def draw_layers(vertices, faces, cutouts, strands, views, depths, hits, counts):  # type: ignore[no-untyped-def]
    """Fill maps of all surfaces behind each other, the nearest first, as seen from afar through `views` (S,3,4).

    Args:
        vertices, faces, cutouts: (V,3) and (F,3) of the mesh, and where it is clear.
        strands: (F,) bool, faces of hair, which others come before; (0,) where there are none.
        views: as in `light_kernels.draw_depths`.
        depths: (S,R,R,K) filled with depths, metres.
        hits: (S,R,R,K) filled with twice the number of the face there, and 1 more where the view sees its back.
        counts: (S,R,R) filled with how many of them there are; more than K are forgotten.
    """
    size, most = depths.shape[1], depths.shape[3]
    for s in numba.prange(depths.shape[0]):
        counts[s] = 0
        flat = np.empty((vertices.shape[0], 3), np.float32)
        cells = np.empty((2, vertices.shape[0]), np.int32)  # the first whose middle is not before the vertex
        for v in range(vertices.shape[0]):
            x, y, near = seen_at(views[s], True, vertices[v])
            flat[v, 0], flat[v, 1], flat[v, 2] = x, y, -near
            cells[0, v], cells[1, v] = math.ceil(x - 0.5), math.ceil(y - 0.5)
        for f in range(faces.shape[0] * (2 if len(strands) else 1)):
            if len(strands):
                last, f = f >= faces.shape[0], f % faces.shape[0]
                if strands[f] != last:
                    continue
            i, j, k = faces[f, 0], faces[f, 1], faces[f, 2]
            # most faces are smaller than a cell and lie between the middles of two
            if cells[0, i] == cells[0, j] == cells[0, k] or cells[1, i] == cells[1, j] == cells[1, k]:
                continue
            a, b, c = flat[i], flat[j], flat[k]
            x0 = max(0, math.ceil(min(a[0], b[0], c[0]) - 0.5))
            x1 = min(size - 1, math.floor(max(a[0], b[0], c[0]) - 0.5))
            if x1 < x0:
                continue
            y0 = max(0, math.ceil(min(a[1], b[1], c[1]) - 0.5))
            y1 = min(size - 1, math.floor(max(a[1], b[1], c[1]) - 0.5))
            area = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
            if y1 < y0 or abs(area) < 1e-9:
                continue
            holed = len(cutouts.texture_of) > 0 and cutouts.texture_of[f] >= 0
            back = 1 if area > 0.0 else 0  # the rows of a view are right-handed, and the third leads away
            for y in range(y0, y1 + 1):
                for x in range(x0, x1 + 1):
                    px, py = x + 0.5, y + 0.5
                    wb = ((px - a[0]) * (c[1] - a[1]) - (py - a[1]) * (c[0] - a[0])) / area
                    wc = ((b[0] - a[0]) * (py - a[1]) - (b[1] - a[1]) * (px - a[0])) / area
                    wa = 1.0 - wb - wc
                    k = np.int64(counts[s, y, x])
                    if wa >= 0.0 and wb >= 0.0 and wc >= 0.0 and k < most:
                        if holed and is_clear(cutouts, f, wa, wb, wc, y, x):
                            continue
                        counts[s, y, x] = k + 1
                        depth = np.float32(wa * a[2] + wb * b[2] + wc * c[2])
                        while k > 0 and depths[s, y, x, k - 1] > depth:
                            depths[s, y, x, k], hits[s, y, x, k] = depths[s, y, x, k - 1], hits[s, y, x, k - 1]
                            k -= 1
                        depths[s, y, x, k], hits[s, y, x, k] = depth, 2 * f + back


@parallel_kernel
def gather_around(lit, order, mirrors, sharpness, ways, weights, layers, hair, sent, matte, glossy):  # type: ignore[no-untyped-def]
    """What comes to points from all around: of the sky, and of the mesh where that hides it.

    Args:
        lit: as of `light_kernels.gather`.
        order: (N,) in which they are looked at: what lies near each other one after the other is fastest.
        mirrors: (G,3) the middle of what each of the first G points mirrors, unit vectors; all of them or none.
        sharpness: (G,) exponents of the cosine to it.
        ways: (S,3) unit vectors, against which the views look; each stands for its opposite too.
        weights: (S,2) how bright the sky is there.
        layers: views, depths, hits and counts as of `draw_layers`, and (S,) metres of a cell.
        hair: (F,) bool, faces of strands; of all points, or of none, where they lie on strands, rows (N,2), share (N,)
            and faces (N,) as of `strand_light.Hung`; the shares of light that come through others to the strands'
            points along the ways and against them (Q,S,2). The rest is what their own strand sends on.
        sent: (2F,3) light that each side of each face sends on.
        matte: filled with the share of the sky's light that is not hidden (N,), and what a white surface sends on of
            the light of the mesh (N,3).
        glossy: filled with the same of what is mirrored: (G,) and (G,3), of a mirror that takes nothing away.
    """
    points, normals, faced, tones = lit
    views, depths, hits, counts, cells = layers
    strands, pairs, parts, own_faces, through = hair
    open_, result = matte
    mirror_open, mirrored = glossy
    size, total = depths.shape[1], points.shape[0]
    # some points look one way after the other: what is computed of all of them is so in vectors of the processor, and
    # the part of a map that neighbours need stays in its cache
    for block in numba.prange((total + _BLOCK - 1) // _BLOCK):
        begin, count = block * _BLOCK, min(_BLOCK, total - block * _BLOCK)
        places, sides, planes = (
            np.empty((3, _BLOCK), np.float32),
            np.empty((6, _BLOCK), np.float32),
            np.empty((6, _BLOCK)),
        )
        seeds, chances = np.empty(_BLOCK, np.uint32), np.empty((2, _BLOCK), np.float32)
        # whole, light, cosines and three colours, of the matte surface and of the mirror
        sums, lobes = np.zeros((_BLOCK, 6)), np.zeros((_BLOCK, 5))
        cosines, steeps = np.empty(_BLOCK, np.float32), np.empty(_BLOCK, np.float32)
        signs, nears, least = np.empty(_BLOCK), np.empty(_BLOCK), np.empty(_BLOCK)
        columns, rows = np.empty(_BLOCK), np.empty(_BLOCK)
        for b in range(count):
            n = order[begin + b]
            m = faced[n]
            for c in range(3):
                places[c, b], sides[c, b], sides[3 + c, b] = points[n, c], normals[n, c], m[c]
            # two unit vectors in the surface: lookups are scattered over it, since few ways would make hard edges
            if abs(m[2]) < 0.9:
                length = math.sqrt(m[0] * m[0] + m[1] * m[1]) + 1e-12
                tx, ty, tz = -m[1] / length, m[0] / length, 0.0
            else:
                length = math.sqrt(m[1] * m[1] + m[2] * m[2]) + 1e-12
                tx, ty, tz = 0.0, -m[2] / length, m[1] / length
            planes[0, b], planes[1, b], planes[2, b] = tx, ty, tz
            planes[3, b], planes[4, b] = m[1] * tz - m[2] * ty, m[2] * tx - m[0] * tz
            planes[5, b] = m[0] * ty - m[1] * tx
            seeds[b] = np.uint32(n) * np.uint32(2654435761)
            sums[b, 0], sums[b, 2], lobes[b, 0] = 1e-12, 1e-12, 1e-12
        for s in range(ways.shape[0]):
            look, way, cell = views[s], ways[s], cells[s]
            for b in range(count):
                seeds[b] = (seeds[b] * np.uint32(1664525) + np.uint32(1013904223)) & np.uint32(0xFFFFFFFF)
                chance = (seeds[b] >> np.uint32(24)) & np.uint32(255)
                chances[0, b], chances[1, b] = cell * _SCATTERED[chance, 0], cell * _SCATTERED[chance, 1]
            found = (cosines, steeps, signs, nears, columns, rows, least)
            _look(way, look, cell, (places, sides, planes, chances), found, count)
            for b in range(count):
                n, facing, sign = order[begin + b], cosines[b], signs[b]
                end = 0 if sign < 0.0 else 1
                i, j = int(columns[b]), int(rows[b])
                share = 0.0
                if n < mirrors.shape[0]:
                    r = mirrors[n]
                    near_lobe = -sign * (r[0] * way[0] + r[1] * way[1] + r[2] * way[2])
                    share = facing * max(near_lobe, 0.0) ** sharpness[n]
                    lobes[b, 0] += share
                scattered = facing
                if n < tones.shape[0]:
                    scattered = scattered_by(facing, tones[n])
                sums[b, 2] += scattered
                sums[b, 0] += scattered * weights[s, end]
                hangs = n < pairs.shape[0] and pairs[n, 0] >= 0
                comes = np.float32(1.0)
                if hangs:
                    comes = through[pairs[n, 0], s, end]
                    comes += parts[n] * (through[pairs[n, 1], s, end] - comes)
                    face = 2 * own_faces[n]
                    for c in range(3):
                        around = (1.0 - comes) * 0.5 * (sent[face, c] + sent[face + 1, c])
                        sums[b, 3 + c] += scattered * around
                        lobes[b, 2 + c] += share * around
                layer = np.int64(-1)
                if i >= 0 and j >= 0 and i < size and j < size:
                    behind_each_other = np.int64(counts[s, j, i])
                    for step in range(behind_each_other):
                        k = np.int64(step if sign > 0.0 else behind_each_other - 1 - step)
                        if hangs and strands[hits[s, j, i, k] >> 1]:
                            continue
                        ahead = sign * (depths[s, j, i, k] + nears[b])
                        if ahead > 0.0 and ahead * steeps[b] > least[b]:
                            layer = k
                            break
                if layer < 0:
                    sums[b, 1] += comes * scattered * weights[s, end]
                    lobes[b, 1] += comes * share
                    continue
                # from a point that looks towards `ways` one sees the other side than the view does
                seen = sent[hits[s, j, i, layer] ^ (1 - end)]
                for c in range(3):
                    sums[b, 3 + c] += comes * scattered * seen[c]
                if n < mirrors.shape[0]:
                    for c in range(3):
                        lobes[b, 2 + c] += comes * share * seen[c]
        for b in range(count):
            n = order[begin + b]
            open_[n] = sums[b, 1] / sums[b, 0]
            for c in range(3):
                result[n, c] = sums[b, 3 + c] / sums[b, 2]
            if n < mirrors.shape[0]:
                mirror_open[n] = lobes[b, 1] / lobes[b, 0]
                for c in range(3):
                    mirrored[n, c] = lobes[b, 2 + c] / lobes[b, 0]


@kernel
def _look(way, view, cell, lit, seen, count):  # type: ignore[no-untyped-def]
    """Where the first `count` points of a block find a map's surfaces as they look along or against a `way`.

    Args:
        lit: places (3,B), sides and those of the planes of the points' faces (6,B), two vectors in these planes (6,B),
            and how far along them the point is moved (2,B).
        seen: filled with the cosines (B,) of side and plane to the way, -1 (B,) where they look along it and 1 where
            against, how near the place is to the view (B,), column and row (B,) of the map, and how far over the plane
            a surface is at least (B,) that is not the point's own.
    """
    (px, py, pz), (nx, ny, nz, mx, my, mz), plane, (u, v) = lit
    cosines, steeps, signs, nears, columns, rows, least = seen
    ax, ay, az, a = view[0, 0], view[0, 1], view[0, 2], view[0, 3]
    bx, by, bz, b = view[1, 0], view[1, 1], view[1, 2], view[1, 3]
    cx, cy, cz, c = view[2, 0], view[2, 1], view[2, 2], view[2, 3]
    square = cell * cell
    for k in range(count):
        facing = nx[k] * way[0] + ny[k] * way[1] + nz[k] * way[2]
        signs[k] = -1.0 if facing > 0.0 else 1.0
        steeps[k] = -signs[k] * (mx[k] * way[0] + my[k] * way[1] + mz[k] * way[2])
        cosines[k] = abs(facing)
        x0 = np.float64(ax * px[k] + ay * py[k] + az * pz[k] + a)
        y0 = np.float64(bx * px[k] + by * py[k] + bz * pz[k] + b)
        nears[k] = -(cx * px[k] + cy * py[k] + cz * pz[k] + c)
        qx = px[k] + u[k] * plane[0, k] + v[k] * plane[3, k]
        qy = py[k] + u[k] * plane[1, k] + v[k] * plane[4, k]
        qz = pz[k] + u[k] * plane[2, k] + v[k] * plane[5, k]
        columns[k] = math.floor(ax * qx + ay * qy + az * qz + a)
        rows[k] = math.floor(bx * qx + by * qy + bz * qz + b)
        # how far over the plane of the surface the middle of that cell is, at the depth of the point; a metre of depth
        # brings the cosine more of it
        over = square * (columns[k] + 0.5 - x0) * (mx[k] * ax + my[k] * ay + mz[k] * az)
        over += square * (rows[k] + 0.5 - y0) * (mx[k] * bx + my[k] * by + mz[k] * bz)
        least[k] = cell * CLEARANCE - over
