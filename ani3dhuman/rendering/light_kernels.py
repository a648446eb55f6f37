"""Kernels of light: depth maps of a mesh as its lights see it, and the light that points gather from them.

A map holds for each of its cells how near the mesh is, larger is nearer: one over the depth where the light has a
place, minus the depth where it is distant, `NOTHING` where there is no mesh.
"""

from __future__ import annotations

import math

import numba
import numpy as np

from ..jit import kernel, parallel_kernel
from ..mesh.raster import is_clear

NOTHING = np.float32(-1e30)
_SCATTER = 1.0  # cells, how far around a point the lookups of its surroundings are scattered
_NUMBERS = np.arange(256)
_SCATTERED = (
    _SCATTER * np.sqrt(_NUMBERS * 0.61803398875 % 1.0)[:, None]
    * np.stack([np.cos(_NUMBERS * 2 * np.pi / 256), np.sin(_NUMBERS * 2 * np.pi / 256)], axis=1)
).astype(np.float32)  # fmt: skip
_CLEARANCE = 0.3  # cells over the plane of a surface from which on a mesh shades it
_STEEP = 0.1  # the same, more of it where light grazes the surface
_NEAR = 1e-3  # as a share of a map's depth unit: what is nearer to a lamp is not in its map


@parallel_kernel
def draw_depths(vertices, faces, cutouts, views, distant, maps):  # type: ignore[no-untyped-def]
    """Fill `maps` (S,R,R) with the mesh as seen through `views` (S,3,4), rows right, up and along, in cells.

    What is clear by `cutouts` is not there.
    """
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
            holed = len(cutouts.texture_of) > 0 and cutouts.texture_of[f] >= 0
            for y in range(y0, y1 + 1):
                for x in range(x0, x1 + 1):
                    px, py = x + 0.5, y + 0.5
                    wb = ((px - a[0]) * (c[1] - a[1]) - (py - a[1]) * (c[0] - a[0])) / area
                    wc = ((b[0] - a[0]) * (py - a[1]) - (b[1] - a[1]) * (px - a[0])) / area
                    wa = 1.0 - wb - wc
                    if wa >= 0.0 and wb >= 0.0 and wc >= 0.0:
                        near = wa * a[2] + wb * b[2] + wc * c[2]
                        if holed:
                            if not distant[s]:
                                wa, wb, wc = wa * a[2] / near, wb * b[2] / near, wc * c[2] / near
                            if is_clear(cutouts, f, wa, wb, wc, y, x):
                                continue
                        maps[s, y, x] = max(maps[s, y, x], near)


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
def _unshadowed(view, distant, depths, p, normal, facing, cell):  # type: ignore[no-untyped-def]
    """Share of light 0..1 that reaches a point of a surface: bilinear over cells whose mesh is not in the light's way.

    It is where it lies nearer to the light and over the plane of the surface, which therefore does not shade itself,
    however steep it is and however large the `cell` (metres, at a metre from a lamp).
    """
    x, y, near = _seen(view, distant, p)
    if not distant and near <= 0.0:
        return 1.0
    size = depths.shape[0]
    i, j = math.floor(x - 0.5), math.floor(y - 0.5)
    if i < 0 or j < 0 or i >= size - 1 or j >= size - 1:
        return 1.0
    u, w = x - 0.5 - i, y - 0.5 - j
    depth, middle_x, middle_y = -near, x, y
    if not distant:
        depth = 1.0 / near
        middle_x = view[0, 0] * view[2, 0] + view[0, 1] * view[2, 1] + view[0, 2] * view[2, 2]
        middle_y = view[1, 0] * view[2, 0] + view[1, 1] * view[2, 1] + view[1, 2] * view[2, 2]
    # the normal in the axes of the map
    nz = normal[0] * view[2, 0] + normal[1] * view[2, 1] + normal[2] * view[2, 2]
    nx = normal[0] * view[0, 0] + normal[1] * view[0, 1] + normal[2] * view[0, 2]
    ny = normal[0] * view[1, 0] + normal[1] * view[1, 1] + normal[2] * view[1, 2]
    if not distant:
        nx, ny = nx - middle_x * nz, ny - middle_y * nz
    nx, ny = nx * cell, ny * cell
    scale = 1.0 if distant else depth
    least = scale * cell * (_CLEARANCE + _STEEP / max(facing, 0.05))
    light = 0.0
    for down in range(2):
        for right in range(2):
            there = depths[j + down, i + right]
            share = (u if right else 1.0 - u) * (w if down else 1.0 - w)
            if there <= near:
                light += share
                continue
            other = -there if distant else 1.0 / there
            across = (i + right + 0.5 - middle_x) * cell * (1.0 if distant else other)
            along = (j + down + 0.5 - middle_y) * cell * (1.0 if distant else other)
            across -= (x - middle_x) * cell * scale
            along -= (y - middle_y) * cell * scale
            if nx * across + ny * along + nz * (other - depth) <= least:
                light += share
    return light


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


