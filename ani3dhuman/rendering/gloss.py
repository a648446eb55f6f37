"""What glossy surfaces mirror: microfacets of Trowbridge and Reitz (GGX) as in Blender's Principled shader.

A surface of roughness r has slopes of width r². Of light that it faces it mirrors `facing`, more at grazing angles
(Schlick). What is mirrored more than once is added.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.ndimage import map_coordinates

from ..mesh.vectors import dots, largest, unit

FACING_OF_LEVEL = 0.08  # what a surface of specular level 1 mirrors when it is faced
SMOOTHEST = 0.18  # roughness; below, highlights are smaller than Gaussians
_LEVELS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)  # roughnesses for which a sky is blurred; between them it is mixed
_CELLS, _SAMPLES = 32, 512  # of the table of what is mirrored of even light
_BANDS = np.repeat([1.0, 2 / 3, 1 / 4], [1, 3, 5])  # of harmonics, what the roughest surface leaves of them


@dataclass(frozen=True)
class Shine:
    """How N points of a surface mirror, and who looks.

    Attributes:
        towards: (N,3) unit vectors to the eye.
        roughness: (N,) 0..1.
        facing: (N,3) share of light that is mirrored where it is faced; of metals their colour.
    """

    towards: np.ndarray
    roughness: np.ndarray
    facing: np.ndarray

    @classmethod
    def of(cls, gloss: np.ndarray, base: np.ndarray, towards: np.ndarray) -> Shine:
        """Of roughness, metallic and specular level (N,3), base colours (N,3) and unit vectors to the eye (N,3)."""
        rough, metal, level = np.asarray(gloss, np.float32).T
        facing = (FACING_OF_LEVEL * level * (1 - metal))[:, None] + metal[:, None] * base
        return cls(
            np.ascontiguousarray(towards, np.float32),
            np.maximum(rough, np.float32(SMOOTHEST)),
            np.clip(facing, 0, 1).astype(np.float32),
        )

    def cosines(self, normals: np.ndarray) -> np.ndarray:
        """(N,) between the eye and unit `normals` (N,3); no surface that is seen is quite edge-on."""
        return np.clip(dots(self.towards, normals), 0.05, 1).astype(np.float32)

    def mirrored(self, normals: np.ndarray) -> np.ndarray:
        """(N,3) share of even light from all around that goes to the eye."""
        place = self.cosines(normals) * _CELLS - 0.5, np.clip(self.roughness, 0, 1) * _CELLS - 0.5
        a, b = (map_coordinates(table, place, order=1, mode="nearest") for table in _shares())
        grazing = np.clip(50 * largest(self.facing), 0, 1)  # what mirrors nothing does not at grazing angles either
        once = self.facing * a[:, None] + (b * grazing)[:, None]
        return np.clip(once * (1 + self.facing * (1 / (a + b) - 1)[:, None]), 0, 1).astype(np.float32)

    def ways(self, normals: np.ndarray) -> np.ndarray:
        """(N,3) where the middle of what is mirrored comes from: bent to the normal where the surface is rough."""
        straight = 2 * dots(self.towards, normals)[:, None] * normals - self.towards
        rough = (self.roughness**2)[:, None]
        mixed = straight + (normals - straight) * rough * (rough + np.sqrt(1 - rough)) * 0.5
        return unit(mixed, 1e-6)


def matte_share(gloss: np.ndarray, mirrored: np.ndarray) -> np.ndarray:
    """(N,1) factor on the light that points scatter under their gloss (N,3), as of `Shine.of`, which have mirrored a
    share (N,3) of it, as of `Shine.mirrored`: metals scatter none."""
    under = 1 - largest(mirrored)[:, None]
    return under * (1 - gloss[:, 1:2])


def harmonics_spread(roughness: np.ndarray) -> np.ndarray:
    """(N,9) factors on a sky's harmonics as surfaces of `roughness` (N,) mirror it."""
    return _BANDS ** np.asarray(roughness)[:, None]


