"""Random adapters for the tiny Wan, in the spellings of the hub."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import WanVACETransformer3DModel
from safetensors.torch import save_file
from tiny_wan import SIZES

RANK = 4
LAYERS = {
    "self_attn.q": "attn1.to_q",
    "self_attn.o": "attn1.to_out.0",
    "cross_attn.k": "attn2.to_k",
    "ffn.0": "ffn.net.0.proj",
    "ffn.2": "ffn.net.2",
}


def network(seed: int = 0) -> WanVACETransformer3DModel:
    torch.manual_seed(seed)
    return WanVACETransformer3DModel(**SIZES, vace_layers=[0], vace_in_channels=96).eval()


def write_adapter(path: Path, seed: int, spelling: str = "wan", alpha: float | None = None) -> dict[str, torch.Tensor]:
    """A random adapter as the hub spells it; gives the change of every weight that it stands for."""
    generator = torch.Generator().manual_seed(seed)
    like = network()
    tensors, changes = {}, {}
    for block in range(len(like.blocks)):
        for theirs, ours in LAYERS.items():
            weight = like.get_submodule(f"blocks.{block}.{ours}").weight
            down = torch.randn(RANK, weight.shape[1], generator=generator) * 0.2
            up = torch.randn(weight.shape[0], RANK, generator=generator) * 0.2
            if spelling == "wan":
                name, (a, b) = f"diffusion_model.blocks.{block}.{theirs}", ("lora_down", "lora_up")
            else:
                name, (a, b) = f"transformer.blocks.{block}.{ours}", ("lora_A", "lora_B")
            tensors |= {f"{name}.{a}.weight": down, f"{name}.{b}.weight": up}
            if alpha is not None:
                tensors[f"{name}.alpha"] = torch.tensor(alpha)
            changes[f"blocks.{block}.{ours}.weight"] = up @ down * (1.0 if alpha is None else alpha / RANK)
    save_file(tensors, path)
    return changes
