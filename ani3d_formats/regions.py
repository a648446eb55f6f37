"""Region labels of vertices and Gaussians: what the numbers in a shot's `region_ids` mean."""

from __future__ import annotations

import numpy as np

REGIONS = ("body", "face", "hair", "garment")
BODY, FACE, HAIR, GARMENT = range(len(REGIONS))


def is_loose(regions: np.ndarray) -> np.ndarray:
    """Which of these region ids are hair or garment: what hangs on the skin and may move against it.

    The others, body and face, are skin: the skeleton alone moves them, and restoration must not change them.
    """
    return regions >= HAIR
