"""Lifts: how much nearer to the eye the Gaussians of a surface are drawn, so that always the same ones cover others.

Gaussians are drawn in the order of their centres' depths. Of those in one surface the nearer ones cover the next, so
that what is seen of each changes with the view, and a fit learns the mean of all views. Lifted by numbers of their own,
neighbours keep one order in most views. A lifted Gaussian is moved towards the eye and made as much smaller: its place
and its shape in the picture stay the same to the last bit but rounding.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree
from torch import Tensor

from ani3d_formats.regions import BODY, GARMENT

from .avatar import Avatar

MOST = 0.007  # of the character's height: 12 mm of a person
ACROSS = 0.6  # how far off a Gaussian's plane, over the distance, another one is in another layer
SAME_SIDE = 0.3  # cosine of normals below which it is, too
AROUND = 32  # Gaussians nearby that are looked at
FEWEST = 0.5  # of the distance to the eye that is left, at least


def lifts_of(avatar: Avatar, vertices: np.ndarray) -> np.ndarray:
    """(N,) float32 metres of an avatar whose mesh at rest is `vertices` (V,3).

    Garments are lifted, or the body where there are none: what is worn next to skin must not fall behind it. Hair and
    faces lie too close to what they are on. No lift is more than half of the way to the nearest other layer at rest.
    """
    outer = avatar.region_ids == (GARMENT if (avatar.region_ids == GARMENT).any() else BODY)
    rows = np.flatnonzero(outer)
    found = np.zeros(avatar.count, np.float32)
    if len(rows):
        most = MOST * float(np.ptp(vertices, axis=0).max())
        ranks = np.random.default_rng(0).random(avatar.count)
        found[rows] = ranks[rows] * np.minimum(most, _to_other_layers(avatar, vertices, rows, 2 * most) / 2)
    return found


def _to_other_layers(avatar: Avatar, vertices: np.ndarray, rows: np.ndarray, reach: float) -> np.ndarray:
    """(n,) metres from Gaussians `rows` (n,) to the nearest that is not in the same surface; `reach` at most."""
    points, normals = avatar.within(vertices), avatar.planes(vertices)
    distances, others = cKDTree(points).query(points[rows], AROUND, distance_upper_bound=reach)
    known = others < len(points)
    others = np.where(known, others, 0)
    off = points[others] - points[rows, None]
    over = np.abs((off * normals[rows, None]).sum(-1))
    facing = (normals[others] * normals[rows, None]).sum(-1)
    strange = (over > ACROSS * distances) | (facing < SAME_SIDE)
    strange |= avatar.region_ids[others] != avatar.region_ids[rows, None]
    return np.where(known & strange, distances, reach).min(1)


def nearer(
    means: Tensor, scales: Tensor, lifts: Tensor, viewmat: Tensor, orthographic: bool = False
) -> tuple[Tensor, Tensor]:
    """Means (N,3) and scales (N,3) lifted by (N,) metres towards the eye of a camera `viewmat` (4,4)."""
    if orthographic:
        return means - lifts[:, None] * viewmat[2, :3], scales
    eye = -viewmat[:3, :3].T @ viewmat[:3, 3]
    away = means - eye
    left = (1 - lifts / away.norm(dim=1).clamp(min=1e-9)).clamp(min=FEWEST)[:, None]
    return eye + away * left, scales * left
