"""Wan VACE loaded from a folder, and made ready for a request: conditions drawn, memory plan chosen and applied."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from ...models.shapes import ClipShape
from ..loading import PriorRequest
from ..restore import RestoreConfig
from ..video.prompts import PromptEncoder
from .adapters import WanAdapter, adapter_in, left_out, with_adapter
from .apply_memory_plan import apply_plan
from .layout import wan_layout
from .measure_cache import measure_cache
from .memory import Measure, MemoryPlan, next_lower, plan_for
from .networks import WanModels, compile_transformers, load_prompt_encoder, load_wan_models
from .prior import WanConditions, WanOptions, WanVacePrior
from .step_cache import StepCache, with_cache


def prepare(request: PriorRequest) -> WanVacePrior:
    """Load a Wan VACE for a request.

    On a CUDA card the transformers run in bfloat16, on the CPU in float32. The memory plan is the fastest that is
    predicted to fit, and a leaner one after each time that memory ran out.

    Raises:
        Ani3DError: ``models.memory``: no plan fits; as `load_wan_prior`.
    """
    adapter = None
    if request.found.adapter is not None and request.found.adapter_folder is not None:
        adapter = adapter_in(request.found.adapter_folder, [file.path for file in request.found.adapter.files])
    unused = [name for path in adapter.files for name in left_out(path)] if adapter else []
    guidance = request.text_guidance if adapter is None else 1.0
    options = WanOptions(guidance=guidance, window_frames=request.window_frames)
    made = request.conditions()
    conditions = WanConditions(
        control=made.control,
        prompt=made.prompt,
        negative_prompt=made.negative_prompt,
        reference=made.reference,
        preserve=made.preserve,
    )
    plan = _plan(request, options)
    dtype = torch.bfloat16 if plan.device == "cuda" else torch.float32
    text_device = "cpu" if Measure.TEXT_ON_CPU in plan.measures else plan.device
    prior = load_wan_prior(
        request.found.folder,
        conditions=conditions,
        prompts=load_prompt_encoder(request.found.folder, dtype=dtype, device=text_device, cache=request.cache),
        dtype=dtype,
        device=plan.device,
        options=options,
        adapter=adapter,
        place=lambda models: apply_plan(models, plan),
    )
    if request.compile_blocks:
        compile_transformers(prior.models)
    prior.notes = {
        "model": request.found.model.name,
        "device": plan.device,
        **({"adapter": request.found.adapter.name} if request.found.adapter else {}),
        **({"adapter_left_out": unused} if unused else {}),
        "memory": f"{plan.peak_gb:.1f} GB predicted, with {', '.join(plan.measures)}",
        "conditions": [f"control: {made.kind}", *made.notes],
        "prompt": made.prompt,
    }
    if request.step_cache > 1:
        cache = StepCache(interval=request.step_cache)
        if request.measure_cache:
            errors = measure_cache(prior, request.clip, request.config or RestoreConfig(), cache)
            prior.notes["step_cache_error"] = [round(error, 4) for error in errors]
        prior.models = with_cache(prior.models, cache)
        prior.notes["step_cache"] = str(cache)
    return prior


def _plan(request: PriorRequest, options: WanOptions) -> MemoryPlan:
    cameras = request.clip.cameras
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
    plan = plan_for(
        request.found.model.name,
        ClipShape(layout.video_width, layout.video_height, window, references=1),
        budget,
        device,
    )
    for _ in range(request.leaner):
        plan = next_lower(plan)
    return plan


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
