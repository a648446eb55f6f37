"""How pictures move: change from frame to frame, and whether what is seen is carried along by the motion.

Flow is (T-1,H,W,2) in pixels (x right, y down), backwards: the point seen at pixel p of frame t+1 was at p + flow[t, p]
in frame t. NaN where that point was hidden or cannot be known.
"""

from __future__ import annotations

import cv2
import numpy as np

from .pictures import masked_mean, ratio


def mean_absolute_change(pictures: np.ndarray, region: np.ndarray | None = None) -> float:
    """Mean absolute change of pictures (T,H,W,3) from the frame before, over the region of the later frame."""
    later = None if region is None else region[1:]
    return masked_mean(np.abs(np.diff(pictures, axis=0)).mean(-1), later)


def flicker_ratio(pictures: np.ndarray, truth: np.ndarray, region: np.ndarray | None = None) -> float:
    """Change from frame to frame relative to the truth's: above 1 flickers or moves more, below is too still."""
    return ratio(mean_absolute_change(pictures, region), mean_absolute_change(truth, region))


def backward_flow(pictures: np.ndarray) -> np.ndarray:
    """Estimated flow (T-1,H,W,2) of pictures (T,H,W,3) by OpenCV's DIS.

    NaN where going back and forth again does not lead home (Sundaram et al. 2010, eq. 5): there it is hidden or wrong.
    """
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    grey = np.round(255 * pictures.mean(-1)).astype(np.uint8)
    flows = np.empty((len(grey) - 1, *grey.shape[1:], 2), np.float32)
    for t in range(len(flows)):
        back = search.calc(grey[t + 1], grey[t], None)  # type: ignore[call-overload]
        forth = _at(search.calc(grey[t], grey[t + 1], None), back)  # type: ignore[call-overload]
        astray = ((back + forth) ** 2).sum(-1) > 0.01 * (back**2 + forth**2).sum(-1) + 0.5
        flows[t] = np.where(astray[..., None], np.nan, back)
    return flows


def _at(image: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """Read an image (H,W,C) where the flow (H,W,2) points, between pixels; beyond the border its edge repeats."""
    height, width = flow.shape[:2]
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    image = np.asarray(image, np.float32)
    return cv2.remap(image, x + flow[..., 0], y + flow[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def warp_error(
    pictures: np.ndarray, region: np.ndarray | None = None, flow: np.ndarray | None = None
) -> tuple[float, float]:
    """Flow consistency: how far each frame is from the one before, carried along by the flow.

    Args:
        pictures: (T,H,W,3) sRGB 0..1.
        region: (T,H,W) bool, of the later frame.
        flow: (T-1,H,W,2) of these pictures, e.g. exactly from the mesh that was drawn; None estimates it.

    Returns:
        Mean absolute error in steps of 8 bits (0..255), 0 is consistent; and the share of the region's pixels that had
        a flow to judge by. NaN where there is none.
    """
    flow = backward_flow(pictures) if flow is None else np.asarray(flow, np.float32)
    height, width = flow.shape[1:3]
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    source = np.stack([x, y], -1) + flow
    with np.errstate(invalid="ignore"):
        known = ((source >= 0) & (source <= (width - 1, height - 1))).all(-1)
    later = np.ones(known.shape, bool) if region is None else region[1:]
    filled = np.where(known[..., None], flow, 0)
    carried = [_at(picture, motion) for picture, motion in zip(pictures[:-1], filled, strict=True)]
    errors = np.abs(pictures[1:] - np.stack(carried)).mean(-1)
    return 255 * masked_mean(errors, known & later), ratio(float((known & later).sum()), float(later.sum()))
