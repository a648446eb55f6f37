"""Colours of the avatar: albedo times the scene's light.

A mesh gives no view-dependent radiance, so colours are recomputed per frame from smooth normals.
"""

from __future__ import annotations

import numpy as np

from ani3d_formats.color import linear_to_srgb
from ani3d_formats.regions import is_loose

from ..mesh.kernels import point_normals
from ..rendering.illumination import illuminate
from ..rendering.lighting import Lighting
from .avatar import Avatar


def shade(avatar: Avatar, vertices: np.ndarray, lighting: Lighting, eyes: np.ndarray) -> np.ndarray:
    """Display colours (T,N,3), sRGB 0..1, of an avatar on mesh vertices (T,V,3), which casts shadows on itself.

    `eyes` (T,3) are the camera centres: thin sheets (garment, hair) are lit on the side that is seen.
    """
    colors = np.empty((len(vertices), avatar.count, 3), np.float32)
    faces = avatar.binding.faces.numpy()
    thin = is_loose(avatar.region_ids)
    for t, frame in enumerate(np.ascontiguousarray(vertices, np.float32)):
        normals = avatar.per_vertex(point_normals(frame, faces))
        normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
        points = avatar.per_vertex(frame)
        behind = thin & ((normals * (eyes[t] - points)).sum(1) < 0)
        normals = np.where(behind[:, None], -normals, normals)
        light = illuminate(lighting.at(t), frame, faces, points, normals)
        colors[t] = linear_to_srgb(light.on(avatar.albedo))
    return colors
