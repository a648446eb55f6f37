"""The sRGB transfer function both ways; NumPy arrays of any shape, in the dtype they come in."""

from __future__ import annotations

import numpy as np


def srgb_to_linear(c: np.ndarray) -> np.ndarray:
    """IEC 61966-2-1 decoding, 0..1 to 0..1."""
    return np.where(c <= 0.04045, c / 12.92, ((np.maximum(c, 0) + 0.055) / 1.055) ** 2.4)


def linear_to_srgb(c: np.ndarray, most: float = 1.0) -> np.ndarray:
    """IEC 61966-2-1 encoding of linear light clipped to 0..`most`."""
    c = np.clip(c, 0, most)
    return np.where(c <= 0.0031308, c * 12.92, 1.055 * c ** (1 / 2.4) - 0.055)
