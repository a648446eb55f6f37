"""Structural similarity (Wang et al. 2004) per pixel, differentiable."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

SSIM_SIGMA, SSIM_RADIUS = 1.5, 5  # Wang et al. 2004: 11 x 11 Gaussian window
C1, C2 = 0.01**2, 0.03**2


@cache
def _gaussian_window(device: torch.device, dtype: torch.dtype) -> Tensor:
    steps = torch.arange(-SSIM_RADIUS, SSIM_RADIUS + 1, device=device, dtype=dtype)
    window = torch.exp(-(steps**2) / (2 * SSIM_SIGMA**2))
    return window / window.sum()


def ssim_map(images: Tensor, targets: Tensor) -> Tensor:
    """Structural similarity per pixel and channel (Wang et al. 2004), pictures in 0..1.

    Args:
        images, targets: (B,C,H,W).

    Returns:
        (B,C,H,W); zeros are seen beyond the border, by both alike.
    """
    x, xx, xy = _blurred(images, images**2, images * targets)
    y, yy = _blurred(targets, targets**2)  # apart, since targets seldom take gradients
    luminance = (2 * x * y + C1) / (x**2 + y**2 + C1)
    contrast = (2 * (xy - x * y) + C2) / (xx - x**2 + yy - y**2 + C2)
    return luminance * contrast


def _blurred(*pictures: Tensor) -> tuple[Tensor, ...]:
    """Each of (B,C,H,W) under the Gaussian window."""
    stacked = torch.cat(pictures, 1)
    groups, window = stacked.shape[1], _gaussian_window(stacked.device, stacked.dtype)
    window = window.expand(groups, 1, -1)
    stacked = functional.conv2d(stacked, window[:, :, None], padding=(0, SSIM_RADIUS), groups=groups)
    stacked = functional.conv2d(stacked, window[..., None], padding=(SSIM_RADIUS, 0), groups=groups)
    return stacked.chunk(len(pictures), 1)
