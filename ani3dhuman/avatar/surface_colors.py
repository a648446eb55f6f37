"""Colour and opacity of points on a shot's surfaces, from flat colours, textures and tints."""

from __future__ import annotations

import numpy as np

from ani3d_formats.color import srgb_to_linear
from ani3d_formats.shot import Shot

CLEAR = 0.05  # opacities below leave a hole


def has_holes(shot: Shot) -> bool:
    """Whether any texture that is worn is clear somewhere."""
    worn = {
        m.texture for i, m in enumerate(shot.meta.materials) if m.texture >= 0 and (shot["face_materials"] == i).any()
    }
    return any(shot.textures[texture][..., 3].min() < 255 * CLEAR for texture in worn)


def surface_colors(shot: Shot, triangle_ids: np.ndarray, barycentrics: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Linear base colour (N,3), texture or flat colour times the vertex tint, and opacity (N,) at surface points."""
    uvs = np.einsum("nc,nck->nk", barycentrics, shot["face_uvs"][triangle_ids])
    materials = shot["face_materials"][triangle_ids]
    rgba = np.full((len(triangle_ids), 4), (0.8, 0.8, 0.8, 1.0))
    for index, material in enumerate(shot.meta.materials):
        chosen = np.flatnonzero(materials == index)
        if len(chosen) == 0:
            continue
        textured = material.texture >= 0
        rgba[chosen] = (
            _bilinear(shot.textures[material.texture], uvs[chosen]) if textured else (*material.base_color, 1.0)
        )
    tints = np.einsum("nc,nck->nk", barycentrics, shot["vertex_tints"][shot["faces"][triangle_ids]])
    return np.clip(rgba[:, :3] * tints, 0, 1).astype(np.float32), rgba[:, 3].astype(np.float32)


def _bilinear(texture: np.ndarray, uvs: np.ndarray) -> np.ndarray:
    """Linear colours and opacity (N,4), straight, of an sRGB picture at Blender UVs (v up), repeating outside 0..1.

    What is clear has no part in the colour.
    """
    height, width = texture.shape[:2]
    x, y = uvs[:, 0] * width - 0.5, (1 - uvs[:, 1]) * height - 0.5
    x0, y0 = np.floor(x).astype(int), np.floor(y).astype(int)
    fx, fy = (x - x0)[:, None], (y - y0)[:, None]
    linear = srgb_to_linear(np.arange(256) / 255.0)

    def pick(dy: int, dx: int) -> np.ndarray:
        texel = texture[(y0 + dy) % height, (x0 + dx) % width]
        alpha = texel[:, 3:] / 255.0
        return np.concatenate([linear[texel[:, :3]] * alpha, alpha], axis=1)

    top = pick(0, 0) * (1 - fx) + pick(0, 1) * fx
    mixed = top * (1 - fy) + (pick(1, 0) * (1 - fx) + pick(1, 1) * fx) * fy
    mixed[:, :3] /= np.maximum(mixed[:, 3:], 1e-9)
    return mixed
