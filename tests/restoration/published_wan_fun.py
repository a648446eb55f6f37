"""A tiny Wan-Fun-Control under the names and shapes that its authors publish, and its network in plain PyTorch."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn.functional import conv2d, conv3d, gelu, layer_norm, linear, scaled_dot_product_attention, silu

CONFIG: dict[str, Any] = {  # the values of config.json of Wan2.1-Fun-V1.1-1.3B-Control
    "model_type": "i2v",
    "text_len": 512,
    "in_dim": 48,
    "dim": 1536,
    "ffn_dim": 8960,
    "freq_dim": 256,
    "out_dim": 16,
    "num_heads": 12,
    "num_layers": 30,
    "eps": 1e-6,
    "add_ref_conv": True,
    "in_dim_ref_conv": 16,
}
TINY = {
    **CONFIG, "dim": 32, "num_heads": 2, "ffn_dim": 64, "freq_dim": 64, "num_layers": 2, "text_dim": 32, "image_dim": 24
}  # fmt: skip


def published_shapes(config: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the published weights."""
    d, ffn, text, image = config["dim"], config["ffn_dim"], config.get("text_dim", 4096), config.get("image_dim", 1280)
    shapes: dict[str, tuple[int, ...]] = {
        "patch_embedding.weight": (d, config["in_dim"], 1, 2, 2),
        "patch_embedding.bias": (d,),
        "head.modulation": (1, 2, d),
    }

    def dense(name: str, inputs: int, outputs: int) -> None:
        shapes.update({f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)})

    dense("text_embedding.0", text, d)
    dense("text_embedding.2", d, d)
    dense("time_embedding.0", config["freq_dim"], d)
    dense("time_embedding.2", d, d)
    dense("time_projection.1", d, 6 * d)
    dense("head.head", d, 4 * config["out_dim"])
    for n in range(config["num_layers"]):
        block = f"blocks.{n}"
        shapes |= {f"{block}.modulation": (1, 6, d), f"{block}.norm3.weight": (d,), f"{block}.norm3.bias": (d,)}
        for attention in ("self_attn", "cross_attn"):
            for part in "qkvo":
                dense(f"{block}.{attention}.{part}", d, d)
            shapes |= {f"{block}.{attention}.norm_{part}.weight": (d,) for part in "qk"}
        if config["model_type"] == "i2v":
            dense(f"{block}.cross_attn.k_img", d, d)
            dense(f"{block}.cross_attn.v_img", d, d)
            shapes[f"{block}.cross_attn.norm_k_img.weight"] = (d,)
        dense(f"{block}.ffn.0", d, ffn)
        dense(f"{block}.ffn.2", ffn, d)
    if config["model_type"] == "i2v":
        dense("img_emb.proj.1", image, image)
        dense("img_emb.proj.3", image, d)
        shapes |= {f"img_emb.proj.0.{part}": (image,) for part in ("weight", "bias")}
        shapes |= {f"img_emb.proj.4.{part}": (d,) for part in ("weight", "bias")}
    if config.get("add_ref_conv"):
        shapes |= {"ref_conv.weight": (d, config["in_dim_ref_conv"], 2, 2), "ref_conv.bias": (d,)}
    return shapes


