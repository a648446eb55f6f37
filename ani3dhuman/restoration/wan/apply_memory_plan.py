"""Carry out a memory plan through diffusers' own switches."""

from __future__ import annotations

import importlib.util
from typing import Any

import torch

from ani3d_formats.errors import Ani3DError

from .memory import Measure, MemoryPlan

STORAGE = torch.float8_e4m3fn  # how weights are kept under `Measure.FP8_WEIGHTS`


def apply_plan(pipeline: Any, plan: MemoryPlan) -> list[str]:
    """Apply every measure of `plan` to a loaded pipeline and put its networks where they belong.

    The text encoder is the caller's: encode the prompts first, then load (or rebuild) the pipeline with
    ``text_encoder=None``. Weights must be on the CPU when this is called, or the saving comes too late.

    Args:
        pipeline: a `WanVACEPipeline`, or anything with `vae`, `transformer`, perhaps `transformer_2`.
        plan: from `plan_for` or `next_lower`.

    Returns:
        One sentence a measure, in the order of the plan.

    Raises:
        Ani3DError: ``models.text_encoder`` where the pipeline still holds it, ``models.needs_cuda`` where a
            measure or the plan's device needs CUDA and there is none, ``models.needs_package`` where offloading
            lacks accelerate (diffusers' streams use it). Nothing is skipped silently.
    """
    if plan.device == "cuda" and not torch.cuda.is_available():
        raise _needs_cuda_error(f"The plan for a card of {plan.tier}")
    if Measure.GROUP_OFFLOAD in plan.measures and plan.device != "cuda":
        raise _needs_cuda_error(f"The measure '{Measure.GROUP_OFFLOAD}'")
    if Measure.GROUP_OFFLOAD in plan.measures and importlib.util.find_spec("accelerate") is None:
        raise Ani3DError(
            "models.needs_package",
            f"The measure '{Measure.GROUP_OFFLOAD}' needs the package accelerate.",
            "Install it with: pip install accelerate",
        )
    if getattr(pipeline, "text_encoder", None) is not None:
        raise Ani3DError(
            "models.text_encoder",
            "The pipeline still holds its text encoder, and the plan counts on its being gone.",
            "Encode the prompts first, then load the pipeline with text_encoder=None, tokenizer=None.",
        )
    done = [_apply(pipeline, measure) for measure in plan.measures]
    if plan.device != "cpu":
        pipeline.vae.to(plan.device)
        if Measure.GROUP_OFFLOAD not in plan.measures:
            for transformer in transformers_of(pipeline):
                transformer.to(plan.device)
    return done


def transformers_of(pipeline: Any) -> list[Any]:
    """The one or two experts of a pipeline."""
    found = [getattr(pipeline, name, None) for name in ("transformer", "transformer_2")]
    return [transformer for transformer in found if transformer is not None]


def _apply(pipeline: Any, measure: Measure) -> str:
    if measure in (Measure.TEXT_FIRST, Measure.TEXT_ON_CPU):
        return f"{measure}: the pipeline holds none"
    if measure is Measure.VAE_SLICING:
        pipeline.vae.enable_slicing()
    elif measure is Measure.VAE_TILING:
        pipeline.vae.enable_tiling()
    else:
        for transformer in transformers_of(pipeline):
            _lighten(transformer, measure)
    return str(measure)


def _lighten(transformer: Any, measure: Measure) -> None:
    if measure is Measure.FP8_WEIGHTS:
        transformer.enable_layerwise_casting(storage_dtype=STORAGE, compute_dtype=transformer.dtype)
    else:
        transformer.enable_group_offload(
            onload_device=torch.device("cuda"),
            offload_device=torch.device("cpu"),
            offload_type="block_level",
            num_blocks_per_group=1,
            use_stream=True,
        )


def _needs_cuda_error(what: str) -> Ani3DError:
    return Ani3DError(
        "models.needs_cuda",
        f"{what} needs CUDA, and PyTorch finds none here.",
        "Make the plan for the CPU, or run where ani3dhuman doctor lists a CUDA device.",
    )
