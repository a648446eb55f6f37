"""One picture of a fit drawn, on whatever device its Gaussians are."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from ...device import Compute
from ...rendering import rasterize
from ...rendering.draw import BLUR
from .targets import Target


def draw_target(
    gaussians: Sequence[Tensor], target: Target, backdrop: Tensor, compute: Compute
) -> tuple[Tensor, Tensor]:
    """Gaussians as the target's camera sees them over a `backdrop` (3,): colours (1,H,W,3) and alphas (1,H,W,1).

    `gaussians` are means (N,3), quats (N,4), scales (N,3), opacities (N,) and colours (N,3), sRGB-encoded.
    """
    means, quats, scales, opacities, colors = gaussians
    height, width = target.alpha.shape
    image, alphas, _ = rasterize(
        means,
        quats,
        scales,
        opacities,
        colors,
        compute.tensor(target.viewmat)[None],
        compute.tensor(target.K)[None],
        width=width,
        height=height,
        backgrounds=backdrop[None],
        eps2d=BLUR,
    )
    return image, alphas