def mirrored_sky(picture: np.ndarray, ways: np.ndarray, roughness: np.ndarray) -> np.ndarray:
    """(N,3) radiance of a sky (H,W,3), as of `Lighting.sky_picture`, blurred as surfaces of `roughness` (N,) do."""
    sky = np.ascontiguousarray(picture, np.float32)
    levels = _blurred(sky.tobytes(), sky.shape)
    height, width = sky.shape[:2]
    x = (0.5 - np.arctan2(ways[:, 1], ways[:, 0]) / (2 * math.pi)) * width - 0.5
    y = (np.arcsin(np.clip(ways[:, 2], -1, 1)) / math.pi + 0.5) * height - 0.5
    z = np.clip(roughness, 0, 1) * (len(_LEVELS) - 1)
    result = np.zeros((len(ways), 3), np.float32)
    lower = [np.floor(v).astype(np.int64) for v in (z, y, x)]
    part = [v - low for v, low in zip((z, y, x), lower, strict=True)]
    for corner in range(8):
        steps = [(corner >> bit) & 1 for bit in range(3)]
        share = np.prod([p if s else 1 - p for p, s in zip(part, steps, strict=True)], axis=0)
        level, row, column = (low + s for low, s in zip(lower, steps, strict=True))
        level, row = np.minimum(level, len(_LEVELS) - 1), np.clip(row, 0, height - 1)
        result += share[:, None].astype(np.float32) * levels[level, row, column % width]
    return result


@lru_cache(1)
def _shares() -> np.ndarray:
    """(2,C,C) by cosine and roughness: of even light, the shares that `facing` and the grazing rest mirror."""
    ticks = (np.arange(_CELLS) + 0.5) / _CELLS
    cosine, square = ticks[:, None, None], (ticks**4)[None, :, None]
    numbers = np.arange(_SAMPLES)
    up, turn = (numbers + 0.5) / _SAMPLES, 2 * math.pi * (numbers * 0.6180339887 % 1.0)
    half = np.sqrt((1 - up) / (1 + (square - 1) * up))  # cosines of slopes as frequent as they are
    faced = np.sqrt(1 - half**2) * np.cos(turn) * np.sqrt(1 - cosine**2) + half * cosine
    light = 2 * faced * half - cosine
    seen, lit = (np.sqrt(square + (1 - square) * c**2) for c in (cosine, np.maximum(light, 0)))
    with np.errstate(divide="ignore", invalid="ignore"):
        share = 2 * light * faced / half / (light * seen + cosine * lit) * (light > 0) * (faced > 0)
    bent = (1 - np.clip(faced, 0, 1)) ** 5
    share = np.nan_to_num(share)
    return np.stack([(share * (1 - bent)).mean(-1), (share * bent).mean(-1)])


@lru_cache(8)
def _blurred(values: bytes, shape: tuple[int, ...]) -> np.ndarray:
    """(L,H,W,3) a sky as surfaces of the roughnesses `_LEVELS` mirror it that are looked at from straight ahead."""
    sky = np.frombuffer(values, np.float32).reshape(shape)
    height, width = shape[:2]
    up = ((np.arange(height) + 0.5) / height - 0.5) * math.pi
    turn = (0.5 - (np.arange(width) + 0.5) / width) * 2 * math.pi
    parts = np.outer(np.cos(up), np.cos(turn)), np.outer(np.cos(up), np.sin(turn)), np.outer(np.sin(up), np.ones(width))
    ways = np.stack(parts, axis=-1).reshape(-1, 3).astype(np.float32)
    solid = np.repeat(np.cos(up), width).astype(np.float32)
    cosines = np.clip(ways @ ways.T, -1, 1)
    half = (1 + cosines) / 2  # squared cosine of the slope that mirrors one way into the other
    levels = [sky]
    for rough in _LEVELS[1:]:
        square = rough**4
        weights = np.maximum(cosines, 0) * solid / (half * (square - 1) + 1) ** 2
        levels.append(((weights @ sky.reshape(-1, 3)) / weights.sum(1, keepdims=True)).reshape(shape))
    return np.stack(levels).astype(np.float32)
