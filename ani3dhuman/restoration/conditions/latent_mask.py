"""Conditions at latent resolution, for priors with a causal video VAE (Wan: 8x8 pixels, 4k+1 frames)."""

from __future__ import annotations

import torch
from torch.nn.functional import max_pool2d

from ani3d_formats.errors import Ani3DError


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


def with_reference_frames(
    latents: torch.Tensor, mask: torch.Tensor | None, reference: torch.Tensor, preserve: float = 1.0
) -> tuple[torch.Tensor, torch.Tensor]:
    """Put reference pictures in front of a clip, as Wan-VACE does, for `set_self_guidance` and `initial_latents`.

    WanVACEPipeline denoises one latent frame a reference picture before those of the clip and drops them in
    the end; it puts the last picture of its list first.

    Args:
        latents: (B,C,T,h,w) normalised latents of the coarse clip.
        mask: 0..1, broadcastable to that shape; None preserves everywhere.
        reference: (B,C,R,h,w) normalised latents of R pictures, each encoded by itself, in the pipeline's order.
        preserve: mask of the reference frames, 0..1; 0 leaves them to the model (and out of the statistics of
            correction "match").

    Returns:
        Latents (B,C,R+T,h,w) and mask (B,1 or C,R+T,h,w).

    Raises:
        Ani3DError: ``restoration.reference_shape``: reference and latents differ in more than the number of frames;
            ``restoration.mask_shape``: the mask does not fit the latents.
    """
    if latents.ndim != 5 or reference.ndim != 5 or reference[:, :, :1].shape != latents[:, :, :1].shape:
        raise Ani3DError(
            "restoration.reference_shape",
            f"Reference latents {tuple(reference.shape)} do not go before latents {tuple(latents.shape)}.",
            "Encode the reference picture at the size of the clip, as (B,C,R,h,w).",
        )
    mask = latents.new_ones(()) if mask is None else mask.to(latents)
    mask = mask.reshape(*[1] * (5 - mask.ndim), *mask.shape)
    channels = mask.shape[1]
    fits = all(have in (1, want) for have, want in zip(mask.shape, latents.shape, strict=False)) and mask.ndim == 5
    if not fits:
        raise Ani3DError(
            "restoration.mask_shape",
            f"Preserve mask {tuple(mask.shape)} does not fit latents {tuple(latents.shape)}.",
            "Pool the mask to latent resolution first (restoration.conditions.latent_mask).",
        )
    mask = mask.expand(len(latents), channels, *latents.shape[2:])
    front = mask.new_full((len(latents), channels, reference.shape[2], *latents.shape[3:]), preserve)
    return torch.cat([reference.to(latents), latents], 2), torch.cat([front, mask], 2)
