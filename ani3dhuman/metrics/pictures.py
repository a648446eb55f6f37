"""How near pictures are to the truth, pixel by pixel: PSNR, SSIM, fine detail, silhouettes.

Pictures are (T,H,W,3) sRGB 0..1; a region is (T,H,W) boolean and None means every pixel. A figure over a region without
a pixel is NaN: there was nothing to judge.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch

from ..similarity.ssim import SSIM_RADIUS, ssim_map

PSNR_CEILING = 100.0  # dB; given for equal pictures too, so that averages stay finite
DETAIL_SIGMA = 1.5  # pixels; structure finer than this counts as detail


def masked_mean(values: np.ndarray, region: np.ndarray | None) -> float:
    """Mean of `values` (T,H,W) over a region (T,H,W), summed in float64; NaN where it is empty."""
    if region is None:
        return float(values.mean(dtype=np.float64))
    return float(values.mean(where=region, dtype=np.float64)) if region.any() else float("nan")


def psnr(pictures: np.ndarray, truth: np.ndarray, region: np.ndarray | None = None) -> float:
    """Peak signal to noise ratio in dB, of the mean squared error over all frames at once; at most `PSNR_CEILING`."""
    mse = masked_mean(((pictures - truth) ** 2).mean(-1), region)
    return min(PSNR_CEILING, float(-10 * np.log10(max(mse, 1e-30)))) if np.isfinite(mse) else float("nan")


def ssim_maps(pictures: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Structural similarity (T,H,W), the mean over the three channels (Wang et al. 2004, Gaussian window 1.5).

    Borders are mirrored, as scikit-image does.
    """
    maps = np.empty(pictures.shape[:3], np.float32)
    margin = ((SSIM_RADIUS, SSIM_RADIUS), (SSIM_RADIUS, SSIM_RADIUS), (0, 0))
    inner = slice(SSIM_RADIUS, -SSIM_RADIUS)
    for t, pair in enumerate(zip(pictures, truth, strict=True)):
        a, b = (torch.from_numpy(np.pad(x, margin, mode="symmetric")).permute(2, 0, 1)[None].float() for x in pair)
        maps[t] = ssim_map(a, b)[0, :, inner, inner].mean(0).numpy()
    return maps


def detail_energy(pictures: np.ndarray, region: np.ndarray | None = None) -> float:
    """Mean square of what a Gaussian blur of `DETAIL_SIGMA` takes out of the grey pictures (mean of R, G, B)."""
    grey = pictures.mean(-1, dtype=np.float32)
    fine = np.stack([g - cv2.GaussianBlur(g, (0, 0), DETAIL_SIGMA, borderType=cv2.BORDER_REFLECT) for g in grey])
    return masked_mean(fine**2, region)


def detail_ratio(pictures: np.ndarray, truth: np.ndarray, region: np.ndarray | None = None) -> float:
    """Energy of fine detail relative to the truth's: below 1 is softer, above is sharper or noisier."""
    return ratio(detail_energy(pictures, region), detail_energy(truth, region))


def silhouette_iou(masks: np.ndarray, truth: np.ndarray) -> float:
    """Intersection over union of boolean masks (T,H,W), averaged over the frames where either shows anything."""
    union = (masks | truth).sum((1, 2))
    shared = (masks & truth).sum((1, 2))
    seen = union > 0
    return float((shared[seen] / union[seen]).mean()) if seen.any() else float("nan")


def mean_change(pictures: np.ndarray, before: np.ndarray, region: np.ndarray | None = None) -> float:
    """Mean absolute difference in steps of 8 bits (0..255): how far pixels that should be kept were touched."""
    return 255 * masked_mean(np.abs(pictures - before).mean(-1), region)


def ratio(value: float, truth: float, least: float = 1e-12) -> float:
    """`value` / `truth`; NaN where the truth is below `least`, for then a ratio says nothing."""
    return value / truth if truth > least else float("nan")


def box_of(mask: np.ndarray, margin: int, least: int) -> tuple[slice, slice] | None:
    """Rows and columns around a mask (H,W), widened by `margin` pixels and to `least` on a side where the picture
    has that many; None where the mask is empty."""
    spans = []
    for axis, size in ((1, mask.shape[0]), (0, mask.shape[1])):
        used = np.flatnonzero(mask.any(axis))
        if len(used) == 0:
            return None
        first, last = max(0, int(used[0]) - margin), min(size, int(used[-1]) + 1 + margin)
        length = max(last - first, min(least, size))
        first = min(max(0, (first + last - length) // 2), size - length)
        spans.append(slice(first, first + length))
    return spans[0], spans[1]
