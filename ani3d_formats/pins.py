"""Which garment and hair vertices stay on the skin, when the artist has not painted it."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from .shot import Shot

GAP_FIXED = {3: 0.012, 2: 0.012}  # metres: closer than this a vertex sits on the skin (garment, hair)
GAP_FREE = {3: 0.045, 2: 0.035}  # metres: further than this it flies


def pin_weights(shot: Shot) -> np.ndarray:
    """Pin weights (V,) in 0..1: 1 stays with the skin, 0 is free; body and face are always 1.

    Painted weights (the vertex group `ani3d_pin`, -1 where a mesh has none) win. Elsewhere the rule is
    how close a vertex lies to the skin in the bind pose and how alike its skin weights are to the skin
    below: a bodice that hugs the chest moves with it, a skirt that hangs between two thighs does not.
    """
    regions, vertices = shot["region_ids"], shot["vertices"]
    pins = np.ones(len(vertices), np.float32)
    skin = np.flatnonzero(regions < 2)
    dense = _dense_weights(shot)
    for region in (2, 3):
        own = np.flatnonzero(regions == region)
        if len(own) == 0:
            continue
        if len(skin) == 0:
            pins[own] = 0
            continue
        gap, nearest = cKDTree(vertices[skin]).query(vertices[own])
        fixed, free = GAP_FIXED[region], GAP_FREE[region]
        closeness = np.clip((free - gap) / (free - fixed), 0, 1)
        alike = np.minimum(dense[own], dense[skin[nearest]]).sum(1)
        pins[own] = closeness**2 * (3 - 2 * closeness) * np.clip(2 * alike - 1, 0, 1)
    painted = shot.arrays.get("pin_weights")
    if painted is not None:
        loose = (regions >= 2) & (painted >= 0)
        pins[loose] = np.clip(painted[loose], 0, 1)
    return pins


def _dense_weights(shot: Shot) -> np.ndarray:
    """(V,B) skin weights."""
    dense = np.zeros((len(shot["vertices"]), len(shot["bone_rest"])), np.float32)
    np.add.at(dense, (np.arange(len(dense))[:, None], shot["weight_indices"]), shot["weight_values"])
    return dense
