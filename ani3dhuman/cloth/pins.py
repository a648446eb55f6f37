"""How a skirt is pinned: the rule of `ani3d_formats.pins`, which the extension follows too, with scipy's search."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from ani3d_formats import pins
from ani3d_formats.hair_ribbons import root_pins
from ani3d_formats.pins import Pins
from ani3d_formats.shot import Shot


def pin_weights(shot: Shot) -> np.ndarray:
    """Pin weights (V,) in 0..1 of a shot's vertices: 1 stays with the skin, 0 is free."""
    return find_pins(shot).weights


def find_pins(shot: Shot) -> Pins:
    """Those weights, and the pieces that nothing holds."""
    arrays = shot.arrays
    if any(item.strands for item in shot.meta.objects):
        painted = np.array(arrays.get("pin_weights", np.full(len(shot["vertices"]), -1, np.float32)))
        for item in shot.meta.objects:
            if item.strands and (painted[item.rows] < 0).all():
                painted[item.rows] = root_pins(item.strands, item.vertex_count // (2 * item.strands))
        arrays = arrays | {"pin_weights": painted}
    return pins.find_pins(arrays, nearest_points)


def nearest_points(points: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distance (P,) to and index (P,) of the nearest of targets (S,3), for each of points (P,3)."""
    distances, indices = cKDTree(targets).query(points)
    return distances, indices
