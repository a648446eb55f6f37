"""The CUDA backend: gsplat itself."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from torch import Tensor

from .view import Tensors, View


def rasterize_cuda(tensors: Tensors, view: View) -> tuple[Tensor, Tensor, dict[str, Any]]:
    """`gsplat.rasterization`, unpacked so that meta has the shapes of the other backends."""
    from gsplat import rasterization  # here, because its import costs seconds that CPU users need not pay

    return rasterization(**tensors._asdict(), packed=False, **asdict(view))
