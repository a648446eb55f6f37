"""The networks of Wan VACE, from a folder in the layout of diffusers repositories; nothing is fetched.

folder/model_index.json            the classes of the parts
folder/vae/, transformer/, text_encoder/, tokenizer/, and transformer_2/ where there are two experts
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKLWan, GGUFQuantizationConfig, WanVACETransformer3DModel
from transformers import PreTrainedTokenizerFast, UMT5EncoderModel

from ani3d_formats.errors import Ani3DError

from ..video.diffusers_folder import FETCH, DiffusersFolder, Family, models_key
from ..video.prompts import PromptEncoder
from .apply_memory_plan import transformers_of

WAN_VACE = Family(
    name="Wan VACE",
    code="wan",
    pipeline="WanVACEPipeline",
    classes={
        "vae": "AutoencoderKLWan",
        "transformer": "WanVACETransformer3DModel",
        "transformer_2": "WanVACETransformer3DModel",
        "text_encoder": "UMT5EncoderModel",
    },
    example="Wan2.1-VACE-1.3B-diffusers",
)
MAX_TOKENS = 512  # of a prompt, as in WanVACEPipeline
TRAIN_TIMESTEPS = 1000  # the timestep that Wan calls sigma = 1


@dataclass(frozen=True)
class WanModels:
    """What a prior runs; the names are those of `WanVACEPipeline`, so that memory plans apply to it.

    Attributes:
        vae: `AutoencoderKLWan`, float32.
        transformer: `WanVACETransformer3DModel`; of two experts the one for high noise.
        transformer_2: the one for low noise, or None.
        boundary_ratio: sigma below which `transformer_2` takes over, or None.
        device: where they compute, which with offloading is not where they lie.
        key: hash of what is loaded, see `models_key`.
    """

    vae: Any
    transformer: Any
    transformer_2: Any
    boundary_ratio: float | None
    device: torch.device
    key: str

    def __post_init__(self) -> None:
        if (self.transformer_2 is None) != (self.boundary_ratio is None):
            raise Ani3DError(
                "restoration.wan_experts",
                "A second expert and the noise level at which it takes over belong together; one of them is missing.",
                FETCH,
            )

    def expert(self, sigma: float) -> Any:
        """The transformer for a noise level."""
        if self.boundary_ratio is None or sigma >= self.boundary_ratio:
            return self.transformer
        return self.transformer_2


def load_wan_models(
    folder: Path,
    *,
    dtype: torch.dtype = torch.bfloat16,
    device: str | torch.device = "cpu",
    change: Callable[[WanModels], WanModels] | None = None,
    place: Callable[[WanModels], object] | None = None,
) -> WanModels:
    """Load VAE (float32) and transformers from a folder, without the network.

    Args:
        folder: a diffusers repository of Wan VACE; weights as safetensors, sharded or not. A transformer's may also be
            one quantised .gguf file beside its config.json, in place of the safetensors.
        dtype: of the transformers; quantised ones compute in it.
        device: where they compute.
        change: alters the networks while they lie on the CPU, e.g. adds an adapter.
        place: puts the networks, which then lie on the CPU, where they belong, e.g.
            ``lambda models: apply_plan(models, plan)``; None moves them to `device`.

    Raises:
        Ani3DError: ``restoration.wan_missing``: no such folder, or none of a pipeline;
            ``restoration.wan_class``: it holds another kind of model; ``restoration.wan_partial``: files or weights
            are missing or damaged; ``restoration.wan_experts``.
    """
    source = DiffusersFolder(Path(folder), WAN_VACE)
    parts = ["vae", "transformer"]
    if source.index.get("transformer_2", [None])[0] is not None:
        parts.append("transformer_2")
    for part in parts:
        source.check(part, "*.gguf" if gguf_file(Path(folder), part) else "*.safetensors")
    networks: dict[str, Any] = {
        part: source.load("vae", AutoencoderKLWan, torch.float32)
        if part == "vae"
        else _transformer(source, part, dtype)
        for part in parts
    }
    key = models_key(*networks.values())
    second = networks.get("transformer_2")
    models = WanModels(
        networks["vae"], networks["transformer"], second, source.index.get("boundary_ratio"), torch.device(device), key
    )
    if change is not None:
        models = change(models)
    put(models, place)
    return models


def put(models: WanModels, place: Callable[[WanModels], object] | None) -> None:
    """Put networks that lie on the CPU where they belong: as `place` does, else all where they compute."""
    if place is not None:
        place(models)
        return
    for network in (models.vae, *transformers_of(models)):
        network.to(models.device)


def compile_transformers(models: WanModels, backend: str = "inductor") -> None:
    """Let torch.compile translate the blocks of both experts, one kind of block once, when they are first used."""
    for network in transformers_of(models):
        network.compile_repeated_blocks(backend=backend)


def gguf_file(folder: Path, part: str) -> Path | None:
    """The one quantised file of a part, or None where there is none. Raises ``restoration.wan_gguf`` for several."""
    files = sorted((folder / part).glob("*.gguf"))
    if len(files) > 1:
        raise Ani3DError(
            "restoration.wan_gguf",
            f"{folder / part} holds {len(files)} .gguf files: {', '.join(path.name for path in files)}.",
            "Leave the one that is to be used.",
        )
    return files[0] if files else None


def _transformer(source: DiffusersFolder, part: str, dtype: torch.dtype) -> Any:
    path = gguf_file(source.path, part)
    if path is None:
        return source.load(part, WanVACETransformer3DModel, dtype)
    if importlib.util.find_spec("gguf") is None:
        raise Ani3DError(
            "models.needs_package", f"{path.name} needs the package gguf.", "Install it with: pip install gguf"
        )
    with source.loading():
        network: Any = WanVACETransformer3DModel.from_single_file(
            str(path),
            config=str(source.path),
            subfolder=part,
            quantization_config=GGUFQuantizationConfig(compute_dtype=dtype),
            torch_dtype=dtype,
            local_files_only=True,
        )
    lost = [name for name, weight in network.named_parameters() if weight.is_meta]
    if lost:
        raise source.partial_error(f"{len(lost)} weights of {path.name}, {lost[0]} first")
    return network.eval()


def load_prompt_encoder(
    folder: Path,
    *,
    dtype: torch.dtype = torch.bfloat16,
    device: str | torch.device = "cpu",
    cache: Path | None = None,
    max_tokens: int = MAX_TOKENS,
) -> PromptEncoder:
    """The prompt encoder of a folder; its weights are read when the first new prompt comes, and let go after it.

    Raises:
        Ani3DError: as `load_wan_models`.
    """
    return DiffusersFolder(Path(folder), WAN_VACE).prompt_encoder(
        UMT5EncoderModel, PreTrainedTokenizerFast, ("tokenizer.json",),
        dtype=dtype, device=device, cache=cache, max_tokens=max_tokens,
    )  # fmt: skip
