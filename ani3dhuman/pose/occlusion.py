"""Which points of a scene a surface covers, told by the depth of the picture."""

from __future__ import annotations

import numpy as np

from ani3d_formats.errors import Ani3DError


def occluded(
    pixels: np.ndarray,
    depths: np.ndarray,
    tolerance: np.ndarray,
    depth: np.ndarray | None,
    alpha: np.ndarray | None,
    size: tuple[int, int],
) -> np.ndarray:
    """Whether points lie further behind what the camera sees than they may.

    A joint lies inside its limb, so that its own skin is always a little nearer: `tolerance` is the limb's radius.

    Args:
        pixels: (P,2) with pixel centres at +0.5.
        depths: (P,) metres along the view axis.
        tolerance: (P,) metres.
        depth: (H,W) metres, 0 where nothing is seen; None hides nothing.
        alpha: (H,W) coverage 0..1; a pixel at most half covered hides nothing. None trusts `depth` wherever it is
            above 0.
        size: (H,W) of the picture.

    Returns:
        (P,) bool; points outside the picture are not hidden.

    Raises:
        Ani3DError: ``pose.depth_size``.
    """
    if depth is None:
        return np.zeros(len(pixels), bool)
    for name, values in (("depth", depth), ("alpha", alpha)):
        if values is not None and values.shape != size:
            raise Ani3DError(
                "pose.depth_size",
                f"The {name} picture is {values.shape}, the camera's {size} (height, width).",
                "Render the layer with the cameras that the pose is drawn for.",
            )
    height, width = size
    column, row = (np.floor(np.nan_to_num(pixels, nan=-1.0)).clip(-1, max(size) + 1).astype(int)).T
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    column, row = np.where(inside, column, 0), np.where(inside, row, 0)
    seen = depth[row, column].astype(np.float64)
    covered = seen > 0 if alpha is None else alpha[row, column] > 0.5
    return inside & covered & (depths > seen + tolerance)
