"""Smooth random numbers over space, for turbulence: gradient noise as in Perlin, "Improving Noise" (2002)."""

from __future__ import annotations

import numpy as np

OCTAVES = 3
_SIDES = np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]], np.float64)
_SIGNS = np.array([[1, 1, 1], [-1, 1, 1], [1, -1, 1], [1, 1, -1]], np.float64)
_GRADIENTS = (_SIDES[:, None] * _SIGNS).reshape(-1, 3)  # the middles of a cube's edges


def turbulence(points: np.ndarray, size: float, seed: int) -> np.ndarray:
    """Numbers (P,) in -1..1 at points (P,3), with folds of about `size` and finer ones."""
    scaled = points / size if size else points.astype(np.float64)
    total, weight = np.zeros(len(points)), 0.0
    for octave in range(OCTAVES):
        total += _gradient_noise(scaled * 2**octave, seed) / 2**octave
        weight += 1 / 2**octave
    return total / weight


def _gradient_noise(points: np.ndarray, seed: int) -> np.ndarray:
    cell = np.floor(points)
    inside = points - cell
    fade = inside**3 * (inside * (inside * 6 - 15) + 10)
    total = np.zeros(len(points))
    for corner in np.ndindex(2, 2, 2):
        offset = np.array(corner)
        gradient = _GRADIENTS[_hashed(cell.astype(np.int64) + offset, seed) % len(_GRADIENTS)]
        total += np.where(offset, fade, 1 - fade).prod(1) * (gradient * (inside - offset)).sum(1)
    return total


def _hashed(cells: np.ndarray, seed: int) -> np.ndarray:
    """A number (P,) for each cell (P,3) of whole numbers, that looks random."""
    mixed = np.full(len(cells), seed + 0x9E3779B9, np.uint64)
    for axis in range(3):
        mixed = (mixed ^ cells[:, axis].astype(np.uint64)) * np.uint64(0xFF51AFD7ED558CCD)
        mixed ^= mixed >> np.uint64(32)
    return mixed.astype(np.int64) & 0x7FFFFFFF
