"""LTX-Video loaded from a folder, and made ready for a request."""

from __future__ import annotations

import importlib.util
from functools import partial
from pathlib import Path

import torch
from diffusers import AutoencoderKLLTXVideo, LTXVideoTransformer3DModel
from transformers import AutoTokenizer, T5EncoderModel

from ani3d_formats.errors import Ani3DError

from ..conditions.scene import SceneConditions
from ..loading import Plans, PriorRequest
from ..video.diffusers_folder import DiffusersFolder, Family, models_key
from .prior import LtxConditions, LtxModels, LtxOptions, LtxPrior

DEPENDS_ON = ("prompt", "negative_prompt", "text_guidance")  # of what a job may choose for a prior
LTX_VIDEO = Family(
    name="LTX-Video",
    code="ltx",
    pipeline="LTXConditionPipeline",
    classes={
        "vae": "AutoencoderKLLTXVideo",
        "transformer": "LTXVideoTransformer3DModel",
        "text_encoder": "T5EncoderModel",
    },
    example="LTX-Video-0.9.5",
)
MAX_TOKENS = 256  # of a prompt, as in LTXConditionPipeline


def load_ltx_prior(
    folder: Path,
    *,
    conditions: LtxConditions,
    dtype: torch.dtype = torch.bfloat16,
    device: str | torch.device = "cpu",
    options: LtxOptions | None = None,
    text_device: str | torch.device | None = None,
    prompt_cache: Path | None = None,
) -> LtxPrior:
    """The prior of an LTX-Video model that lies in a folder, in diffusers' layout; nothing is fetched.

    Args:
        folder: holds model_index.json and the parts; weights as safetensors, sharded or not.
        conditions: of the clip.
        dtype: of all networks.
        device: where the networks compute.
        options: how to run.
        text_device: where prompts are encoded; None is `device`.
        prompt_cache: folder that keeps embeddings, so that the text encoder is not loaded again.

    Raises:
        Ani3DError: ``restoration.ltx_missing``, ``restoration.ltx_class``, ``restoration.ltx_partial``, see
            `DiffusersFolder`; ``models.needs_package``; ``restoration.prompt_length``; as `LtxPrior`.
    """
    source = DiffusersFolder(Path(folder), LTX_VIDEO)
    for part in LTX_VIDEO.classes:
        source.check(part)
    prompts = source.prompt_encoder(
        T5EncoderModel, AutoTokenizer, ("tokenizer.json", "spiece.model"),
        dtype=dtype, device=device if text_device is None else text_device, cache=prompt_cache, max_tokens=MAX_TOKENS,
    )  # fmt: skip
    _check_tokenizer(source)
    prompts.encode([conditions.prompt, conditions.negative_prompt])  # before the other networks need the memory
    vae = source.load("vae", AutoencoderKLLTXVideo, dtype).to(device)
    transformer = source.load("transformer", LTXVideoTransformer3DModel, dtype).to(device)
    models = LtxModels(vae, transformer, torch.device(device), models_key(vae, transformer))
    return LtxPrior(models, prompts, conditions, options)


def _check_tokenizer(source: DiffusersFolder) -> None:
    """T5's vocabulary comes as spiece.model, which transformers reads with two more packages."""
    if (source.path / "tokenizer" / "tokenizer.json").is_file():
        return
    missing = [
        package
        for package, module in {"sentencepiece": "sentencepiece", "protobuf": "google.protobuf"}.items()
        if importlib.util.find_spec(module.partition(".")[0]) is None or importlib.util.find_spec(module) is None
    ]
    if missing:
        raise Ani3DError(
            "models.needs_package",
            f"The tokenizer of {LTX_VIDEO.name} needs {' and '.join(missing)}, which is not installed.",
            f"Install it with: pip install {' '.join(missing)}",
        )


def prepare(request: PriorRequest) -> Plans:
    """Ways to load an LTX-Video: bfloat16 on a CUDA card, float32 on the CPU.

    The second one encodes prompts on the CPU, and its VAE works in tiles, whose seams change the picture a little.

    Raises:
        Ani3DError: ``models.memory``: nothing is leaner; ``models.wrong_base``: an adapter; as `load_ltx_prior`.
    """
    if request.found.adapter is not None:
        raise Ani3DError(
            "models.wrong_base", f"{request.found.adapter.name} is not for LTX-Video.", "Leave the adapter out."
        )
    made = request.conditions()
    yield partial(_load, request, made, tiled=False)
    yield partial(_load, request, made, tiled=True)
    raise Ani3DError(
        "models.memory", "LTX-Video ran out of memory in tiles too.", "Take a smaller picture or another prior."
    )


def _load(request: PriorRequest, made: SceneConditions, tiled: bool) -> LtxPrior:
    device, _ = request.machine.budget
    prior = load_ltx_prior(
        request.found.folder,
        conditions=LtxConditions(made.prompt, made.negative_prompt, made.preserve),
        dtype=torch.bfloat16 if device == "cuda" else torch.float32,
        device=device,
        options=LtxOptions(guidance=request.options.text_guidance),
        text_device="cpu" if tiled else device,
        prompt_cache=request.cache,
    )
    if tiled:
        prior.models.vae.enable_tiling()
        prior.models.vae.use_framewise_encoding = prior.models.vae.use_framewise_decoding = True
    notes = {
        "model": request.found.model.name,
        "device": device,
        "memory": "VAE in tiles, prompts on the CPU" if tiled else "all at once",
        "conditions": ["prompt and frame rate; control video and reference picture are not used"],
        "prompt": made.prompt,
    }
    return LtxPrior(prior.models, prior.prompts, prior.conditions, prior.options, notes)
