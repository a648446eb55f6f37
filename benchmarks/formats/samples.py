"""Gaussians of a person's size, for files."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ani3d_formats.frames import CacheWriter, FrameCache
from ani3dhuman.splats.splats import COEFFICIENTS, OWN_COLORS, Splats


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


def one_frame(path: Path, splats: Splats) -> FrameCache:
    """A result of one frame, 1, whose colours `splats.sh` are those in each Gaussian's own axes."""
    with CacheWriter(path, count=splats.count, frame_start=1, frame_end=1, fps=24) as writer:
        if splats.degree:
            writer.static(OWN_COLORS, splats.sh.reshape(splats.count, -1))
        radiance = np.concatenate([splats.sh[:, 0], splats.opacities[:, None]], axis=1)
        values = {"position": splats.means, "rotation": splats.quats, "scale": splats.scales}
        writer.frame({**values, "radiance:base": radiance})
    return FrameCache.open(path)