@kernel
def _scattered(facing, tone):  # type: ignore[no-untyped-def]
    """What a surface scatters of light of cosine `facing` to it; a toon one has an angle and a soft edge, radians."""
    if tone[0] <= 0.0:
        return facing
    angle = math.acos(min(facing, 1.0))
    if angle >= tone[0] + tone[1]:
        return 0.0
    share = 1.0 if angle < tone[0] else 1.0 - (angle - tone[0]) / max(tone[1], 1e-6)
    return 0.5 * share / (1.0 - math.cos(min(tone[0] + tone[1], math.pi / 2)))


@parallel_kernel
def gather(lit, shine, kinds, emitters, slots, views, maps, cells, result, shone):  # type: ignore[no-untyped-def]
    """Add the light that surfaces send on: of emitters, through the maps of their `slots`.

    Args:
        lit: points (N,3), normals (N,3), and of the first ones, all or none, how they scatter, as of `_scattered`.
        shine: how the first G points mirror, all of them or none: unit vectors to the eye (G,3), how wide the slopes of
            their microfacets are (G,), and what they mirror of what they face (G,3).
        kinds: (S,) of the emitters.
        emitters: their places, colours, frames, cones and spreads.
        slots: (S,) numbers of maps, -1 for light without shadows.
        views, maps: as of `draw_depths`.
        cells: (M,) metres of a cell of each map, a metre from a lamp where the light has a place.
        result: (N,3) gets what white surfaces scatter.
        shone: (G,3) gets what is mirrored to the eye.
    """
    points, normals, tones = lit
    eyes, slopes, facing_colors = shine
    places, colors, frames, cones, spreads = emitters
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
            if n < tones.shape[0]:
                strength = _scattered(facing, tones[n])
            if kinds[s] != 0:
                strength *= _strength(kinds[s], frames[s], cones[s], -dx, -dy, -dz, square)
            if strength <= 0.0:
                continue
            slot = slots[s]
            if slot >= 0:
                strength *= _unshadowed(views[slot], kinds[s] == 0, maps[slot], p, normal, facing, cells[slot])
            for k in range(3):
                result[n, k] += strength * colors[s, k]
            if n < eyes.shape[0] and strength > 0.0:
                wide = spreads[s] if kinds[s] == 0 else spreads[s] / length
                strength *= math.pi
                slope, fresnel = _mirrored(normal, eyes[n], (dx, dy, dz), length, slopes[n] + wide)
                grazing = min(1.0, 50.0 * max(facing_colors[n, 0], facing_colors[n, 1], facing_colors[n, 2]))
                for k in range(3):
                    own = facing_colors[n, k]
                    shone[n, k] += strength * colors[s, k] * slope * (own + (grazing - own) * fresnel)


@kernel
def _mirrored(m, eye, light, length, width):  # type: ignore[no-untyped-def]
    """Density of slopes that mirror light to the eye, with what they hide of each other; Schlick's share of grazing."""
    lx, ly, lz = light[0] / length, light[1] / length, light[2] / length
    hx, hy, hz = lx + eye[0], ly + eye[1], lz + eye[2]
    norm = math.sqrt(hx * hx + hy * hy + hz * hz) + 1e-9
    half = (m[0] * hx + m[1] * hy + m[2] * hz) / norm
    faced = max((eye[0] * hx + eye[1] * hy + eye[2] * hz) / norm, 0.0)
    seen = min(max(m[0] * eye[0] + m[1] * eye[1] + m[2] * eye[2], 0.05), 1.0)
    lit = min(max(m[0] * lx + m[1] * ly + m[2] * lz, 1e-4), 1.0)
    square = min(width * width, 1.0)
    dense = half * half * (square - 1.0) + 1.0
    density = square / (math.pi * dense * dense)
    hidden = seen * math.sqrt(lit * lit * (1.0 - square) + square) + lit * math.sqrt(
        seen * seen * (1.0 - square) + square
    )
    return density * 0.5 / hidden, (1.0 - faced) ** 5


