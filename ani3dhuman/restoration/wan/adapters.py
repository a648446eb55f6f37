"""Few-step adapters of Wan (CausVid, lightx2v): low-rank changes of the weights, added once when a model is loaded.

Files come in three spellings of the same thing, diffusers' own, Wan's and kohya's; diffusers converts them. An
adapter is fused into the weights, so that it takes no memory or time afterwards and every memory plan stays as it is.
It is made for Wan's plain blocks; the control blocks of VACE keep their weights. A file with whole blocks in place of
low-rank changes is a base (`bases`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from diffusers.loaders import WanLoraLoaderMixin
from safetensors import SafetensorError
from safetensors.torch import load_file

from ani3d_formats.errors import Ani3DError

from .bases import is_base, sparse_parts, take_base
from .networks import WanModels

NAME = "few_steps"
PREFIX = "transformer."
LOW_NOISE = "low_noise"  # how the file for the second expert is called


@dataclass(frozen=True)
class WanAdapter:
    """An adapter's files.

    Attributes:
        files: one for every expert, or one for both; of two the one for low noise has "low_noise" in its name.
        scale: how much of it is added, 1 for all.
    """

    files: tuple[Path, ...]
    scale: float = 1.0

    def file_for(self, part: str) -> Path:
        """The file for "transformer" (high noise) or "transformer_2" (low noise)."""
        if len(self.files) == 1:
            return self.files[0]
        low = [path for path in self.files if LOW_NOISE in path.name.lower()]
        high = [path for path in self.files if path not in low]
        chosen = low if part == "transformer_2" else high
        if len(chosen) != 1:
            raise Ani3DError(
                "restoration.adapter_files",
                f"It is not clear which of {', '.join(path.name for path in self.files)} is for which expert.",
                f"Give one file, or two of which one has '{LOW_NOISE}' in its name.",
            )
        return chosen[0]


def with_adapter(models: WanModels, adapter: WanAdapter) -> WanModels:
    """Add an adapter to the transformers, in place; they must lie where they can be computed with.

    Returns:
        The models under a key of their own.

    Raises:
        Ani3DError: ``models.needs_package``: peft is missing; ``restoration.adapter_files``: a file is missing or
            damaged, or it is not clear whose it is; ``restoration.adapter_base``: it is made for another model;
            ``restoration.adapter_quantised``: the weights are quantised and cannot take it in.
    """
    digest = hashlib.sha256(f"{models.key}{adapter.scale}".encode())
    for part in ("transformer", "transformer_2"):
        network = getattr(models, part)
        if network is None:
            continue
        path = adapter.file_for(part)
        if getattr(network, "hf_quantizer", None) is not None:
            raise Ani3DError(
                "restoration.adapter_quantised",
                f"The adapter {path.name} cannot be added to quantised weights.",
                "Use the model's safetensors instead of the .gguf file, or leave the adapter out.",
            )
        weights = take_base(network, path) if is_base(path) else _fused(network, path, adapter.scale)
        for name in sorted(weights):
            digest.update(f"{part}{name}".encode())
            digest.update(weights[name].flatten()[:8].float().numpy().tobytes())
    return replace(models, key=digest.hexdigest())


def _fused(network: Any, path: Path, scale: float) -> dict[str, torch.Tensor]:
    """Add `scale` of a file's low-rank changes to a transformer; the file's weights."""
    _need_peft()
    weights = read_adapter(path)
    _check(network, weights, path)
    network.load_lora_adapter(weights, prefix=PREFIX[:-1], adapter_name=NAME)
    try:
        network.fuse_lora(lora_scale=scale, adapter_names=[NAME], safe_fusing=True)
    except ValueError as error:
        raise Ani3DError(
            "restoration.adapter_files",
            f"The adapter {path.name} holds NaN or infinity ({error}).",
            "Fetch it again, or use another one.",
        ) from error
    network.unload_lora()
    return weights


def read_adapter(path: Path) -> dict[str, torch.Tensor]:
    """The weights of an adapter's file under diffusers' names, "transformer.blocks.0.attn1.to_q.lora_A.weight"."""
    try:
        raw = load_file(path)
        if not any("blocks" in name for name in raw):
            raise ValueError("it changes no block")
        converted: dict[str, torch.Tensor] = WanLoraLoaderMixin.lora_state_dict(raw)
    except (OSError, SafetensorError, ValueError, KeyError) as error:
        raise Ani3DError(
            "restoration.adapter_files",
            f"The adapter {path} cannot be read as one of Wan ({error}).",
            "Fetch it again, as a safetensors file.",
        ) from error
    return {name if name.startswith(PREFIX) else PREFIX + name: value for name, value in converted.items()}


def left_out(path: Path) -> list[str]:
    """What an adapter changes besides low-rank layers and their biases, and what is therefore not applied."""
    if is_base(path):
        return sparse_parts(path)
    raw = load_file(path)
    return sorted(name for name, value in raw.items() if name.endswith((".diff", ".diff_m")) and value.any())


def _check(network: Any, weights: dict[str, torch.Tensor], path: Path) -> None:
    """Every pair of the adapter must fit a layer of the network; libraries only warn where none does."""
    layers = dict(network.named_modules())
    pairs = {name.rsplit(".lora_", 1)[0] for name in weights if ".lora_" in name}
    wrong: list[str] = []
    for pair in sorted(pairs):
        layer = layers.get(pair.removeprefix(PREFIX))
        down, up = weights.get(f"{pair}.lora_A.weight"), weights.get(f"{pair}.lora_B.weight")
        if layer is None or not hasattr(layer, "weight") or not _fits(layer.weight, down, up):
            wrong.append(pair.removeprefix(PREFIX))
    if wrong or not pairs:
        what = f"{len(wrong)} of its {len(pairs)} layers fit none, {wrong[0]} first" if wrong else "it holds no layers"
        raise Ani3DError(
            "restoration.adapter_base",
            f"The adapter {path.name} is not made for this model: {what}.",
            "ani3dhuman models list says which adapter goes with which prior.",
        )


def _fits(weight: torch.Tensor, down: torch.Tensor | None, up: torch.Tensor | None) -> bool:
    if down is None or up is None:
        return down is None and up is not None  # a bias alone
    return up.shape[0] == weight.shape[0] and down.shape[1] == weight.shape[1] and up.shape[1] == down.shape[0]


def _need_peft() -> None:
    from diffusers.utils import is_peft_available

    if not is_peft_available():
        raise Ani3DError("models.needs_package", "Adapters need the package peft.", "Install it with: pip install peft")


def adapter_in(folder: Path, files: Sequence[str]) -> WanAdapter:
    """The adapter whose `files` lie in a folder of the model store."""
    return WanAdapter(tuple(Path(folder) / name for name in files))
