"""Which garment and hair vertices stay on the skin, when the artist has not painted it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from .human_size import human_scale
from .regions import GARMENT, HAIR, is_loose

GAP_FIXED = {GARMENT: 0.012, HAIR: 0.012}  # metres at human size: closer than this a vertex sits on the skin
GAP_FREE = {GARMENT: 0.045, HAIR: 0.035}  # metres at human size: further than this it flies

Nearest = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
"""From points (P,3) and targets (S,3) to the distance (P,) to and the index (P,) of the nearest target."""


def pin_weights(shot: Mapping[str, np.ndarray], nearest: Nearest) -> np.ndarray:
    """Pin weights (V,) in 0..1: 1 stays with the skin, 0 is free; body and face are always 1.

    Painted weights (the vertex group `ani3d_pin`, -1 where a mesh has none) win. Elsewhere the rule is
    how close a vertex lies to the skin in the bind pose and how alike its skin weights are to the skin
    below: a bodice that hugs the chest moves with it, a skirt that hangs between two thighs does not.

    Args:
        shot: the arrays of a shot by name.
        nearest: the search for nearest points; `nearest_of_all` needs NumPy alone.
    """
    regions, vertices = shot["region_ids"], shot["vertices"]
    pins = np.ones(len(vertices), np.float32)
    skin = np.flatnonzero(~is_loose(regions))
    dense = np.zeros((len(vertices), len(shot["bone_rest"])), np.float32)
    np.add.at(dense, (np.arange(len(dense))[:, None], shot["weight_indices"]), shot["weight_values"])
    for region in (HAIR, GARMENT):
        own = np.flatnonzero(regions == region)
        if len(own) == 0:
            continue
        if len(skin) == 0:
            pins[own] = 0
            continue
        gap, below = nearest(vertices[own], vertices[skin])
        gap = gap * human_scale(vertices)
        fixed, free = GAP_FIXED[region], GAP_FREE[region]
        closeness = np.clip((free - gap) / (free - fixed), 0, 1)
        alike = np.minimum(dense[own], dense[skin[below]]).sum(1)
        pins[own] = closeness**2 * (3 - 2 * closeness) * np.clip(2 * alike - 1, 0, 1)
    painted = shot.get("pin_weights")
    if painted is not None:
        loose = is_loose(regions) & (painted >= 0)
        pins[loose] = np.clip(painted[loose], 0, 1)
    return pins


def nearest_of_all(points: np.ndarray, targets: np.ndarray, chunk: int = 512) -> tuple[np.ndarray, np.ndarray]:
    """A `Nearest` that compares every point with every target, `chunk` points at a time."""
    middle = targets.mean(0, dtype=np.float64)
    points, targets = points.astype(np.float64) - middle, targets.astype(np.float64) - middle
    squares = (targets**2).sum(1)
    index = np.concatenate(
        [np.argmin(squares - 2 * points[i : i + chunk] @ targets.T, axis=1) for i in range(0, len(points), chunk)]
    )
    return np.linalg.norm(points - targets[index], axis=1), index
