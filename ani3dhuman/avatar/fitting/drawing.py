"""One picture of a fit drawn, on whatever device its Gaussians are."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from ...device import CPU, Compute
from ...rendering import rasterize
from ...rendering.draw import BLUR, SAMPLES, finer, sampled
from .targets import Target


def draw_target(
    gaussians: Sequence[Tensor], target: Target, backdrop: Tensor, compute: Compute
) -> tuple[Tensor, Tensor]:
    """Gaussians as the target's camera sees them over a `backdrop` (3,): colours (1,H,W,3) and alphas (1,H,W,1).

    `gaussians` are means (N,3), quats (N,4), scales (N,3), opacities (N,) and colours (N,3), sRGB-encoded.
    """
    height, width = target.alpha.shape
    return sampled(
        gaussians,
        compute.tensor(target.viewmat)[None],
        compute.tensor(target.K)[None],
        width=width,
        height=height,
        backgrounds=backdrop[None],
    )


def draw_samples(gaussians: Sequence[Tensor], target: Target, backdrop: Tensor) -> tuple[Tensor, Tensor]:
    """The samples that `draw_target` takes the mean of, on the CPU: `SAMPLES` times as many pixels along each side."""
    means, quats, scales, opacities, colors = gaussians
    height, width = target.alpha.shape
    image, alphas, _ = rasterize(
        means,
        quats,
        scales,
        opacities,
        colors,
        CPU.tensor(target.viewmat)[None],
        finer(CPU.tensor(target.K)[None], SAMPLES),
        width=SAMPLES * width,
        height=SAMPLES * height,
        backgrounds=backdrop[None],
        eps2d=SAMPLES**2 * BLUR,
    )
    return image, alphas
