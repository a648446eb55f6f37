"""Nearest points, found by a k-d tree."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree


def nearest_points(points: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distance (P,) to and index (P,) of the nearest of `targets` (S,3) for each of `points` (P,3)."""
    return cKDTree(targets).query(points)
