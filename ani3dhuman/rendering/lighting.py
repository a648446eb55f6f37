"""How light falls on a surface: simple lights of the scene, so that moving folds read as folds.

Suns with a soft terminator, and a sky that is brighter above than below.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ani3d_formats.shot import Shot

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
