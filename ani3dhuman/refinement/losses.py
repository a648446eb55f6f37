"""What refinement minimises: difference from the restored pictures, and terms that regularise the cloth.

All terms are means over pixels, edges or points, so their weights do not depend on picture size or mesh
density. Geometry is in metres; the strain terms have no unit.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from ..mesh.topology import rows
from ..similarity.ssim import ssim_map

TINY = 1e-12


def weighted_mean(values: Tensor, weights: Tensor) -> Tensor:
    """Mean of `values` (B,C,H,W) under `weights` (B,1,H,W); 0 where all weights are 0."""
    return (values * weights).sum() / (weights.sum() * values.shape[1]).clamp(min=TINY)


def pyramid_l1(images: Tensor, targets: Tensor, weights: Tensor, levels: int) -> Tensor:
    """Mean absolute difference, averaged over `levels` of halved pictures.

    Args:
        images, targets: (B,C,H,W).
        weights: (B,1,H,W) >= 0.
        levels: 1 is the plain L1; each further one sees twice as far, so a fold that is off by more than
            its own width still feels which way to go.
    """
    means = [weighted_mean((images - targets).abs(), weights)]
    while len(means) < levels and min(images.shape[2:]) > 1:
        images, targets, weights = (functional.avg_pool2d(x, 2) for x in (images, targets, weights))
        means.append(weighted_mean((images - targets).abs(), weights))
    return torch.stack(means).mean()


def photometric(images: Tensor, targets: Tensor, weights: Tensor, ssim_share: float, levels: int) -> Tensor:
    """(1 - share) pyramid L1 + share (1 - SSIM) / 2; arguments as in `pyramid_l1`."""
    unlike = (1 - ssim_map(images, targets)) / 2
    return (1 - ssim_share) * pyramid_l1(images, targets, weights, levels) + ssim_share * weighted_mean(unlike, weights)


def edge_lengths(vertices: Tensor, edges: Tensor) -> Tensor:
    """Lengths (...,E) of `edges` (E,2) between `vertices` (...,V,3)."""
    along = rows(vertices, edges[:, 1]) - rows(vertices, edges[:, 0])
    return (along.square().sum(-1) + TINY).sqrt()


def stretch(lengths: Tensor, shortest: Tensor, longest: Tensor) -> Tensor:
    """Mean squared strain of edges beyond the span they may have, all (...,E).

    The span runs from the shorter to the longer of bind pose and coarse motion: an edge that the coarse
    layer has stretched may relax to its bind length for free, and nothing is punished at the start. Where
    cloth gives or crumples, the caller widens the span.
    """
    return ((lengths / longest - 1).clamp(min=0) + (1 - lengths / shortest).clamp(min=0)).square().mean()


def acceleration(offsets: Tensor) -> Tensor:
    """Mean squared second difference of `offsets` (3,P,3) at three frames in a row, metres^2 / frame^4."""
    return (offsets[0] - 2 * offsets[1] + offsets[2]).square().sum(-1).mean()


def proposal(offsets: Tensor, proposed: Tensor, confidence: Tensor, scale: float) -> Tensor:
    """Pseudo-Huber distance of world offsets to proposed ones, both (P,3), weighted by `confidence` (P,).

    Quadratic within `scale` metres and linear beyond, so a few wild proposals do not tear the cloth.
    """
    squared = (offsets - proposed).square().sum(-1) / scale**2
    return (confidence * ((1 + squared).sqrt() - 1)).sum() / confidence.sum().clamp(min=TINY)


def penetration(heights: Tensor, wanted: Tensor, weights: Tensor, scale: float) -> Tensor:
    """Pseudo-Huber depth of vertices below their `wanted` height over the body, both (P,) metres.

    Weighted by `weights` (P,). Quadratic within `scale` metres and linear beyond, so what is deep inside is not
    thrown out at once, and what has nearly come out is still pushed.
    """
    depth = (wanted - heights).clamp(min=0)
    return (weights * ((1 + (depth / scale).square()).sqrt() - 1)).sum() / weights.sum().clamp(min=TINY)
