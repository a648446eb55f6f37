"""The artist's view transform on finished pictures: AgX, Filmic, exposure, looks, curves, as Blender's renders have it.

Only pictures that people look at have it. Restoration, fitting and Gaussians work on plain sRGB colours.
"""

from __future__ import annotations

import numba
import numpy as np

from ..jit import parallel_kernel


def displayed(picture: np.ndarray, table: np.ndarray | None) -> np.ndarray:
    """A picture under a view transform.

    Args:
        picture: (H,W,3) uint8, sRGB.
        table: (G,G,G,3) float32 of a shot's `view_table`; None leaves the picture as it is.

    Returns:
        (H,W,3) uint8, as displayed.
    """
    if table is None:
        return picture
    result = np.empty_like(picture)
    _look_up(np.ascontiguousarray(picture), np.clip(table, 0, 1) * np.float32(255), result)
    return result


@parallel_kernel
def _look_up(picture, table, result):  # type: ignore[no-untyped-def]
    """Trilinear look-up of each pixel, in values 0..255."""
    last = table.shape[0] - 1
    for y in numba.prange(picture.shape[0]):
        for x in range(picture.shape[1]):
            r, g, b = (
                picture[y, x, 0] / 255.0 * last,
                picture[y, x, 1] / 255.0 * last,
                picture[y, x, 2] / 255.0 * last,
            )
            i, j, k = (min(int(r), last - 1), min(int(g), last - 1), min(int(b), last - 1))
            r, g, b = r - i, g - j, b - k
            for c in range(3):
                near = table[i, j, k, c] * (1 - b) + table[i, j, k + 1, c] * b
                near = near * (1 - g) + (table[i, j + 1, k, c] * (1 - b) + table[i, j + 1, k + 1, c] * b) * g
                far = table[i + 1, j, k, c] * (1 - b) + table[i + 1, j, k + 1, c] * b
                far = far * (1 - g) + (table[i + 1, j + 1, k, c] * (1 - b) + table[i + 1, j + 1, k + 1, c] * b) * g
                result[y, x, c] = int(near * (1 - r) + far * r + 0.5)
