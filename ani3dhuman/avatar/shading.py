"""Colours of the avatar: albedo times the scene's light.

A mesh gives no view-dependent radiance, so colours are recomputed per frame from smooth normals.
"""

from __future__ import annotations

import numpy as np

from ani3d_formats.color import linear_to_srgb
from ani3d_formats.regions import is_loose

from ..mesh.kernels import point_normals
from ..rendering.illumination import Surface, illuminate
from ..rendering.lighting import Lighting
from .avatar import Avatar


def shade(avatar: Avatar, vertices: np.ndarray, lighting: Lighting, eyes: np.ndarray) -> np.ndarray:
    """Display colours (T,N,3), sRGB 0..1, of an avatar on mesh vertices (T,V,3), which casts shadows on itself.

    `eyes` (T,3) are the camera centres: thin sheets (garment, hair) are lit on the side that is seen.
    """
    colors = np.empty((len(vertices), avatar.count, 3), np.float32)
    faces, own = avatar.binding.faces.numpy(), vertex_albedo(avatar, vertices.shape[1])
    thin = is_loose(avatar.region_ids)
    for t, frame in enumerate(np.ascontiguousarray(vertices, np.float32)):
        normals = avatar.per_vertex(point_normals(frame, faces))
        normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
        points = avatar.per_vertex(frame)
        behind = thin & ((normals * (eyes[t] - points)).sum(1) < 0)
        normals = np.where(behind[:, None], -normals, normals)
        light = illuminate(lighting.at(t), Surface(frame, faces, own), points, normals)
        colors[t] = linear_to_srgb(avatar.albedo * light.total)
    return colors


def vertex_albedo(avatar: Avatar, count: int) -> np.ndarray:
    """(V,3) albedo of the `count` vertices of an avatar's mesh: that of the Gaussians around, or of all of them."""
    corners = avatar.binding.faces.numpy()[avatar.binding.triangle_ids.numpy()].ravel()
    weights = avatar.binding.barycentrics.numpy().astype(np.float64)
    colors = (weights[..., None] * avatar.albedo[:, None]).reshape(-1, 3)
    sums = np.stack([np.bincount(corners, colors[:, k], minlength=count) for k in range(3)], axis=1)
    shares = np.bincount(corners, weights.ravel(), minlength=count)[:, None]
    mean = avatar.albedo.mean(0)
    return np.where(shares > 1e-3, sums / np.maximum(shares, 1e-3), mean).astype(np.float32)
