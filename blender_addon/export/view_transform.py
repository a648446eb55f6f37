# SPDX-License-Identifier: GPL-3.0-or-later
"""The scene's view transform as a table: what Blender displays for each of many colours, whatever its settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy
import numpy as np

from ani3d_formats.color import srgb_to_linear

from .. import compat

STEPS = 33  # along each side of the table
_PLAIN = 0.5 / 255


def view_table(scene: bpy.types.Scene) -> np.ndarray | None:
    """What is displayed for colours of the scene, (STEPS,STEPS,STEPS,3) float32 0..1, or None where that is plain sRGB.

    Entry [r,g,b] is for the colour whose sRGB code is (r,g,b) / (STEPS - 1). View transform, look, exposure, gamma,
    white balance and curves take part.
    """
    code = np.linspace(0, 1, STEPS)
    codes = np.stack(np.meshgrid(code, code, code, indexing="ij"), axis=-1)
    shown = _displayed(scene, srgb_to_linear(codes).reshape(STEPS, STEPS * STEPS, 3))
    table = shown.reshape(codes.shape)
    return None if np.abs(table - codes).max() < _PLAIN else table


def _displayed(scene: bpy.types.Scene, colors: np.ndarray) -> np.ndarray:
    """What a picture (H,W,3) of linear colours looks like in renders that are saved, (H,W,3) float32."""
    path = Path(bpy.app.tempdir) / "ani3d_colors.png"
    copy: Any = scene.copy()
    images: list[Any] = []
    try:
        compat.write_png(copy.render.image_settings)
        copy.render.dither_intensity = 0
        height, width = colors.shape[:2]
        made: Any = bpy.data.images.new("Ani3D colours", width, height, float_buffer=True)
        images.append(made)
        made.pixels.foreach_set(
            np.concatenate([colors, np.ones((height, width, 1))], axis=2).astype(np.float32).ravel()
        )
        made.save_render(str(path), scene=copy)
        read: Any = bpy.data.images.load(str(path))
        images.append(read)
        read.colorspace_settings.name = "Non-Color"
        values = np.empty(width * height * 4, np.float32)
        read.pixels.foreach_get(values)
        return values.reshape(height, width, 4)[..., :3]
    finally:
        for image in images:
            bpy.data.images.remove(image)
        bpy.data.scenes.remove(copy)
        path.unlink(missing_ok=True)
