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
CLEARANCE = 0.3  # cells over the plane of a surface from which on a mesh shades it
_STEEP = 0.1  # the same, more of it where light grazes the surface
_NEAR = 1e-3  # as a share of a map's depth unit: what is nearer to a lamp is not in its map


@parallel_kernel
def draw_depths(vertices, faces, cutouts, views, distant, maps, strands, bare):  # type: ignore[no-untyped-def]
    """Fill `maps` (S,R,R) with the mesh as seen through `views` (S,3,4), rows right, up and along, in cells.

    What is clear by `cutouts` is not there. Where `strands` (F,) says which faces are those of hair, `bare` (S,R,R) is
    filled with all others; else it is (0,).
    """
    size = maps.shape[1]
    for s in numba.prange(maps.shape[0]):
        maps[s] = NOTHING
        flat = np.empty((vertices.shape[0], 3), np.float32)
        for v in range(vertices.shape[0]):
            flat[v, 0], flat[v, 1], flat[v, 2] = seen_at(views[s], distant[s], vertices[v])
        for f in range(faces.shape[0] * (2 if len(strands) else 1)):
            if len(strands):
                if f == faces.shape[0]:
                    bare[s] = maps[s]
                last, f = f >= faces.shape[0], f % faces.shape[0]
                if strands[f] != last:
                    continue
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
            if not holed:
                _draw_face(maps[s], a, b, c, area, x0, x1, y0, y1)
                continue
            for y in range(y0, y1 + 1):
                for x in range(x0, x1 + 1):
                    px, py = x + 0.5, y + 0.5
                    wb = ((px - a[0]) * (c[1] - a[1]) - (py - a[1]) * (c[0] - a[0])) / area
                    wc = ((b[0] - a[0]) * (py - a[1]) - (b[1] - a[1]) * (px - a[0])) / area
                    wa = 1.0 - wb - wc
                    if wa >= 0.0 and wb >= 0.0 and wc >= 0.0:
                        near = wa * a[2] + wb * b[2] + wc * c[2]
                        if not distant[s]:
                            wa, wb, wc = wa * a[2] / near, wb * b[2] / near, wc * c[2] / near
                        if is_clear(cutouts, f, wa, wb, wc, y, x):
                            continue
                        maps[s, y, x] = max(maps[s, y, x], near)


@kernel
def _draw_face(depths, a, b, c, area, x0, x1, y0, y1):  # type: ignore[no-untyped-def]
    """Draw a face without holes into the cells x0..x1, y0..y1 of a map (R,R); without branches, which compilers turn
    into vectors of the processor."""
    bx, by = np.float32((c[1] - a[1]) / area), np.float32((c[0] - a[0]) / area)
    cx, cy = np.float32((b[1] - a[1]) / area), np.float32((b[0] - a[0]) / area)
    first, second, third = a[2], b[2] - a[2], c[2] - a[2]
    # from the middle of the first cell on, where single precision is enough
    left, top = np.float32(x0 + 0.5 - a[0]), np.float32(y0 + 0.5 - a[1])
    for j in range(y1 + 1 - y0):
        down = top + np.float32(j)
        row = depths[y0 + j, x0 : x1 + 1]
        for i in range(row.shape[0]):
            right = left + np.float32(i)
            wb, wc = right * bx - down * by, down * cy - right * cx
            near = first + wb * second + wc * third
            inside = (wb >= np.float32(0.0)) & (wc >= np.float32(0.0)) & (wb + wc <= np.float32(1.0))
            row[i] = max(row[i], near if inside else NOTHING)


