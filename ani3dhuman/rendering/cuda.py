"""The CUDA backend: gsplat itself."""

from __future__ import annotations

from typing import Any

from torch import Tensor


def rasterize_cuda(
    means: Tensor,
    quats: Tensor,
    scales: Tensor,
    opacities: Tensor,
    colors: Tensor,
    viewmats: Tensor,
    Ks: Tensor,
    width: int,
    height: int,
    **options: Any,
) -> tuple[Tensor, Tensor, dict[str, Any]]:
    """`gsplat.rasterization`, unpacked so that meta has the shapes of the other backends."""
    from gsplat import rasterization  # here, because its import costs seconds that CPU users need not pay

    return rasterization(means, quats, scales, opacities, colors, viewmats, Ks, width, height, packed=False, **options)
