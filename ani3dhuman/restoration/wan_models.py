"""The networks of Wan VACE, from a folder in the layout of diffusers repositories; nothing is fetched.

folder/model_index.json            the classes of the parts
folder/vae/, transformer/, text_encoder/, tokenizer/, and transformer_2/ where there are two experts
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKLWan, WanVACETransformer3DModel
from safetensors import SafetensorError
from transformers import PreTrainedTokenizerFast, UMT5EncoderModel

from ..errors import Ani3DError
from .wan_text import MAX_TOKENS, PromptEncoder, TextModel

PIPELINE = "WanVACEPipeline"
CLASSES = {
    "vae": "AutoencoderKLWan",
    "transformer": "WanVACETransformer3DModel",
    "transformer_2": "WanVACETransformer3DModel",
    "text_encoder": "UMT5EncoderModel",
}
TRAIN_TIMESTEPS = 1000  # the timestep that Wan calls sigma = 1
FETCH = "Fetch the model again, whole and in diffusers' layout."


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


def models_of(pipeline: Any, device: str | torch.device = "cpu") -> WanModels:
    """The networks of a loaded `WanVACEPipeline`."""
    networks = (pipeline.vae, pipeline.transformer, pipeline.transformer_2)
    boundary = pipeline.config.boundary_ratio
    return WanModels(*networks, boundary, torch.device(device), models_key(*networks))


def models_key(*networks: Any) -> str:
    """Hash of configurations and of the first numbers of every weight: tells models apart, not single bits."""
    digest = hashlib.sha256()
    for network in networks:
        if network is None:
            continue
        shape = {name: value for name, value in network.config.items() if not name.startswith("_")}
        digest.update(json.dumps(shape, sort_keys=True, default=list).encode())
        for name, weight in network.named_parameters():
            digest.update(f"{name}{tuple(weight.shape)}{weight.dtype}".encode())
            digest.update(weight.detach().flatten()[:8].float().cpu().numpy().tobytes())
    return digest.hexdigest()


def load_wan_models(
    folder: Path,
    *,
    dtype: torch.dtype = torch.bfloat16,
    device: str | torch.device = "cpu",
    place: Callable[[WanModels], object] | None = None,
) -> WanModels:
    """Load VAE (float32) and transformers from a folder, without the network.

    Args:
        folder: a diffusers repository of Wan VACE; weights as safetensors, sharded or not.
        dtype: of the transformers.
        device: where they compute.
        place: puts the networks, which then lie on the CPU, where they belong, e.g.
            ``lambda models: apply_plan(models, plan)``; None moves them to `device`.

    Raises:
        Ani3DError: ``restoration.wan_missing``: no such folder, or none of a pipeline;
            ``restoration.wan_class``: it holds another kind of model; ``restoration.wan_partial``: files or weights
            are missing or damaged; ``restoration.wan_experts``.
    """
    folder = Path(folder)
    index = read_index(folder)
    parts = ["vae", "transformer"]
    if index.get("transformer_2", [None])[0] is not None:
        parts.append("transformer_2")
    for part in parts:
        _check_part(folder, index, part)
    with _loading(folder):
        networks: dict[str, Any] = {
            part: _load(AutoencoderKLWan, folder / part, torch.float32)
            if part == "vae"
            else _load(WanVACETransformer3DModel, folder / part, dtype)
            for part in parts
        }
    key = models_key(*networks.values())
    second = networks.get("transformer_2")
    models = WanModels(
        networks["vae"], networks["transformer"], second, index.get("boundary_ratio"), torch.device(device), key
    )
    if place is not None:
        place(models)
    else:
        for network in networks.values():
            network.to(device)
    return models


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
    folder = Path(folder)
    index = read_index(folder)
    _check_part(folder, index, "text_encoder")
    words = folder / "tokenizer" / "tokenizer.json"
    if not words.is_file():
        raise _partial(folder, "tokenizer/tokenizer.json")
    files = sorted((folder / "text_encoder").glob("*.safetensors"))
    digest = hashlib.sha256((folder / "text_encoder" / "config.json").read_bytes() + words.read_bytes())
    digest.update(json.dumps([str(dtype), *[(file.name, file.stat().st_size) for file in files]]).encode())

    def load() -> TextModel:
        with _loading(folder):
            tokenizer = PreTrainedTokenizerFast.from_pretrained(folder / "tokenizer", local_files_only=True)
            return tokenizer, _load(UMT5EncoderModel, folder / "text_encoder", dtype).to(device)

    return PromptEncoder(load, digest.hexdigest(), cache, max_tokens)


def read_index(folder: Path) -> dict[str, Any]:
    """`model_index.json` of a Wan VACE repository."""
    path = folder / "model_index.json"
    if not path.is_file():
        raise Ani3DError(
            "restoration.wan_missing",
            f"There is no Wan VACE model in {folder}: model_index.json is missing.",
            "Give the folder that holds model_index.json, or fetch the model first.",
        )
    try:
        index = json.loads(path.read_text())
        name = index["_class_name"]
    except (ValueError, KeyError, TypeError) as error:
        raise Ani3DError("restoration.wan_partial", f"{path} cannot be read: {error}.", FETCH) from error
    if name != PIPELINE:
        raise Ani3DError(
            "restoration.wan_class",
            f"{folder} holds a {name}, not a {PIPELINE}.",
            "Use a VACE model in diffusers' layout, such as Wan2.1-VACE-1.3B-diffusers.",
        )
    return index


def _check_part(folder: Path, index: dict[str, Any], part: str) -> None:
    """Raise unless a part is of the right class and all its files are there."""
    name = (index.get(part) or [None, None])[1]
    if name != CLASSES[part]:
        raise Ani3DError(
            "restoration.wan_class",
            f"The {part} in {folder} is a {name}, expected {CLASSES[part]}.",
            "Use a VACE model in diffusers' layout, such as Wan2.1-VACE-1.3B-diffusers.",
        )
    if not (folder / part / "config.json").is_file():
        raise _partial(folder, f"{part}/config.json")
    for shards in (folder / part).glob("*.safetensors.index.json"):
        try:
            names = set(json.loads(shards.read_text())["weight_map"].values())
        except (ValueError, KeyError, AttributeError) as error:
            raise _partial(folder, f"a readable {part}/{shards.name}") from error
        lost = sorted(name for name in names if not (folder / part / name).is_file())
        if lost:
            raise _partial(folder, ", ".join(f"{part}/{name}" for name in lost))
    if not any((folder / part).glob("*.safetensors")):
        raise _partial(folder, f"{part}/*.safetensors")


def _load(kind: Any, folder: Path, dtype: torch.dtype) -> Any:
    """A network of diffusers or transformers, in eval mode; weights left to chance are an error."""
    network, report = kind.from_pretrained(
        folder, torch_dtype=dtype, local_files_only=True, use_safetensors=True, output_loading_info=True
    )
    lost = sorted(report["missing_keys"])
    if lost:
        raise _partial(folder, f"{len(lost)} weights, {lost[0]} first")
    return network.eval()


@contextmanager
def _loading(folder: Path) -> Iterator[None]:
    """Turn what the libraries raise about damaged files into an error that says what to do."""
    try:
        yield
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise Ani3DError(
            "restoration.wan_partial", f"The model in {folder} cannot be loaded: {error}.", FETCH
        ) from error


def _partial(folder: Path, lost: str) -> Ani3DError:
    return Ani3DError("restoration.wan_partial", f"The model in {folder} is not whole: {lost} is missing.", FETCH)
