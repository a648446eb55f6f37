"""Wan networks of diffusers' own classes, small and random."""

from __future__ import annotations

import torch
from diffusers import AutoencoderKLWan, WanVACETransformer3DModel

TRANSFORMER = {
    "num_layers": 3,
    "num_attention_heads": 4,
    "attention_head_dim": 32,
    "ffn_dim": 300,
    "text_dim": 64,
    "freq_dim": 64,
    "in_channels": 16,
    "out_channels": 16,
    "vace_layers": [0, 1],
    "vace_in_channels": 96,
}
TEXT = 32  # tokens of its prompt
VAE = {"base_dim": 8, "num_res_blocks": 1, "dim_mult": [1, 2, 4, 4]}


def transformer(**changes: object) -> WanVACETransformer3DModel:
    """Random weights, the same every time."""
    torch.manual_seed(0)
    return WanVACETransformer3DModel(**{**TRANSFORMER, **changes}).eval()


def vae(**changes: object) -> AutoencoderKLWan:
    """Random weights, the same every time."""
    torch.manual_seed(0)
    return AutoencoderKLWan(**{**VAE, **changes}).eval()


def inputs(clip, dtype: torch.dtype = torch.float32, device: str = "cpu", text_dim: int = 64) -> dict[str, object]:
    """What the transformer takes for a `ClipShape`."""
    generator = None if device == "meta" else torch.Generator().manual_seed(1)
    size = (clip.latent_frames, clip.height // 8, clip.width // 8)
    return {
        "hidden_states": torch.randn(1, 16, *size, dtype=dtype, device=device, generator=generator),
        "timestep": torch.full((1,), 500.0, device=device),
        "encoder_hidden_states": torch.randn(1, TEXT, text_dim, dtype=dtype, device=device, generator=generator),
        "control_hidden_states": torch.randn(1, 96, *size, dtype=dtype, device=device, generator=generator),
        "return_dict": False,
    }
