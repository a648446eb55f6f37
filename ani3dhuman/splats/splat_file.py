""".splat (antimatter15): 32 bytes a Gaussian, without colour that depends on the view."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ani3d_formats.gaussians import SH_C0

from .quantized import to_bytes, unit
from .splats import Parts, Splats, damaged_error

ROW = np.dtype([("mean", "<f4", 3), ("scale", "<f4", 3), ("color", "u1", 4), ("quat", "u1", 4)])


def read_splat(path: Path) -> tuple[Splats, str | None]:
    """Gaussians of a .splat. Raises `Ani3DError` ``splats.malformed``."""
    size = path.stat().st_size
    if size % ROW.itemsize:
        raise damaged_error(path, f"its {size:,} bytes are not a multiple of {ROW.itemsize}", ".splat")
    rows = np.fromfile(path, ROW)
    colors = rows["color"].astype(np.float32) / np.float32(255)
    sh = ((colors[:, :3] - np.float32(0.5)) / np.float32(SH_C0))[:, None]
    quats = unit((rows["quat"].astype(np.float32) - 128) / 128)
    return Splats(rows["mean"].copy(), quats, rows["scale"].copy(), colors[:, 3], sh), None


def splat_parts(path: Path, splats: Splats, axes: str) -> Parts:
    """Gaussians as .splat, the largest and most opaque first, as streaming viewers expect; `axes` go unsaid."""
    order = np.argsort(-(splats.scales.prod(1, dtype=np.float64) * splats.opacities), kind="stable")
    kept = splats.chosen(order)
    rows = np.zeros(kept.count, ROW)
    rows["mean"], rows["scale"] = kept.means, kept.scales
    rows["color"][:, :3] = to_bytes(kept.colors * 255)
    rows["color"][:, 3] = to_bytes(kept.opacities * 255)
    rows["quat"] = to_bytes(unit(kept.quats) * 128 + 128)
    return [rows.tobytes()]
