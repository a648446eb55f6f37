"""Wan VACE and Wan-Fun-Control from a folder, ready for a request: conditions drawn, memory plan chosen and applied."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

from ...models.shapes import ClipShape
from ..conditions.scene import SceneConditions
from ..loading import Plans, PriorRequest
from ..restore import RestoreConfig
from ..video.prompts import PromptEncoder
from .adapters import WanAdapter, adapter_in, left_out, with_adapter
from .apply_memory_plan import apply_plan
from .fun_control import load_fun_prior
from .layout import wan_layout
from .measure_cache import measure_cache
from .memory import Measure, MemoryPlan, next_lower, plan_for
from .networks import WanModels, compile_transformers, load_prompt_encoder, load_wan_models
from .prior import WanConditions, WanOptions, WanPrior, WanVacePrior
from .step_cache import StepCache, with_cache


def prepare(request: PriorRequest) -> Plans:
    """Ways to load a Wan VACE: by the fastest memory plan that is predicted to fit, then by ever leaner ones.

    On a CUDA card the transformers run in bfloat16, on the CPU in float32.

    Raises:
        Ani3DError: ``models.memory``: no plan fits, or none is left; as `load_wan_prior`.
    """
    return _plans(request, load_wan_prior)


def prepare_fun(request: PriorRequest) -> Plans:
    """The same of a Wan-Fun-Control, which takes VAE and text encoder from the prior that it is used beside.

    Raises:
        Ani3DError: also as `load_fun_prior`.
    """
    return _plans(request, partial(load_fun_prior, parts=request.found.beside))


def _plans(request: PriorRequest, load: Callable[..., WanPrior]) -> Plans:
    made = request.conditions()
    plan = _first_plan(request)
    while True:
        yield partial(_load, request, made, plan, load)
        plan = next_lower(plan)


def _options(request: PriorRequest) -> WanOptions:
    """As the request has it; adapters for few steps are made for guidance 1."""
    guidance = request.options.text_guidance if request.found.adapter is None else 1.0
    return WanOptions(guidance=guidance, window_frames=request.options.window_frames)


def _load(request: PriorRequest, made: SceneConditions, plan: MemoryPlan, load: Callable[..., WanPrior]) -> WanPrior:
    found, run = request.found, request.options
    adapter = None
    if found.adapter is not None and found.adapter_folder is not None:
        adapter = adapter_in(found.adapter_folder, [file.path for file in found.adapter.files])
    unused = [name for path in adapter.files for name in left_out(path)] if adapter else []
    conditions = WanConditions(
        control=made.control,
        prompt=made.prompt,
        negative_prompt=made.negative_prompt,
        reference=made.reference,
        preserve=made.preserve,
    )
    dtype = torch.bfloat16 if plan.device == "cuda" else torch.float32
    text_device = "cpu" if Measure.TEXT_ON_CPU in plan.measures else plan.device
    texts = found.beside or found.folder
    prior = load(
        found.folder,
        conditions=conditions,
        prompts=load_prompt_encoder(texts, dtype=dtype, device=text_device, cache=request.cache),
        dtype=dtype,
        device=plan.device,
        options=_options(request),
        **({} if adapter is None else {"adapter": adapter}),
        place=lambda models: apply_plan(models, plan),
    )
    if run.compile_blocks:
        compile_transformers(prior.models)
    notes: dict[str, Any] = {
        "model": found.model.name,
        "device": plan.device,
        **({"adapter": found.adapter.name} if found.adapter else {}),
        **({"adapter_left_out": unused} if unused else {}),
        "memory": f"{plan.peak_gb:.1f} GB predicted, with {', '.join(plan.measures)}",
        "conditions": [f"control: {made.kind}", *made.notes],
        "prompt": made.prompt,
    }
    if run.step_cache > 1:
        cache = StepCache(interval=run.step_cache)
        if run.measure_cache:
            errors = measure_cache(prior, request.clip, request.config or RestoreConfig(), cache)
            notes["step_cache_error"] = [round(error, 4) for error in errors]
        prior.models = with_cache(prior.models, cache)
        notes["step_cache"] = str(cache)
    prior.notes |= notes
    return prior


def _first_plan(request: PriorRequest) -> MemoryPlan:
    cameras, options = request.clip.cameras, _options(request)
    layout = wan_layout(
        request.clip.frames,
        request.clip.fps,
        cameras.width,
        cameras.height,
        frame_rate=options.frame_rate,
        max_pixels=options.max_pixels,
    )
    window = min(options.window_frames, layout.video_frames)
    device, budget = request.machine.budget
    clip = ClipShape(layout.video_width, layout.video_height, window, references=1)
    return plan_for(request.found.model.name, clip, budget, device)


def load_wan_prior(
    folder: Path,
    *,
    conditions: WanConditions,
    prompts: PromptEncoder | None = None,
    dtype: torch.dtype = torch.bfloat16,
    device: str | torch.device = "cpu",
    options: WanOptions | None = None,
    adapter: WanAdapter | None = None,
    place: Callable[[WanModels], object] | None = None,
) -> WanVacePrior:
    """The prior of a Wan VACE model that lies in a folder, in diffusers' layout; nothing is fetched.

    Args:
        folder: holds model_index.json and the parts; weights as safetensors, sharded or not.
        conditions: of the clip.
        prompts: the text encoder; None loads that of `folder` in `dtype` on `device`, see `load_prompt_encoder`.
        dtype: of the transformers; the VAE is float32.
        device: where the networks compute.
        options: how to run.
        adapter: few-step adapter that is added to the weights; it wants `WanOptions.guidance` 1.
        place: see `load_wan_models`; carries out a memory plan.

    Raises:
        Ani3DError: as `load_wan_models`; a prompt that is too long.
    """
    prompts = prompts or load_prompt_encoder(folder, dtype=dtype, device=device)
    prompts.encode([conditions.prompt, conditions.negative_prompt])  # before the other networks need the memory
    models = load_wan_models(
        folder,
        dtype=dtype,
        device=device,
        change=None if adapter is None else lambda loaded: with_adapter(loaded, adapter),
        place=place,
    )
    return WanVacePrior(models, prompts, conditions, options)
