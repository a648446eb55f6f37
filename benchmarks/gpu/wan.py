"""Wan2.1-VACE-1.3B in its real shapes with random weights: seconds and memory, held against what was predicted."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
from diffusers import AutoencoderKLWan, WanVACETransformer3DModel

from ani3dhuman.models.find import find
from ani3dhuman.models.shapes import ClipShape, VaeShape, WanShape
from ani3dhuman.restoration.wan.cost import (
    UTILISATION,
    VAE_SPEED,
    VAE_UTILISATION,
    decode_flops,
    encode_flops,
    transformer_flops,
)
from ani3dhuman.restoration.wan.memory import FULL, HALF, decode_bytes, denoise_bytes

MODEL = "wan2.1-vace-1.3b"
CLIP, TINY_CLIP = ClipShape(832, 480, 81), ClipShape(64, 64, 5)
TINY = WanShape(layers=2, heads=2, head_dim=32, ffn=96, vace=1, text_dim=64, freq_dim=64)
TEXT = 512  # tokens of a prompt


def measured(device: str, tiny: bool) -> dict[str, Any]:
    """Rows: one pass of the transformer, encoding, decoding; each with its prediction."""
    dtype = torch.float32 if device == "cpu" else torch.bfloat16
    shape, clip = (TINY, TINY_CLIP) if tiny else (find(MODEL).transformer, CLIP)
    assert shape is not None
    vae = VaeShape(base=8) if tiny else VaeShape()
    peak = matrix_speed(device, dtype, 256 if tiny else 8192)
    rows: dict[str, Any] = {"wan_clip": [clip.width, clip.height, clip.frames], "wan_matrix_tflops": peak / 1e12}
    with torch.no_grad():
        rows |= _transformer(device, dtype, shape, clip)
        rows |= _vae(device, vae, clip)
    rows["wan_step_predicted_s"] = transformer_flops(shape, clip) / (peak * UTILISATION)
    rows["wan_decode_predicted_s"] = decode_flops(vae, clip) / (peak * VAE_SPEED * VAE_UTILISATION)
    rows["wan_encode_predicted_s"] = encode_flops(vae, clip) / (peak * VAE_SPEED * VAE_UTILISATION)
    rows["wan_step_peak_predicted_gb"] = denoise_bytes(shape, clip, FULL if device == "cpu" else HALF) / 1e9
    rows["wan_decode_peak_predicted_gb"] = decode_bytes(vae, clip, tiled=False) / 1e9
    for name in ("step", "decode", "encode"):
        rows[f"wan_{name}_over_predicted"] = rows[f"wan_{name}_s"] / rows[f"wan_{name}_predicted_s"]
    for name in ("step", "decode"):
        if rows[f"wan_{name}_peak_gb"]:
            ratio = rows[f"wan_{name}_peak_gb"] / rows[f"wan_{name}_peak_predicted_gb"]
            rows[f"wan_{name}_peak_over_predicted"] = ratio
    return {name: round(value, 5) if isinstance(value, float) else value for name, value in rows.items()}


def matrix_speed(device: str, dtype: torch.dtype, side: int) -> float:
    """Operations a second of large matrix products: what the cost model calls a card's peak."""
    a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    seconds, _ = timed(lambda: a @ b, device, repeats=5)
    return 2.0 * side**3 / seconds


def timed(run: Callable[[], Any], device: str, repeats: int = 2) -> tuple[float, float]:
    """Seconds of one run after a first one, and the GB that it takes beyond what was there; 0 on the CPU."""
    run()
    on_card = device.startswith("cuda")
    if on_card:
        torch.cuda.synchronize(device)
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
    started = time.perf_counter()
    for _ in range(repeats):
        run()
    if not on_card:
        return (time.perf_counter() - started) / repeats, 0.0
    torch.cuda.synchronize(device)
    seconds = (time.perf_counter() - started) / repeats
    return seconds, (torch.cuda.max_memory_allocated(device) - before) / 1e9


def _transformer(device: str, dtype: torch.dtype, shape: WanShape, clip: ClipShape) -> dict[str, Any]:
    with torch.device(device):
        torch.set_default_dtype(dtype)
        try:
            network: Any = WanVACETransformer3DModel(
                num_attention_heads=shape.heads,
                attention_head_dim=shape.head_dim,
                ffn_dim=shape.ffn,
                num_layers=shape.layers,
                vace_layers=list(range(0, shape.layers, max(shape.layers // shape.vace, 1)))[: shape.vace],
                text_dim=shape.text_dim,
                freq_dim=shape.freq_dim,
            )
            network.eval()
        finally:
            torch.set_default_dtype(torch.float32)
        size = (clip.latent_frames, clip.height // 8, clip.width // 8)
        given = {
            "hidden_states": torch.randn(1, 16, *size, dtype=dtype),
            "timestep": torch.full((1,), 500.0),
            "encoder_hidden_states": torch.randn(1, TEXT, shape.text_dim, dtype=dtype),
            "control_hidden_states": torch.randn(1, 96, *size, dtype=dtype),
            "return_dict": False,
        }
    seconds, peak = timed(lambda: network(**given), device)
    return {"wan_step_s": seconds, "wan_step_peak_gb": peak, "wan_finite": bool(network(**given)[0].isfinite().all())}


def _vae(device: str, shape: VaeShape, clip: ClipShape) -> dict[str, Any]:
    with torch.device(device):
        network: Any = AutoencoderKLWan(base_dim=shape.base)
        network.eval()
        latents = torch.randn(1, 16, clip.latent_frames, clip.height // 8, clip.width // 8)
        video = torch.randn(1, 3, clip.frames, clip.height, clip.width)
    decode, decode_peak = timed(lambda: network.decode(latents, return_dict=False), device, repeats=1)
    encode, encode_peak = timed(lambda: network.encode(video, return_dict=False), device, repeats=1)
    rows = {"wan_decode_s": decode, "wan_decode_peak_gb": decode_peak}
    return {**rows, "wan_encode_s": encode, "wan_encode_peak_gb": encode_peak}
