"""Colour and opacity of points on a shot's surfaces, from flat colours, textures and tints."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ani3d_formats.color import srgb_to_linear
from ani3d_formats.shot import Shot

from ..jit import inlined_kernel, kernel
from ..mesh.raster import OPAQUE, Cutouts

CLEAR = 0.05  # opacities below leave a hole


def has_holes(shot: Shot) -> bool:
    """Whether any texture that is worn is clear somewhere."""
    worn = {
        m.texture for i, m in enumerate(shot.meta.materials) if m.texture >= 0 and (shot["face_materials"] == i).any()
    }
    return any(shot.textures[texture][..., 3].min() < 255 * CLEAR for texture in worn)


def cutouts_of(shot: Shot) -> Cutouts:
    """The opacities of the shot's faces."""
    clear = [texture[..., 3].min() < 255 for texture in shot.textures]
    texture_of = np.array([m.texture if m.texture >= 0 and clear[m.texture] else -1 for m in shot.meta.materials])
    if not len(texture_of) or texture_of.max() < 0:
        return OPAQUE
    flat = [texture[..., 3].ravel() for texture in shot.textures]
    starts = np.cumsum([0, *map(len, flat)])[:-1]
    places = np.array([(start, *t.shape[:2]) for start, t in zip(starts, shot.textures, strict=True)], np.int64)
    return Cutouts(texture_of[shot["face_materials"]].astype(np.int32), shot["face_uvs"], np.concatenate(flat), places)


class Surface(NamedTuple):
    """What the colour of each point of a mesh is read from; all arrays, so that kernels can read them.

    Attributes:
        materials: (F,) number of each face's material.
        faces: (F,3); uvs: (F,3,2) float32, v upwards; tints: (V,3) linear factors.
        flat: (M,4) values and opacity of each material without a texture.
        places: (M,3) int64 first texel, height and width of each material's texture, zeros without one.
        texels: (N,4) uint8, all textures one after the other, row 0 at the top.
        decoded: (256,) values of a texel's first three channels.
    """

    materials: np.ndarray
    faces: np.ndarray
    uvs: np.ndarray
    tints: np.ndarray
    flat: np.ndarray
    places: np.ndarray
    texels: np.ndarray
    decoded: np.ndarray


def surface_of(shot: Shot) -> Surface:
    """The linear base colours of a shot's mesh."""
    flat = [(*m.base_color, 1.0) for m in shot.meta.materials]
    return _surface(shot, flat, [m.texture for m in shot.meta.materials], srgb_to_linear(np.arange(256) / 255.0))


def _surface(shot: Shot, flat: Sequence[tuple[float, ...]], textures: Sequence[int], decoded: np.ndarray) -> Surface:
    places, starts, used, count = np.zeros((len(flat), 3), np.int64), dict[int, int](), [_NO_TEXELS], 0
    for material, number in enumerate(textures):
        if number < 0:
            continue
        texture = shot.textures[number]
        if number not in starts:
            starts[number], count = count, count + texture.shape[0] * texture.shape[1]
            used.append(texture.reshape(-1, 4))
        places[material] = starts[number], *texture.shape[:2]
    own = shot["face_materials"], shot["faces"], shot["face_uvs"], shot["vertex_tints"]
    return Surface(*own, np.array(flat, np.float64).reshape(-1, 4), places, np.concatenate(used), decoded)


