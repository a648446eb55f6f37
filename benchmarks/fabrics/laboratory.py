"""The two tests: how a held disc drapes, and how far a strip reaches out before it hangs by 41.5 degrees."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from ani3dhuman.cloth.fabrics import ClothSettings
from ani3dhuman.cloth.simulate import simulate

from .specimens import DISC, PEDESTAL, strip

FPS = 24.0
UNEVEN = 0.002  # metres that a specimen is uneven by at its rim: a flat one of rings would not know where to fold
WAVES = range(2, 10)  # round the rim, that it is uneven in
SLOWED = 4.0  # 1/s of the air's drag over the density, with which a specimen comes to rest; rest does not depend on it
SETTLED = 4.0  # seconds
PIXEL = 0.0005  # metres, of the shadow
ANGLE = np.radians(41.5)


@dataclass(frozen=True)
class Drape:
    """A draped specimen: its points (P,3) at rest, the coefficient in per cent, and how many folds its rim has."""

    points: np.ndarray
    coefficient: float
    folds: int
    stretch: float
    speed: float


def drape(points: np.ndarray, faces: np.ndarray, fabric: ClothSettings, seed: int = 0) -> Drape:
    """Cusick's test on a specimen (P,3), (F,3): flat between its discs, let go, its shadow measured at rest."""
    radius = np.linalg.norm(points, axis=1)
    held = radius < PEDESTAL * 1.001
    start = points.copy()
    start[:, 2] += np.where(held, 0, _uneven(points, seed))
    moved = _at_rest(start, points, faces, held, fabric)
    last = moved[-1]
    rim = np.flatnonzero(radius > DISC * 0.999)
    rim = rim[np.argsort(np.arctan2(points[rim, 1], points[rim, 0]))]
    sides = faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2)
    lengths = [np.linalg.norm(v[sides[:, 0]] - v[sides[:, 1]], axis=1).mean() for v in (last, points)]
    return Drape(
        points=last,
        coefficient=100 * shadow(last, faces) / shadow(points, faces),
        folds=_folds(np.linalg.norm(last[rim, :2], axis=1)),
        stretch=lengths[0] / lengths[1],
        speed=float(np.sqrt(((moved[-1] - moved[-2]) ** 2).sum(1).mean()) * FPS),
    )


def shadow(points: np.ndarray, faces: np.ndarray) -> float:
    """Square metres that the triangles cover from above beside the pedestal's disc."""
    size = round(2.4 * DISC / PIXEL)
    mask = np.zeros((size, size), np.uint8)
    corners = np.round((points[faces, :2] / PIXEL + size / 2) * 16).astype(np.int32)
    for triangle in corners:
        cv2.fillConvexPoly(mask, triangle, 255, shift=4)
    y, x = np.indices(mask.shape) - size / 2
    mask[np.hypot(x, y) * PIXEL < PEDESTAL] = 0
    return float((mask > 0).sum() * PIXEL**2)


def bending_length(fabric: ClothSettings, spacing: float) -> float:
    """Peirce's bending length in metres: half of what a strip reaches out by when its tip hangs by 41.5 degrees."""
    guess = 2 * (fabric.bend / (fabric.density * fabric.gravity)) ** (1 / 3)
    low, high = 0.4 * guess, 2.5 * guess
    for _ in range(6):
        middle = (low + high) / 2
        if _hangs(fabric, min(spacing, middle / 6), middle) < ANGLE:
            low = middle
        else:
            high = middle
    return (low + high) / 4


def _hangs(fabric: ClothSettings, spacing: float, length: float) -> float:
    """Radians by which the line from the edge to the tip of a strip hangs."""
    points, faces = strip(spacing, length)
    moved = _at_rest(points, points, faces, points[:, 0] < 1e-6, fabric)
    tip = moved[-1][points[:, 0] > length - 1e-6].mean(0)
    return float(np.arctan2(-tip[2], tip[0]))


def _at_rest(
    start: np.ndarray, rest: np.ndarray, faces: np.ndarray, held: np.ndarray, fabric: ClothSettings
) -> np.ndarray:
    """(T,P,3) from `start` on, until it hangs still."""
    fabric = replace(fabric, preroll=0, air=SLOWED * fabric.density)
    still = np.repeat(start[None].astype(np.float32), round(SETTLED * FPS), 0)
    return simulate(still, faces, rest.astype(np.float32), held.astype(np.float32), None, FPS, fabric)


def _uneven(points: np.ndarray, seed: int) -> np.ndarray:
    """Heights (P,) of a specimen that is not quite flat: the same of any mesh."""
    rng = np.random.default_rng(seed)
    angle = np.arctan2(points[:, 1], points[:, 0])
    waves = sum(a * np.cos(k * angle + p) for k, a, p in zip(WAVES, *_draws(rng), strict=True))
    return UNEVEN * (np.linalg.norm(points, axis=1) - PEDESTAL) / (DISC - PEDESTAL) * waves


def _draws(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    return rng.normal(size=len(WAVES)), rng.uniform(0, 2 * np.pi, len(WAVES))


def _folds(radius: np.ndarray) -> int:
    """Waves of the rim's outline: how often it leaves its mean outwards."""
    smooth = np.fft.irfft(np.fft.rfft(radius)[: min(17, len(radius) // 2)], len(radius))
    above = smooth > smooth.mean()
    return int((above & ~np.roll(above, 1)).sum())
