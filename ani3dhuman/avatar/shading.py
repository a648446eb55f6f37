"""Light on the avatar: albedo times simple lights from the scene, so that moving folds read as folds.

A mesh gives no view-dependent radiance, so colours are recomputed per frame from smooth normals:
suns with a soft terminator and a sky that is brighter above than below.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ..shot import Shot
from .avatar import Avatar
from .from_mesh import linear_to_srgb

WRAP = 0.25  # how far light reaches around the terminator, softens what a shadow map would soften
GROUND = 0.55  # light from below, relative to the sky above


@dataclass(frozen=True)
class Lighting:
    """Lights of a scene, world space, linear.

    Attributes:
        sun_directions: (L,3) unit, the way the light travels.
        sun_colors: (L,3) colour times strength.
        ambient: (3,) sky colour.
    """

    sun_directions: np.ndarray
    sun_colors: np.ndarray
    ambient: np.ndarray

    @classmethod
    def of(cls, shot: Shot) -> Lighting:
        return cls(shot["sun_directions"], shot["sun_colors"], shot["ambient"])

    def irradiance(self, normals: np.ndarray) -> np.ndarray:
        """Linear light (N,3) on surfaces with unit `normals` (N,3), so that albedo 1 facing a unit sun gives 1."""
        sky = 0.5 * (1 + normals[:, 2:3])
        light = self.ambient * (GROUND + (1 - GROUND) * sky)
        for direction, color in zip(self.sun_directions, self.sun_colors, strict=True):
            facing = np.clip((WRAP - normals @ direction) / (1 + WRAP), 0, 1)
            light = light + facing[:, None] * color
        return light


def shade(avatar: Avatar, vertices: np.ndarray, lighting: Lighting, eyes: np.ndarray) -> np.ndarray:
    """Display colours (T,N,3), sRGB 0..1, of an avatar on mesh vertices (T,V,3).

    `eyes` (T,3) are the camera centres: thin sheets (garment, hair) are lit on the side that is seen.
    """
    colors = np.empty((len(vertices), avatar.count, 3), np.float32)
    thin = avatar.region_ids >= 2
    for t, frame in enumerate(vertices):
        points = torch.from_numpy(np.ascontiguousarray(frame))
        normals = avatar.binding.normals(points).numpy()
        towards = eyes[t] - avatar.binding.means(points).numpy()
        behind = thin & ((normals * towards).sum(1) < 0)
        normals = np.where(behind[:, None], -normals, normals)
        light = lighting.irradiance(normals)
        light = np.where(behind[:, None], 0.6 * light, light)  # the inside of a skirt lies in its own shade
        colors[t] = linear_to_srgb(avatar.albedo * light)
    return colors