def surface_colors(
    surface: Surface, triangle_ids: np.ndarray, barycentrics: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Linear base colour (N,3), texture or flat colour times the vertex tint, and opacity (N,) at surface points.

    Textures are sRGB pictures that repeat outside 0..1, read bilinearly; what is clear has no part in the colour.
    """
    rgba = np.empty((len(triangle_ids), 4), np.float32)
    _paint(*_points(triangle_ids, barycentrics), surface, True, rgba)
    return rgba[:, :3].copy(), rgba[:, 3].copy()


def surface_gloss(shot: Shot, triangle_ids: np.ndarray, barycentrics: np.ndarray) -> np.ndarray | None:
    """Roughness, metallic and specular level (N,3) at surface points; None where the whole character is matte."""
    materials = shot.meta.materials
    if not any(m.specular or m.metallic or m.gloss >= 0 for m in materials):
        return None
    flat = [(m.roughness, m.metallic, m.specular, 1.0) for m in materials]
    surface = _surface(shot, flat, [m.gloss for m in materials], np.arange(256) / 255.0)
    found = np.empty((len(triangle_ids), 4), np.float32)
    _paint(*_points(triangle_ids, barycentrics), surface, False, found)
    return found[:, :3].copy()


def _points(triangle_ids: np.ndarray, barycentrics: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.ascontiguousarray(triangle_ids, np.int64), np.ascontiguousarray(barycentrics, np.float64)


def surface_tones(shot: Shot, triangle_ids: np.ndarray) -> np.ndarray | None:
    """Angle and soft edge (N,2), radians, of toon shaders on triangles, zeros of others; None where there is none."""
    tones = np.array([(m.toon_size, m.toon_smooth if m.toon_size else 0) for m in shot.meta.materials], np.float32)
    return (tones * np.float32(math.pi / 2))[shot["face_materials"][triangle_ids]] if tones.any() else None


_NO_TEXELS = np.zeros((0, 4), np.uint8)


@inlined_kernel
def read_surface(face, a, b, c, materials, uvs, flat, places, texels, decoded):  # type: ignore[no-untyped-def]
    """Three straight values and the opacity, float32, of the point with barycentrics a, b, c on a face."""
    material = materials[face]
    start, height, width = places[material, 0], places[material, 1], places[material, 2]
    if height * width == 0:
        red, green, blue, opacity = flat[material, 0], flat[material, 1], flat[material, 2], flat[material, 3]
        return np.float32(red), np.float32(green), np.float32(blue), np.float32(opacity)
    u = a * uvs[face, 0, 0] + b * uvs[face, 1, 0] + c * uvs[face, 2, 0]
    v = a * uvs[face, 0, 1] + b * uvs[face, 1, 1] + c * uvs[face, 2, 1]
    x, y = u * width - 0.5, (1.0 - v) * height - 0.5
    x0, y0 = math.floor(x), math.floor(y)
    right, below = x - x0, y - y0
    column, row = int(x0) % width, int(y0) % height
    red = green = blue = opacity = 0.0
    for dy in range(2):
        line = start + (row + dy if row + dy < height else 0) * width
        for dx in range(2):
            texel = line + (column + dx if column + dx < width else 0)
            share = (right if dx else 1.0 - right) * (below if dy else 1.0 - below) * texels[texel, 3] / 255.0
            red += share * decoded[texels[texel, 0]]
            green += share * decoded[texels[texel, 1]]
            blue += share * decoded[texels[texel, 2]]
            opacity += share
    whole = max(opacity, 1e-9)
    return np.float32(red / whole), np.float32(green / whole), np.float32(blue / whole), np.float32(opacity)


@inlined_kernel
def tinted(value, channel, face, a, b, c, faces, tints):  # type: ignore[no-untyped-def]
    """A value times the tints at the corners, 0..1."""
    i, j, k = faces[face, 0], faces[face, 1], faces[face, 2]
    tint = a * tints[i, channel] + b * tints[j, channel] + c * tints[k, channel]
    return np.float32(min(max(value * tint, 0.0), 1.0))


@kernel
def _paint(triangles, barycentrics, surface, tint, rgba):  # type: ignore[no-untyped-def]
    """Fill straight values and opacity (N,4) of points; with `tint` colours times the mesh's own."""
    materials, faces, uvs, tints, flat, places, texels, decoded = surface
    for n in range(len(triangles)):
        face, a, b, c = triangles[n], barycentrics[n, 0], barycentrics[n, 1], barycentrics[n, 2]
        values = read_surface(face, a, b, c, materials, uvs, flat, places, texels, decoded)
        for channel in range(3):
            rgba[n, channel] = values[channel]
            if tint:
                rgba[n, channel] = tinted(values[channel], channel, face, a, b, c, faces, tints)
        rgba[n, 3] = values[3]
