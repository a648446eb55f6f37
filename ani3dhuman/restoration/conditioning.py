"""Conditions at latent resolution, for priors with a causal video VAE (Wan: 8x8 pixels, 4k+1 frames)."""

from __future__ import annotations

import torch
from torch.nn.functional import max_pool2d

from ..errors import Ani3DError


def latent_mask(mask: torch.Tensor, spatial: int = 8, temporal: int = 4) -> torch.Tensor:
    """Pool a preserve mask to the latents of a causal video VAE.

    Maximum over `spatial` x `spatial` pixels; in time frame 0 stands alone, then each group of
    `temporal` frames shares one latent (a last, incomplete group counts as it is).

    Args:
        mask: (T,H,W), 0..1; H and W multiples of `spatial`.

    Returns:
        (1 + ceil((T-1)/temporal), H/spatial, W/spatial).

    Raises:
        Ani3DError: wrong rank or size.
    """
    if mask.ndim != 3 or mask.shape[1] % spatial or mask.shape[2] % spatial:
        raise Ani3DError(
            "restoration.mask_size",
            f"Preserve mask {tuple(mask.shape)} is not (T,H,W) with H and W multiples of {spatial}.",
            "Render at a size the prior's VAE divides.",
        )
    pooled = max_pool2d(mask[:, None].float(), spatial)[:, 0]
    first, rest = pooled[:1], pooled[1:]
    groups = [group.amax(0, keepdim=True) for group in rest.split(temporal)] if len(rest) else []
    return torch.cat([first, *groups])
