"""A random Wan-VACE pipeline of 0.2 M parameters, built offline: small enough to run in a test.

It has no text encoder: give it `prompt_embeds` (1,L,TEXT_DIM), as one does to save memory.
"""

from __future__ import annotations

import torch
from diffusers import AutoencoderKLWan, SchedulerMixin, WanVACEPipeline, WanVACETransformer3DModel

TEXT_DIM = 32


def tiny_wan_vace(scheduler: SchedulerMixin, seed: int = 0) -> WanVACEPipeline:
    """WanVACEPipeline with random weights (VAE and transformer)."""
    torch.manual_seed(seed)
    vae = AutoencoderKLWan(
        base_dim=8, z_dim=16, dim_mult=[1, 1, 1, 1], num_res_blocks=1, temperal_downsample=[False, True, True]
    )
    transformer = WanVACETransformer3DModel(
        patch_size=(1, 2, 2),
        num_attention_heads=2,
        attention_head_dim=16,
        in_channels=16,
        out_channels=16,
        text_dim=TEXT_DIM,
        freq_dim=64,
        ffn_dim=64,
        num_layers=2,
        cross_attn_norm=True,
        qk_norm="rms_norm_across_heads",
        rope_max_seq_len=64,
        vace_layers=[0],
        vace_in_channels=96,
    )
    pipeline = WanVACEPipeline(
        tokenizer=None,
        text_encoder=None,
        vae=vae.eval(),
        transformer=transformer.eval(),
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
