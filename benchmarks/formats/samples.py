"""Gaussians of a person's size, for files."""

from __future__ import annotations

import numpy as np

from ani3dhuman.splats.splats import COEFFICIENTS, Splats


def some(count: int, degree: int, seed: int = 0) -> Splats:
    """Gaussians of a person's size."""
    rng = np.random.default_rng(seed)
    quats = rng.normal(size=(count, 4)).astype(np.float32)
    return Splats(
        rng.normal(0, 0.5, (count, 3)).astype(np.float32),
        quats / np.linalg.norm(quats, axis=1, keepdims=True),
        np.exp(rng.normal(-5, 0.7, (count, 3))).astype(np.float32),
        rng.uniform(0.02, 0.98, count).astype(np.float32),
        rng.normal(0, 0.2, (count, COEFFICIENTS[degree], 3)).astype(np.float32),
    )
