"""Which Gaussians a picture shows, and which it hides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.ndimage import maximum_filter

from ...mesh.topology import triangle_frames
from ..avatar import Avatar
from .targets import Target

MARGIN = 8  # pixels around a picture in which Gaussians count too
DEEP = 0.003  # of the character's height; deeper under what a picture shows, colours learn nothing from it
HIDDEN = 3  # times as deep, and a Gaussian is hidden for sure
OUTLINE = 10  # pixels from an outline within which a hidden Gaussian may show
EDGE_ON = 0.15  # cosine to the normal below which the same holds


@dataclass(frozen=True)
class Shown:
    """Numbers (n,) of the Gaussians that a picture is drawn of, and (n,) which of them it shows and which it hides.

    Those that are hidden far from any outline are not drawn.
    """

    ids: np.ndarray
    visible: np.ndarray
    hidden: np.ndarray


def all_shown(avatar: Avatar, poses: np.ndarray, targets: Sequence[Target]) -> list[Shown]:
    """What each of the targets shows of an avatar on the mesh's `poses` (M,V,3)."""
    deep = DEEP * float(np.ptp(poses[0], axis=0).max())
    triangles, placed = avatar.binding.triangle_ids, []
    for pose in poses:
        normals = triangle_frames(torch.from_numpy(np.array(pose, np.float32)), avatar.binding.faces)[triangles, :, 2]
        placed.append((avatar.pose(pose[None])[0][0], normals.numpy()))
    curved = np.zeros(avatar.count, bool)
    curved[avatar.fibres] = True
    return [_shown(target, *placed[target.pose], curved, deep) for target in targets]


def _shown(target: Target, points: np.ndarray, normals: np.ndarray, curved: np.ndarray, deep: float) -> Shown:
    """Which of the points (N,3) lie in the picture, and which of these it shows: not `deep` under it, nor edge-on,
    which those that are `curved` (N,) never are."""
    height, width = target.alpha.shape
    local = points @ target.viewmat[:3, :3].T + target.viewmat[:3, 3]
    x, y = (local[:, :2] / np.maximum(local[:, 2:], 1e-6) @ target.K[:2, :2].T + target.K[:2, 2]).T
    inside = (x > -MARGIN) & (x < width + MARGIN) & (y > -MARGIN) & (y < height + MARGIN)
    ids = np.flatnonzero(inside & (local[:, 2] > 1e-3))
    column, row = x[ids].clip(0, width - 1).astype(int), y[ids].clip(0, height - 1).astype(int)
    under = local[ids, 2] - target.depth[row, column]
    facing = ((normals[ids] @ target.viewmat[:3, :3].T) * local[ids]).sum(1) / np.linalg.norm(local[ids], axis=1)
    visible = (under < deep) & (curved[ids] | (np.abs(facing) > EDGE_ON))
    around = maximum_filter(np.where(target.depth > 0, target.depth, np.inf), 2 * OUTLINE + 1)
    drawn = local[ids, 2] < around[row, column] + HIDDEN * deep
    return Shown(ids[drawn], visible[drawn], (under > HIDDEN * deep)[drawn])