def write_published(folder: Path, config: dict[str, Any] = TINY, seed: int = 0) -> dict[str, Tensor]:
    """Random weights and config.json in a folder; the weights."""
    torch.manual_seed(seed)
    weights = {
        name: torch.randn(shape) * (0.3 if len(shape) == 1 else 0.7 / math.sqrt(math.prod(shape[1:])))
        for name, shape in published_shapes(config).items()
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    save_file(weights, folder / "diffusion_pytorch_model.safetensors")
    return weights


def published_network(
    w: dict[str, Tensor],
    config: dict[str, Any],
    video: Tensor,
    timestep: float,
    text: Tensor,
    picture: Tensor | None,
    reference: Tensor | None,
) -> Tensor:
    """Velocity (1,16,F,h,w) as Wan's own network computes it.

    Args:
        w: the published weights.
        config: of them.
        video: (1,48,F,h,w) noisy, control and start latents.
        timestep: 0..1000.
        text: embeddings (1,512,D).
        picture: features (1,N,D) of a picture.
        reference: latents (1,16,h,w), which come before the video.
    """
    d, heads = config["dim"], config["num_heads"]

    def dense(name: str, x: Tensor) -> Tensor:
        return linear(x, w[f"{name}.weight"], w[f"{name}.bias"])

    def rms(x: Tensor, name: str) -> Tensor:
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + config["eps"]) * w[f"{name}.weight"]

    def plain(x: Tensor) -> Tensor:
        return layer_norm(x, (d,), eps=config["eps"])

    def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        parts = [t.unflatten(-1, (heads, -1)).transpose(1, 2) for t in (q, k, v)]
        return scaled_dot_product_attention(*parts).transpose(1, 2).flatten(2)

    tokens = conv3d(video, w["patch_embedding.weight"], w["patch_embedding.bias"], stride=(1, 2, 2))
    if reference is not None:
        first = conv2d(reference, w["ref_conv.weight"], w["ref_conv.bias"], stride=2)
        tokens = torch.cat([first[:, :, None], tokens], 2)
    frames, height, width = tokens.shape[2:]
    x = tokens.flatten(2).transpose(1, 2)

    half = d // heads // 2
    rows = [half - 2 * (half // 3), half // 3, half // 3]
    places = torch.meshgrid(torch.arange(frames), torch.arange(height), torch.arange(width), indexing="ij")
    turns = torch.cat(
        [
            place.reshape(-1, 1).double() * 10000.0 ** (-torch.arange(count).double() / count)
            for place, count in zip(places, rows, strict=True)
        ],
        1,
    )
    turn = torch.polar(torch.ones_like(turns), turns)[:, None]

    def rope(t: Tensor) -> Tensor:
        pairs = torch.view_as_complex(t.double().unflatten(-1, (heads, -1, 2)))
        return torch.view_as_real(pairs * turn).flatten(2).to(t)

    count = config["freq_dim"] // 2
    angle = timestep * 10000.0 ** (-torch.arange(count).double() / count)
    wave = torch.cat([angle.cos(), angle.sin()])[None].float()
    time = dense("time_embedding.2", silu(dense("time_embedding.0", wave)))
    steps = dense("time_projection.1", silu(time)).unflatten(1, (6, d))
    context = dense("text_embedding.2", gelu(dense("text_embedding.0", text), approximate="tanh"))
    seen = None
    if picture is not None:
        names = "img_emb.proj"
        seen = layer_norm(picture, picture.shape[-1:], w[f"{names}.0.weight"], w[f"{names}.0.bias"])
        seen = dense(f"{names}.3", gelu(dense(f"{names}.1", seen)))
        seen = layer_norm(seen, (d,), w[f"{names}.4.weight"], w[f"{names}.4.bias"])

    for n in range(config["num_layers"]):
        own, other = f"blocks.{n}.self_attn", f"blocks.{n}.cross_attn"
        shift, scale, gate, shift2, scale2, gate2 = (w[f"blocks.{n}.modulation"] + steps).unbind(1)
        y = plain(x) * (1 + scale) + shift
        q, k = rope(rms(dense(f"{own}.q", y), f"{own}.norm_q")), rope(rms(dense(f"{own}.k", y), f"{own}.norm_k"))
        x = x + gate * dense(f"{own}.o", attend(q, k, dense(f"{own}.v", y)))
        y = layer_norm(x, (d,), w[f"blocks.{n}.norm3.weight"], w[f"blocks.{n}.norm3.bias"], config["eps"])
        q = rms(dense(f"{other}.q", y), f"{other}.norm_q")
        y = attend(q, rms(dense(f"{other}.k", context), f"{other}.norm_k"), dense(f"{other}.v", context))
        if seen is not None:
            keys = rms(dense(f"{other}.k_img", seen), f"{other}.norm_k_img")
            y = y + attend(q, keys, dense(f"{other}.v_img", seen))
        x = x + dense(f"{other}.o", y)
        y = plain(x) * (1 + scale2) + shift2
        x = x + gate2 * dense(f"blocks.{n}.ffn.2", gelu(dense(f"blocks.{n}.ffn.0", y), approximate="tanh"))

    shift, scale = (w["head.modulation"] + time[:, None]).unbind(1)
    x = dense("head.head", plain(x) * (1 + scale) + shift)
    x = x.reshape(1, frames, height, width, 2, 2, -1).permute(0, 6, 1, 2, 4, 3, 5).flatten(5).flatten(3, 4)
    return x[:, :, 1:] if reference is not None else x