@parallel_kernel
def draw_layers(vertices, faces, cutouts, views, depths, hits, counts):  # type: ignore[no-untyped-def]
    """Fill maps of all surfaces behind each other, in no order, as seen from afar through `views` (S,3,4).

    Args:
        vertices, faces, cutouts: (V,3) and (F,3) of the mesh, and where it is clear.
        views: as in `draw_depths`.
        depths: (S,R,R,K) filled with depths, metres.
        hits: (S,R,R,K) filled with twice the number of the face there, and 1 more where the view sees its back.
        counts: (S,R,R) filled with how many of them there are; more than K are forgotten.
    """
    size, most = depths.shape[1], depths.shape[3]
    for s in numba.prange(depths.shape[0]):
        counts[s] = 0
        flat = np.empty((vertices.shape[0], 3), np.float32)
        for v in range(vertices.shape[0]):
            x, y, near = _seen(views[s], True, vertices[v])
            flat[v, 0], flat[v, 1], flat[v, 2] = x, y, -near
        for f in range(faces.shape[0]):
            a, b, c = flat[faces[f, 0]], flat[faces[f, 1]], flat[faces[f, 2]]
            area = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
            if abs(area) < 1e-9:
                continue
            x0 = max(0, math.ceil(min(a[0], b[0], c[0]) - 0.5))
            x1 = min(size - 1, math.floor(max(a[0], b[0], c[0]) - 0.5))
            y0 = max(0, math.ceil(min(a[1], b[1], c[1]) - 0.5))
            y1 = min(size - 1, math.floor(max(a[1], b[1], c[1]) - 0.5))
            holed = len(cutouts.texture_of) > 0 and cutouts.texture_of[f] >= 0
            back = 1 if area > 0.0 else 0  # the rows of a view are right-handed, and the third leads away
            for y in range(y0, y1 + 1):
                for x in range(x0, x1 + 1):
                    px, py = x + 0.5, y + 0.5
                    wb = ((px - a[0]) * (c[1] - a[1]) - (py - a[1]) * (c[0] - a[0])) / area
                    wc = ((b[0] - a[0]) * (py - a[1]) - (b[1] - a[1]) * (px - a[0])) / area
                    wa = 1.0 - wb - wc
                    k = counts[s, y, x]
                    if wa >= 0.0 and wb >= 0.0 and wc >= 0.0 and k < most:
                        if holed and is_clear(cutouts, f, wa, wb, wc, y, x):
                            continue
                        depths[s, y, x, k] = wa * a[2] + wb * b[2] + wc * c[2]
                        hits[s, y, x, k] = 2 * f + back
                        counts[s, y, x] = k + 1


