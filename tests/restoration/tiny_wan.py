"""Random Wan pipelines of 0.2 M parameters, built offline: small enough to run in a test.

They have no text encoder: give them `prompt_embeds` (1,L,TEXT_DIM), as one does to save memory.
"""

from __future__ import annotations

from typing import Any

import torch
from diffusers import (
    AutoencoderKLWan,
    SchedulerMixin,
    WanPipeline,
    WanTransformer3DModel,
    WanVACEPipeline,
    WanVACETransformer3DModel,
    WanVideoToVideoPipeline,
)

TEXT_DIM = 32
SIZES = {
    "patch_size": (1, 2, 2),
    "num_attention_heads": 2,
    "attention_head_dim": 16,
    "in_channels": 16,
    "out_channels": 16,
    "text_dim": TEXT_DIM,
    "freq_dim": 64,
    "ffn_dim": 64,
    "num_layers": 2,
    "cross_attn_norm": True,
    "qk_norm": "rms_norm_across_heads",
    "rope_max_seq_len": 64,
}


def tiny_vae() -> AutoencoderKLWan:
    return AutoencoderKLWan(
        base_dim=8, z_dim=16, dim_mult=[1, 1, 1, 1], num_res_blocks=1, temperal_downsample=[False, True, True]
    ).eval()


def tiny_wan_vace(scheduler: SchedulerMixin, seed: int = 0, boundary_ratio: float | None = None) -> WanVACEPipeline:
    """WanVACEPipeline with random weights (VAE and transformer); two experts where a boundary is given."""
    options = {**SIZES, "vace_layers": [0], "vace_in_channels": 96}
    return _pipeline(WanVACEPipeline, WanVACETransformer3DModel, options, scheduler, seed, boundary_ratio)


def tiny_wan(scheduler: SchedulerMixin, seed: int = 0, boundary_ratio: float | None = None) -> WanPipeline:
    """WanPipeline (text to video) with random weights; two experts where a boundary is given."""
    return _pipeline(WanPipeline, WanTransformer3DModel, SIZES, scheduler, seed, boundary_ratio)


def _pipeline(
    kind: Any, transformer: Any, options: dict[str, Any], scheduler: SchedulerMixin, seed: int, boundary: float | None
) -> Any:
    torch.manual_seed(seed)
    vae = tiny_vae()
    experts = [transformer(**options).eval() for _ in range(1 if boundary is None else 2)]
    pipeline = kind(
        tokenizer=None,
        text_encoder=None,
        vae=vae,
        transformer=experts[0],
        transformer_2=experts[1] if boundary is not None else None,
        boundary_ratio=boundary,
        scheduler=scheduler,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def tiny_wan_video_to_video(scheduler: SchedulerMixin, seed: int = 0) -> WanVideoToVideoPipeline:
    """WanVideoToVideoPipeline with the weights of `tiny_wan`."""
    torch.manual_seed(seed)
    vae = tiny_vae()
    pipeline = WanVideoToVideoPipeline(
        tokenizer=None,
        text_encoder=None,
        vae=vae,
        transformer=WanTransformer3DModel(**SIZES).eval(),
        scheduler=scheduler,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def encode(vae: AutoencoderKLWan, video: torch.Tensor) -> torch.Tensor:
    """Normalised latents of `video` (1,3,T,H,W) in -1..1, as Wan's transformer expects them."""
    mean = torch.tensor(vae.config.latents_mean).view(1, -1, 1, 1, 1)
    std = torch.tensor(vae.config.latents_std).view(1, -1, 1, 1, 1)
    with torch.no_grad():
        return (vae.encode(video).latent_dist.mode() - mean) / std
