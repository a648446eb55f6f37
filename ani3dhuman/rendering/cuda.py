"""The CUDA backend: gsplat itself."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from torch import Tensor

from .view import View


def rasterize_cuda(
    means: Tensor,
    quats: Tensor,
    scales: Tensor,
    opacities: Tensor,
    colors: Tensor,
    viewmats: Tensor,
    Ks: Tensor,
    backgrounds: Tensor | None,
    view: View,
) -> tuple[Tensor, Tensor, dict[str, Any]]:
    """`gsplat.rasterization`, unpacked so that meta has the shapes of the other backends."""
    from gsplat import rasterization  # here, because its import costs seconds that CPU users need not pay

    gaussians = (means, quats, scales, opacities, colors, viewmats, Ks)
    return rasterization(*gaussians, backgrounds=backgrounds, packed=False, **asdict(view))
