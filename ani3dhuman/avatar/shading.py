"""Light on the avatar: albedo times simple lights from the scene, so that moving folds read as folds.

A mesh gives no view-dependent radiance, so colours are recomputed per frame from smooth normals:
suns with a soft terminator and a sky that is brighter above than below.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ani3d_formats.color import linear_to_srgb
from ani3d_formats.regions import is_loose
from ani3d_formats.shot import Shot

from ..mesh.kernels import point_normals
from .avatar import Avatar

WRAP = 0.25  # how far light reaches around the terminator, softens what a shadow map would soften
GROUND = 0.55  # light from below, relative to the sky above


@dataclass(frozen=True)
class Lighting:
    """Lights of a scene, world space, linear.

    Attributes:
        sun_directions: (L,3) unit, the way the light travels.
        sun_colors: (L,3) colour times strength, W/m^2.
        ambient: (3,) sky colour.
    """

    sun_directions: np.ndarray
    sun_colors: np.ndarray
    ambient: np.ndarray

    @classmethod
    def of(cls, shot: Shot) -> Lighting:
        return cls(shot["sun_directions"], shot["sun_colors"], shot["ambient"])

    def irradiance(self, normals: np.ndarray) -> np.ndarray:
        """Linear light (N,3) that albedo 1 sends on from surfaces with unit `normals` (N,3).

        As in Blender, a sun's strength is irradiance: pi of it make a white wall that faces it just white.
        """
        sky = 0.5 * (1 + normals[:, 2:3])
        light = self.ambient * (GROUND + (1 - GROUND) * sky)
        for direction, color in zip(self.sun_directions, self.sun_colors, strict=True):
            facing = np.clip((WRAP - normals @ direction) / (1 + WRAP), 0, 1)
            light = light + facing[:, None] * color / np.pi
        return light


def shade(avatar: Avatar, vertices: np.ndarray, lighting: Lighting, eyes: np.ndarray) -> np.ndarray:
    """Display colours (T,N,3), sRGB 0..1, of an avatar on mesh vertices (T,V,3).

    `eyes` (T,3) are the camera centres: thin sheets (garment, hair) are lit on the side that is seen.
    """
    colors = np.empty((len(vertices), avatar.count, 3), np.float32)
    faces = avatar.binding.faces.numpy()
    thin = is_loose(avatar.region_ids)
    for t, frame in enumerate(np.ascontiguousarray(vertices, np.float32)):
        normals = avatar.per_vertex(point_normals(frame, faces))
        normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
        towards = eyes[t] - avatar.per_vertex(frame)
        behind = thin & ((normals * towards).sum(1) < 0)
        normals = np.where(behind[:, None], -normals, normals)
        light = lighting.irradiance(normals)
        light = np.where(behind[:, None], 0.6 * light, light)  # the inside of a skirt lies in its own shade
        colors[t] = linear_to_srgb(avatar.albedo * light)
    return colors