@kernel
def seen_at(view, distant, p):  # type: ignore[no-untyped-def]
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
def _unshadowed(view, distant, depths, p, plane, steep, cell):  # type: ignore[no-untyped-def]
    """Share of light 0..1 that reaches a point of a surface: bilinear over cells whose mesh is not in the light's way.

    It is where it lies nearer to the light and over the surface's own `plane`, a unit normal, so that it does not
    shade itself, however small the cosine `steep` of the light to it and however large the `cell` (metres, at a metre
    from a lamp).
    """
    x, y, near = seen_at(view, distant, p)
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
    nz = plane[0] * view[2, 0] + plane[1] * view[2, 1] + plane[2] * view[2, 2]
    nx = plane[0] * view[0, 0] + plane[1] * view[0, 1] + plane[2] * view[0, 2]
    ny = plane[0] * view[1, 0] + plane[1] * view[1, 1] + plane[2] * view[1, 2]
    if not distant:
        nx, ny = nx - middle_x * nz, ny - middle_y * nz
    nx, ny = nx * cell, ny * cell
    scale = 1.0 if distant else depth
    least = scale * cell * (CLEARANCE + _STEEP / max(steep, 0.05))
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
def scattered_by(facing, tone):  # type: ignore[no-untyped-def]
    """What a surface scatters of light of cosine `facing` to it; a toon one has an angle and a soft edge, radians."""
    if tone[0] <= 0.0:
        return facing
    angle = math.acos(min(facing, 1.0))
    if angle >= tone[0] + tone[1]:
        return 0.0
    share = 1.0 if angle < tone[0] else 1.0 - (angle - tone[0]) / max(tone[1], 1e-6)
    return 0.5 * share / (1.0 - math.cos(min(tone[0] + tone[1], math.pi / 2)))


@parallel_kernel
def gather(lit, shine, kinds, emitters, slots, views, maps, cells, hair, result, shone):  # type: ignore[no-untyped-def]
    """Add the light that surfaces send on: of emitters, through the maps of their `slots`.

    Args:
        lit: points (N,3), normals (N,3), those of the planes of their faces (N,3), and of the first ones, all or none,
            how they scatter, as of `scattered_by`.
        shine: how the first G points mirror, all of them or none: unit vectors to the eye (G,3), how wide the slopes of
            their microfacets are (G,), and what they mirror of what they face (G,3).
        kinds: (S,) of the emitters.
        emitters: their places, colours, frames, cones and spreads.
        slots: (S,) numbers of maps, -1 for light without shadows.
        views, maps: as of `draw_depths`.
        cells: (M,) metres of a cell of each map, a metre from a lamp where the light has a place.
        hair: of all points, or of none, where they lie on strands, rows (N,2) and share (N,) as of `strand_light.Hung`;
            the share of the light that comes through others to the strands' points (Q,S), and maps without strands.
        result: (N,3) gets what white surfaces scatter.
        shone: (G,3) gets what is mirrored to the eye.
    """
    points, normals, planes, tones = lit
    eyes, slopes, facing_colors = shine
    places, colors, frames, cones, spreads = emitters
    rows, parts, through, bare = hair
    for n in numba.prange(points.shape[0]):
        p, normal, plane = points[n], normals[n], planes[n]
        hangs = n < rows.shape[0] and rows[n, 0] >= 0
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
                strength = scattered_by(facing, tones[n])
            if kinds[s] != 0:
                strength *= _strength(kinds[s], frames[s], cones[s], -dx, -dy, -dz, square)
            if strength <= 0.0:
                continue
            slot = slots[s]
            if slot >= 0:
                steep = abs(plane[0] * dx + plane[1] * dy + plane[2] * dz) / length
                seen = bare[slot] if hangs else maps[slot]
                strength *= _unshadowed(views[slot], kinds[s] == 0, seen, p, plane, steep, cells[slot])
                if hangs:
                    first = through[rows[n, 0], s]
                    strength *= first + parts[n] * (through[rows[n, 1], s] - first)
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
def send_on(light, albedo, faces, sent):  # type: ignore[no-untyped-def]
    """Fill `sent` (F,2,3), what each side of each face sends on: of `light` (2,V,3) on both sides of vertices whose
    `albedo` (V,3) is given, the mean of its corners (F,3)."""
    for f in numba.prange(faces.shape[0]):
        for side in range(2):
            for c in range(3):
                total = np.float32(0)
                for corner in range(3):
                    v = faces[f, corner]
                    total += light[side, v, c] * albedo[v, c]
                sent[f, side, c] = total / np.float32(3)
