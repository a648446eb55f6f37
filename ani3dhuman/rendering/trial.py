"""A single Gaussian drawn on a device: gsplat may be there, and its kernels not."""

from __future__ import annotations

import torch

from .rasterize import rasterize


def draw_one(device: str) -> None:
    """Raise ImportError, OSError or RuntimeError where `device`, "cuda:N", cannot draw."""
    one, row = torch.ones(1, 3, device=device), torch.eye(4, device=device)
    camera = torch.eye(3, device=device)[None]
    rasterize(one, row[:1], one, one[:, 0], one, row[None], camera, width=16, height=16)
