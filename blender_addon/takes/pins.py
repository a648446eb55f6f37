# SPDX-License-Identifier: GPL-3.0-or-later
"""How firmly garment and hair hold on to the skeleton, where nobody has painted it: the engine's rule, with numpy."""

from __future__ import annotations

import numpy as np

GAP_FIXED = {3: 0.012, 2: 0.012}  # metres: closer than this a vertex sits on the skin (garment, hair)
GAP_FREE = {3: 0.045, 2: 0.035}  # metres: further than this it flies
CHUNK = 512


def pin_weights(shot: dict[str, np.ndarray]) -> np.ndarray:
    """(V,) 1 stays with the skeleton, 0 is free; body and face are 1. The painted group `ani3d_pin` wins.

    Elsewhere: how close a vertex lies to the skin in bind pose, and how alike both are weighted.
    """
    regions, vertices = shot["region_ids"], shot["vertices"]
    pins = np.ones(len(vertices), np.float32)
    skin = np.flatnonzero(regions < 2)
    dense = np.zeros((len(vertices), len(shot["bone_rest"])), np.float32)
    np.add.at(dense, (np.arange(len(dense))[:, None], shot["weight_indices"]), shot["weight_values"])
    for region in (2, 3):
        own = np.flatnonzero(regions == region)
        if not len(own):
            continue
        if not len(skin):
            pins[own] = 0
            continue
        gap, nearest = _nearest(vertices[own], vertices[skin])
        fixed, free = GAP_FIXED[region], GAP_FREE[region]
        closeness = np.clip((free - gap) / (free - fixed), 0, 1)
        alike = np.minimum(dense[own], dense[skin[nearest]]).sum(1)
        pins[own] = closeness**2 * (3 - 2 * closeness) * np.clip(2 * alike - 1, 0, 1)
    painted = shot.get("pin_weights")
    if painted is not None:
        loose = (regions >= 2) & (painted >= 0)
        pins[loose] = np.clip(painted[loose], 0, 1)
    return pins


def _nearest(points: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distance (P,) to and index (P,) of the nearest target."""
    middle = targets.mean(0, dtype=np.float64)
    points, targets = points.astype(np.float64) - middle, targets.astype(np.float64) - middle
    squares = (targets**2).sum(1)
    index = np.concatenate(
        [np.argmin(squares - 2 * points[i : i + CHUNK] @ targets.T, axis=1) for i in range(0, len(points), CHUNK)]
    )
    return np.linalg.norm(points - targets[index], axis=1), index
