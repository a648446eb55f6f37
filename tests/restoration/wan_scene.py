"""A clip of the small character at any size and rate, its control video, and a tiny Wan prior for it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from small_clip import small_clip
from tiny_wan_repository import tiny_text_encoder, tiny_tokenizer, whole_wan_vace

from ani3dhuman.clip import CoarseClip
from ani3dhuman.restoration.video.diffusers_folder import models_key
from ani3dhuman.restoration.video.prompts import PromptEncoder
from ani3dhuman.restoration.wan.networks import WanModels
from ani3dhuman.restoration.wan.prior import WanConditions, WanOptions, WanVacePrior

TOKENS = 24


def clip_at(frames: int, width: int, height: int, fps: float) -> CoarseClip:
    clip = small_clip(frames=frames, gaussians=800)
    return replace(clip, cameras=clip.cameras.reframed(width, height), fps=fps)


def moving_bar(clip: CoarseClip) -> np.ndarray:
    """(T,H,W,3) uint8: a white bar that wanders over black, which stands for a pose drawing."""
    out = np.zeros((clip.frames, clip.cameras.height, clip.cameras.width, 3), np.uint8)
    for t in range(clip.frames):
        start = (2 * t) % clip.cameras.width
        out[t, :, start : start + max(4, clip.cameras.width // 8)] = 255
    return out


def noise_picture(width: int, height: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def models_of(pipeline: Any) -> WanModels:
    """The networks of a loaded `WanVACEPipeline`."""
    networks = (pipeline.vae, pipeline.transformer, pipeline.transformer_2)
    return WanModels(*networks, pipeline.config.boundary_ratio, torch.device("cpu"), models_key(*networks))


def tiny_prompts() -> PromptEncoder:
    return PromptEncoder(lambda: (tiny_tokenizer(), tiny_text_encoder()), "tiny", max_tokens=TOKENS)


def tiny_prior(
    conditions: WanConditions | None = None, pipeline: Any = None, boundary_ratio: float | None = None, **options: Any
) -> WanVacePrior:
    """`WanVacePrior` over random weights, with a bar as control video."""
    conditions = conditions or WanConditions(moving_bar, "a walk", "blur")
    pipeline = pipeline or whole_wan_vace(boundary_ratio=boundary_ratio)
    return WanVacePrior(models_of(pipeline), tiny_prompts(), conditions, WanOptions(**options))
