"""An LTX-Video repository as the hub lays them out, of 0.2 M random parameters, made and read offline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import (
    AutoencoderKLLTXVideo,
    FlowMatchEulerDiscreteScheduler,
    LTXConditionPipeline,
    LTXVideoTransformer3DModel,
    SchedulerMixin,
)
from tiny_wan_repository import tiny_tokenizer
from transformers import T5Config, T5EncoderModel

from ani3dhuman.restoration.ltx.prior import LtxConditions, LtxModels, LtxOptions, LtxPrior
from ani3dhuman.restoration.video.diffusers_folder import models_key
from ani3dhuman.restoration.video.prompts import PromptEncoder

TEXT_DIM = 16
TOKENS = 24
LAYOUT_095: dict[str, Any] = {
    "down_block_types": ("LTXVideo095DownBlock3D",) * 4,
    "spatio_temporal_scaling": (True,) * 4,
    "decoder_spatio_temporal_scaling": (True,) * 3,
    "decoder_inject_noise": (False,) * 4,
    "downsample_type": ("spatial", "temporal", "spatiotemporal", "spatiotemporal"),
    "upsample_residual": (True,) * 3,
    "upsample_factor": (2, 2, 2),
    "timestep_conditioning": True,
    "spatial_compression_ratio": 32,
    "temporal_compression_ratio": 8,
}


def tiny_ltx_vae(timestep_conditioning: bool = True) -> AutoencoderKLLTXVideo:
    """The layout of version 0.9.5: 32 x 32 pixels of 8 frames a latent, a decoder that takes the last step of noise."""
    vae = AutoencoderKLLTXVideo(
        latent_channels=8,
        block_out_channels=(8, 8, 8, 8, 8),
        decoder_block_out_channels=(8, 16, 32),
        layers_per_block=(1, 1, 1, 1, 1),
        decoder_layers_per_block=(1, 1, 1, 1),
        **{**LAYOUT_095, "timestep_conditioning": timestep_conditioning},
    )
    vae.latents_mean.copy_(torch.linspace(-0.3, 0.3, 8))
    vae.latents_std.copy_(torch.linspace(0.5, 1.5, 8))
    return vae.eval()


def whole_ltx(scheduler: SchedulerMixin | None = None, **vae: Any) -> LTXConditionPipeline:
    """LTXConditionPipeline with random weights, tokenizer and text encoder included."""
    torch.manual_seed(0)
    transformer = LTXVideoTransformer3DModel(
        in_channels=8, out_channels=8, num_attention_heads=2, attention_head_dim=16, cross_attention_dim=32,
        num_layers=2, caption_channels=TEXT_DIM,
    )  # fmt: skip
    text = T5Config(
        vocab_size=64, d_model=TEXT_DIM, d_kv=8, d_ff=32, num_layers=2, num_heads=2, feed_forward_proj="gated-gelu",
        is_encoder_decoder=False,
    )  # fmt: skip
    pipeline = LTXConditionPipeline(
        scheduler=scheduler or FlowMatchEulerDiscreteScheduler(),
        vae=tiny_ltx_vae(**vae),
        text_encoder=T5EncoderModel(text).eval(),
        tokenizer=tiny_tokenizer(),
        transformer=transformer.eval(),
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def write_ltx(folder: Path) -> LTXConditionPipeline:
    """Save `whole_ltx` to `folder`, the transformer in shards, and give it back."""
    pipeline = whole_ltx()
    pipeline.save_pretrained(folder, safe_serialization=True, max_shard_size="40KB")
    return pipeline


def tiny_ltx(
    pipeline: LTXConditionPipeline | None = None, preserve: np.ndarray | None = None, **options: Any
) -> LtxPrior:
    """`LtxPrior` over random weights."""
    pipeline = pipeline or whole_ltx()
    models = LtxModels(
        pipeline.vae, pipeline.transformer, torch.device("cpu"), models_key(pipeline.vae, pipeline.transformer)
    )
    prompts = PromptEncoder(lambda: (pipeline.tokenizer, pipeline.text_encoder), "tiny", max_tokens=TOKENS)
    return LtxPrior(models, prompts, LtxConditions("a walk", "blur", preserve), LtxOptions(**options))
