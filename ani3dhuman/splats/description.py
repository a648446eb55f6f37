"""A few lines about a file of Gaussians."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .formats import format_of, read_splats


def described(path: Path, axes: str | None = None) -> str:
    """What a file of Gaussians holds. Raises `Ani3DError` as `formats.read_splats`."""
    splats = read_splats(path, axes)
    lines = [f"{path.name}: {format_of(path).what}, {splats.count:,} Gaussians, colours of degree {splats.degree}"]
    if splats.count:
        low, high = np.percentile(splats.means, (0.5, 99.5), axis=0)
        extent = " x ".join(f"{v:.3g}" for v in high - low)
        widths = 1000 * np.percentile(splats.scales.max(1), (5, 50, 95))
        lines += [
            f"99 % of them within {extent} m (Z up), around {', '.join(f'{v:.3g}' for v in (low + high) / 2)}",
            f"largest standard deviations {widths[0]:.3g}, {widths[1]:.3g}, {widths[2]:.3g} mm (5, 50, 95 %)",
            f"opacity {splats.opacities.mean():.2f} in the mean, {(splats.opacities < 0.05).mean():.0%} below .05",
        ]
    return "\n".join(lines)
