# SPDX-License-Identifier: GPL-3.0-or-later
"""Pixels of Blender's pictures, and of baked colours, as textures of a shot."""

from __future__ import annotations

from typing import Any

import bpy
import numpy as np

from ani3d_formats.color import linear_to_srgb

LARGEST = 4096  # pixels along a side; larger pictures are reduced
_SHARP = 1024  # pictures with hard pixels are enlarged to about this, since those of a shot are smoothed


class Textures:
    """`texture_of` pictures, each read once."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, bool, bool], np.ndarray | None] = {}

    def of(self, image: bpy.types.Image, alpha_used: bool, sharp: bool) -> tuple[np.ndarray | None, str]:
        """As `texture_of`, and a name for the texture."""
        key = (image.name_full, alpha_used, sharp)
        if key not in self._known:
            self._known[key] = texture_of(image, alpha_used, sharp)
        return self._known[key], repr(key)


def texture_of(image: bpy.types.Image, alpha_used: bool, sharp: bool) -> np.ndarray | None:
    """(H,W,4) uint8 sRGB with straight alpha, row 0 at the top; None where Blender has to tell what it shows.

    Args:
        image: a picture with pixels.
        alpha_used: whether the alpha that its node gives is used; otherwise the texture is opaque.
        sharp: whether its pixels are shown with hard edges.
    """
    data = image.colorspace_settings.is_data
    if not (image.is_float or data or image.colorspace_settings.name == "sRGB"):
        return None
    if image.source not in ("FILE", "GENERATED") or image.type == "MULTILAYER":
        return None
    pixels = _bytes(image, encode=image.is_float or data)
    ignored = image.alpha_mode == "NONE" or (image.alpha_mode == "CHANNEL_PACKED" and not alpha_used)
    if ignored or pixels[..., 3].min() == 255:
        pixels[..., 3] = 255
    elif image.is_float or data or not alpha_used or image.alpha_mode == "PREMUL":
        return None
    if sharp:
        times = max(1, _SHARP // max(pixels.shape[:2]))
        pixels = pixels.repeat(times, axis=0).repeat(times, axis=1)
    return pixels


def _bytes(image: bpy.types.Image, encode: bool) -> np.ndarray:
    """All pixels, straight as they are stored, or `encode`d from linear light."""
    copy = None
    try:
        if max(image.size) > LARGEST and not image.is_dirty:  # a copy is read anew: what is not saved is lost
            copy = image.copy()
            share = LARGEST / max(image.size)
            copy.scale(max(1, round(image.size[0] * share)), max(1, round(image.size[1] * share)))
        chosen: Any = copy or image
        width, height = chosen.size
        values = np.empty(width * height * 4, np.float32)
        chosen.pixels.foreach_get(values)
    finally:
        if copy is not None:
            bpy.data.images.remove(copy)
    step = -(-max(width, height) // LARGEST)
    return texture(values.reshape(height, width, 4)[::step, ::step], encode)


def texture(pixels: np.ndarray, encode: bool = True) -> np.ndarray:
    """(H,W,4) uint8, top row first, of Blender's (H,W,4) float pixels, bottom row first; linear light if `encode`."""
    result = np.empty(pixels.shape, np.uint8)
    for row, line in enumerate(pixels[::-1]):  # a line at a time, for large pictures
        line = np.nan_to_num(line)
        if encode:
            line = np.concatenate([linear_to_srgb(line[..., :3]), line[..., 3:]], axis=-1)
        result[row] = np.clip(line * 255 + 0.5, 0, 255)
    return result
