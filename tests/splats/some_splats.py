"""Gaussians that tests write, read and compare."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from ani3dhuman.splats.splats import COEFFICIENTS, Splats


def some_splats(count: int = 64, degree: int = 3, seed: int = 1) -> Splats:
    """Gaussians of a person's size, of all turns, sizes, opacities and colours."""
    rng = np.random.default_rng(seed)
    quats = rng.normal(size=(count, 4)).astype(np.float32)
    return Splats(
        rng.normal(0, 0.5, (count, 3)).astype(np.float32),
        quats / np.linalg.norm(quats, axis=1, keepdims=True),
        np.exp(rng.normal(-4, 1, (count, 3))).astype(np.float32),
        rng.uniform(0.02, 0.98, count).astype(np.float32),
        rng.normal(0, 0.25, (count, COEFFICIENTS[degree], 3)).astype(np.float32),
    )


def in_order_of(splats: Splats, others: Splats) -> Splats:
    """`splats` in the order in which `others` has the nearest."""
    order = cKDTree(splats.means).query(others.means)[1]
    assert len(set(order)) == others.count
    return splats.chosen(order)


def differences(splats: Splats, others: Splats) -> dict[str, float]:
    """The largest differences: metres, degrees, of the logarithm of sizes, opacity, coefficients of colour."""
    a, b = (s.quats / np.linalg.norm(s.quats, axis=1, keepdims=True) for s in (splats, others))
    between = np.degrees(2 * np.arccos(np.clip(np.abs((a.astype(np.float64) * b).sum(1)), 0, 1)))
    both = min(splats.sh.shape[1], others.sh.shape[1])
    return {
        "means": float(np.abs(splats.means - others.means).max()),
        "degrees": float(between.max()),
        "scales": float(np.abs(np.log(splats.scales / others.scales)).max()),
        "opacities": float(np.abs(splats.opacities - others.opacities).max()),
        "dc": float(np.abs(splats.sh[:, 0] - others.sh[:, 0]).max()),
        "rest": float(np.abs(splats.sh[:, 1:both] - others.sh[:, 1:both]).max(initial=0)),
    }
