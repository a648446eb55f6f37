"""Where an avatar's Gaussians are worth most: what can be seen, and what has a pattern."""

from __future__ import annotations

import numpy as np

from ani3d_formats.color import linear_to_srgb
from ani3d_formats.shot import Shot

from ..sampling import random_points
from ..surface_colors import surface_colors

HIDDEN = 0.4  # density where nothing was ever seen: a motion may show it
PLAIN = 0.3  # density where the colour does not change
PATTERN = 0.03  # standard deviation of display colours in a face that doubles its density over that of a plain one
MOST = 3.0
SMOOTH = 2
POINTS = 6  # a face, that tell how its colours vary


def sampling_density(shot: Shot, seen: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(F,) relative numbers of Gaussians an area; `seen` (F,) counts the samples of pictures that showed each face."""
    faces = shot["faces"]
    variation = _smoothed(_variation(shot, rng), faces, len(shot["vertices"]))
    shown = _smoothed((seen > 0).astype(float), faces, len(shot["vertices"]))
    density = np.minimum(PLAIN * (1 + variation / PATTERN), MOST) * np.maximum(shown, HIDDEN)
    for _ in range(SMOOTH):  # or gaps open where small Gaussians meet large ones
        density = _smoothed(density, faces, len(shot["vertices"]))
    return density


def _variation(shot: Shot, rng: np.random.Generator) -> np.ndarray:
    """(F,) standard deviation of the display colours within each face, mean over red, green and blue."""
    count = len(shot["faces"])
    _, barycentrics = random_points(np.ones(1), POINTS * count, rng)
    colors, _ = surface_colors(shot, np.repeat(np.arange(count), POINTS), barycentrics)
    return linear_to_srgb(colors).reshape(count, POINTS, 3).std(1).mean(1)


def _smoothed(values: np.ndarray, faces: np.ndarray, vertices: int) -> np.ndarray:
    """Face values (F,) averaged with those of the faces around."""
    total, number = np.zeros(vertices), np.zeros(vertices)
    for corner in faces.T:
        total += np.bincount(corner, values, vertices)
        number += np.bincount(corner, minlength=vertices)
    return (total / np.maximum(number, 1))[faces].mean(1)