@parallel_kernel
def gather_around(lit, mirrors, sharpness, ways, weights, layers, sent, matte, glossy):  # type: ignore[no-untyped-def]
    """What comes to points from all around: of the sky, and of the mesh where that hides it.

    Args:
        lit: as of `gather`.
        mirrors: (G,3) the middle of what each of the first G points mirrors, unit vectors; all of them or none.
        sharpness: (G,) exponents of the cosine to it.
        ways: (S,3) unit vectors, against which the views look; each stands for its opposite too.
        weights: (S,2) how bright the sky is there.
        layers: views, depths, hits and counts as of `draw_layers`, and (S,) metres of a cell.
        sent: (2F,3) light that each side of each face sends on.
        matte: filled with the share of the sky's light that is not hidden (N,), and what a white surface sends on of
            the light of the mesh (N,3).
        glossy: filled with the same of what is mirrored: (G,) and (G,3), of a mirror that takes nothing away.
    """
    points, normals, tones = lit
    views, depths, hits, counts, cells = layers
    open_, result = matte
    mirror_open, mirrored = glossy
    size = depths.shape[1]
    for n in numba.prange(points.shape[0]):
        p, m = points[n], normals[n]
        # two unit vectors in the surface: lookups are scattered over it, since few ways would make hard edges
        if abs(m[2]) < 0.9:
            length = math.sqrt(m[0] * m[0] + m[1] * m[1]) + 1e-12
            tx, ty, tz = -m[1] / length, m[0] / length, 0.0
        else:
            length = math.sqrt(m[1] * m[1] + m[2] * m[2]) + 1e-12
            tx, ty, tz = 0.0, -m[2] / length, m[1] / length
        bx, by, bz = m[1] * tz - m[2] * ty, m[2] * tx - m[0] * tz, m[0] * ty - m[1] * tx
        seed = np.uint32(n) * np.uint32(2654435761)
        whole, light, cosines, red, green, blue = 1e-12, 0.0, 1e-12, 0.0, 0.0, 0.0
        mirrors_too = n < mirrors.shape[0]
        lobe, lobe_light, lobe_red, lobe_green, lobe_blue, share = 1e-12, 0.0, 0.0, 0.0, 0.0, 0.0
        for s in range(ways.shape[0]):
            facing = m[0] * ways[s, 0] + m[1] * ways[s, 1] + m[2] * ways[s, 2]
            end, sign = (0, -1.0) if facing > 0.0 else (1, 1.0)
            facing = abs(facing)
            seed = (seed * np.uint32(1664525) + np.uint32(1013904223)) & np.uint32(0xFFFFFFFF)
            chance = (seed >> np.uint32(24)) & np.uint32(255)
            u, v = cells[s] * _SCATTERED[chance, 0], cells[s] * _SCATTERED[chance, 1]
            look = views[s]
            x0, y0, near = _seen(look, True, p)
            q = (p[0] + u * tx + v * bx, p[1] + u * ty + v * by, p[2] + u * tz + v * bz)
            x, y, _ = _seen(look, True, q)
            i, j = math.floor(x), math.floor(y)
            # how far over the plane of the surface the middle of that cell is, at the depth of the point, and how much
            # more of it a metre of depth brings
            square = cells[s] * cells[s]
            over = square * (i + 0.5 - x0) * (m[0] * look[0, 0] + m[1] * look[0, 1] + m[2] * look[0, 2])
            over += square * (j + 0.5 - y0) * (m[0] * look[1, 0] + m[1] * look[1, 1] + m[2] * look[1, 2])
            least = cells[s] * _CLEARANCE - over
            if mirrors_too:
                r = mirrors[n]
                near_lobe = -sign * (r[0] * ways[s, 0] + r[1] * ways[s, 1] + r[2] * ways[s, 2])
                share = facing * max(near_lobe, 0.0) ** sharpness[n]
                lobe += share
            scattered = facing
            if n < tones.shape[0]:
                scattered = _scattered(facing, tones[n])
            cosines += scattered
            whole += scattered * weights[s, end]
            face, nearest = -1, np.float32(1e30)
            if i >= 0 and j >= 0 and i < size and j < size:
                for k in range(counts[s, j, i]):
                    ahead = sign * (depths[s, j, i, k] + near)
                    if ahead > 0.0 and ahead * facing > least and ahead < nearest:
                        nearest, face = ahead, hits[s, j, i, k]
            if face < 0:
                light += scattered * weights[s, end]
                lobe_light += share
            else:
                face ^= 1 - end  # from a point that looks towards `ways` one sees the other side than the view does
                red += scattered * sent[face, 0]
                green += scattered * sent[face, 1]
                blue += scattered * sent[face, 2]
                lobe_red += share * sent[face, 0]
                lobe_green += share * sent[face, 1]
                lobe_blue += share * sent[face, 2]
        if mirrors_too:
            mirror_open[n] = lobe_light / lobe
            mirrored[n, 0], mirrored[n, 1], mirrored[n, 2] = lobe_red / lobe, lobe_green / lobe, lobe_blue / lobe
        open_[n] = light / whole
        result[n, 0], result[n, 1], result[n, 2] = red / cosines, green / cosines, blue / cosines
