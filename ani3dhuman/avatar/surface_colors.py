"""Colour and opacity of points on a shot's surfaces, from flat colours, textures and tints."""

from __future__ import annotations

import math

import numpy as np

from ani3d_formats.color import srgb_to_linear
from ani3d_formats.shot import Shot

from ..jit import kernel
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


def surface_colors(shot: Shot, triangle_ids: np.ndarray, barycentrics: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Linear base colour (N,3), texture or flat colour times the vertex tint, and opacity (N,) at surface points.

    Textures are sRGB pictures that repeat outside 0..1, read bilinearly; what is clear has no part in the colour.
    """
    points = (np.ascontiguousarray(triangle_ids, np.int64), np.ascontiguousarray(barycentrics, np.float64))
    rgba = np.full((len(triangle_ids), 4), (0.8, 0.8, 0.8, 1.0), np.float32)
    linear = srgb_to_linear(np.arange(256) / 255.0)
    for index, material in enumerate(shot.meta.materials):
        flat = np.array([*material.base_color, 1.0])
        texture = shot.textures[material.texture] if material.texture >= 0 else _NO_TEXTURE
        _paint(index, texture, flat, linear, *points, shot["face_materials"], shot["face_uvs"], rgba)
    _tint(*points, shot["faces"], shot["vertex_tints"], rgba)
    return rgba[:, :3].copy(), rgba[:, 3].copy()


def surface_gloss(shot: Shot, triangle_ids: np.ndarray, barycentrics: np.ndarray) -> np.ndarray | None:
    """Roughness, metallic and specular level (N,3) at surface points; None where the whole character is matte."""
    if not any(m.specular or m.metallic or m.gloss >= 0 for m in shot.meta.materials):
        return None
    points = (np.ascontiguousarray(triangle_ids, np.int64), np.ascontiguousarray(barycentrics, np.float64))
    found = np.zeros((len(triangle_ids), 4), np.float32)
    for index, material in enumerate(shot.meta.materials):
        flat = np.array([material.roughness, material.metallic, material.specular, 1.0])
        texture = shot.textures[material.gloss] if material.gloss >= 0 else _NO_TEXTURE
        _paint(index, texture, flat, np.arange(256) / 255.0, *points, shot["face_materials"], shot["face_uvs"], found)
    return found[:, :3].copy()


def surface_tones(shot: Shot, triangle_ids: np.ndarray) -> np.ndarray | None:
    """Angle and soft edge (N,2), radians, of toon shaders on triangles, zeros of others; None where there is none."""
    tones = np.array([(m.toon_size, m.toon_smooth if m.toon_size else 0) for m in shot.meta.materials], np.float32)
    return (tones * np.float32(math.pi / 2))[shot["face_materials"][triangle_ids]] if tones.any() else None


_NO_TEXTURE = np.zeros((0, 0, 4), np.uint8)


@kernel
def _paint(index, texture, flat, linear, triangles, barycentrics, materials, uvs, rgba):  # type: ignore[no-untyped-def]
    """Straight linear colour and opacity (N,4) of the points on faces of material `index`."""
    height, width = texture.shape[:2]
    for n in range(len(triangles)):
        face = triangles[n]
        if materials[face] != index:
            continue
        if height * width == 0:
            for k in range(4):
                rgba[n, k] = flat[k]
            continue
        u = v = 0.0
        for k in range(3):
            u += barycentrics[n, k] * uvs[face, k, 0]
            v += barycentrics[n, k] * uvs[face, k, 1]
        x, y = u * width - 0.5, (1.0 - v) * height - 0.5
        x0, y0 = math.floor(x), math.floor(y)
        red = green = blue = opacity = 0.0
        for dy in range(2):
            for dx in range(2):
                texel = texture[int(y0 + dy) % height, int(x0 + dx) % width]
                share = (x - x0 if dx else 1.0 - x + x0) * (y - y0 if dy else 1.0 - y + y0) * texel[3] / 255.0
                red += share * linear[texel[0]]
                green += share * linear[texel[1]]
                blue += share * linear[texel[2]]
                opacity += share
        rgba[n, 0], rgba[n, 1] = red / max(opacity, 1e-9), green / max(opacity, 1e-9)
        rgba[n, 2], rgba[n, 3] = blue / max(opacity, 1e-9), opacity


@kernel
def _tint(triangles, barycentrics, faces, tints, rgba):  # type: ignore[no-untyped-def]
    """Multiply colours by the tints at the corners, in place; they end in 0..1."""
    for n in range(len(triangles)):
        for channel in range(3):
            tint = 0.0
            for k in range(3):
                tint += barycentrics[n, k] * tints[faces[triangles[n], k], channel]
            rgba[n, channel] = min(max(rgba[n, channel] * tint, 0.0), 1.0)
