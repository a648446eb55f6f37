"""How alive a garment is: motion of the hem relative to the body that carries it."""

from __future__ import annotations

import numpy as np

from ani3d_formats.regions import GARMENT
from ani3d_formats.shot import Shot
from ani3d_formats.skinning import nearest_rotations


def hem_vertices(shot: Shot, pins: np.ndarray, share: float = 0.12) -> np.ndarray:
    """Indices of the freest garment vertices near the lower edge: the lowest `share` of the garment's height."""
    free = np.flatnonzero((shot["region_ids"] == GARMENT) & (pins < 0.5))
    if len(free) == 0:
        return free
    z = shot["vertices"][free, 2]
    return free[z <= z.min() + share * np.ptp(z)]


def carrier_bone(shot: Shot, pins: np.ndarray) -> int:
    """The bone that carries most of the fixed part of the garment (the hips of a dress)."""
    fixed = (shot["region_ids"] == GARMENT) & (pins >= 0.5)
    chosen = fixed if fixed.any() else np.ones(len(pins), bool)
    totals = np.zeros(len(shot["bone_rest"]))
    np.add.at(totals, shot["weight_indices"][chosen], shot["weight_values"][chosen])
    return int(totals.argmax())


def motion_amplitude(shot: Shot, vertices: np.ndarray, pins: np.ndarray) -> float:
    """RMS movement of the hem in centimetres, seen from the bone that carries the garment.

    Args:
        shot: skeleton and regions.
        vertices: (T,V,3) world metres of the layer measured.
        pins: (V,) pin weights.

    Returns:
        sqrt(mean over frames and hem vertices of the squared distance to each vertex's mean place); 0 without a hem.
    """
    hem = hem_vertices(shot, pins)
    if len(hem) == 0:
        return 0.0
    pose = shot["bone_pose"][:, carrier_bone(shot, pins)]
    turns = nearest_rotations(pose[:, :3, :3])  # the matrices of a scaled armature hold its scale
    local = np.einsum("tji,tvj->tvi", turns, vertices[:, hem] - pose[:, None, :3, 3])
    return float(100 * np.sqrt(((local - local.mean(0)) ** 2).sum(-1).mean()))
