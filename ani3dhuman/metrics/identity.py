"""Whether the person stays the same: the face seen by the perceptual net.

This is no face recogniser: it notices any change of the face's pixels.
"""

from __future__ import annotations

import cv2
import numpy as np

from .perceptual import chosen_frames, perceptual_map
from .pictures import box_of

FACE_SIDE = 96  # pixels of the shorter side at which the nets see a face


def face_distance(pictures: np.ndarray, truth: np.ndarray, face: np.ndarray, every: int = 1) -> float:
    """Mean perceptual distance of the face; 0 is equal, NaN where no judged frame shows it.

    Args:
        pictures, truth: (T,H,W,3) sRGB 0..1.
        face: (T,H,W) bool, where the truth shows the face. Its box and a quarter more on every side is enlarged to
            `FACE_SIDE` pixels where it is smaller; the mean is over the face's own pixels.
        every: every how many frames.

    Raises:
        Ani3DError: ``metrics.weights``.
    """
    values = []
    for t in chosen_frames(len(pictures), every):
        tight = box_of(face[t], 0, 1)
        if tight is None:
            continue
        box = box_of(face[t], max(2, max(s.stop - s.start for s in tight) // 4), 8)
        assert box is not None
        side = min(s.stop - s.start for s in box)
        grown = max(1.0, FACE_SIDE / side)
        a, b = (_enlarged(x[t][box], grown, cv2.INTER_CUBIC) for x in (pictures, truth))
        mask = _enlarged(face[t][box].astype(np.uint8), grown, cv2.INTER_NEAREST).astype(bool)
        values.append(float(perceptual_map(a, b)[mask].mean()))
    return float(np.mean(values)) if values else float("nan")


def _enlarged(image: np.ndarray, times: float, interpolation: int) -> np.ndarray:
    return cv2.resize(image, None, fx=times, fy=times, interpolation=interpolation)
