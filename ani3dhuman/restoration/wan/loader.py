"""Wan VACE made ready for a scene and a machine: conditions drawn, the memory plan chosen and carried out."""

from __future__ import annotations

import torch

from ...models.shapes import ClipShape
from ..loading import PriorRequest
from ..restore import RestoreConfig
from ..video.layout import wan_layout
from .adapters import adapter_in, left_out
from .apply_plan import apply_plan
from .measure_cache import measure_cache
from .memory import Measure, MemoryPlan, next_lower, plan_for
from .prior import WanConditions, WanOptions, WanVacePrior, load_wan_prior
from .step_cache import StepCache, with_cache


def prepare(wanted: PriorRequest) -> WanVacePrior:
    """Load a Wan VACE for a request.

    On a CUDA card the transformers run in bfloat16, on the CPU in float32. The memory plan is the fastest that is
    predicted to fit, and a leaner one after each time that memory ran out.

    Raises:
        Ani3DError: ``models.memory``: no plan fits; as `load_wan_prior`.
    """
    adapter = None
    if wanted.found.adapter is not None and wanted.found.adapter_folder is not None:
        adapter = adapter_in(wanted.found.adapter_folder, [file.path for file in wanted.found.adapter.files])
    unused = [name for path in adapter.files for name in left_out(path)] if adapter else []
    guidance = wanted.text_guidance if adapter is None else 1.0
    options = WanOptions(guidance=guidance, window_frames=wanted.window_frames)
    made = wanted.conditions()
    conditions = WanConditions(
        control=made.control,
        prompt=made.prompt,
        negative_prompt=made.negative_prompt,
        reference=made.reference,
        preserve=made.preserve,
    )
    plan = _plan(wanted, options)
    prior = load_wan_prior(
        wanted.found.folder,
        conditions=conditions,
        dtype=torch.bfloat16 if plan.device == "cuda" else torch.float32,
        device=plan.device,
        options=options,
        adapter=adapter,
        compile_blocks=wanted.compile_blocks,
        place=lambda models: apply_plan(models, plan),
        text_device="cpu" if Measure.TEXT_ON_CPU in plan.measures else plan.device,
        prompt_cache=wanted.cache,
    )
    prior.notes = {
        "model": wanted.found.model.name,
        "device": plan.device,
        **({"adapter": wanted.found.adapter.name} if wanted.found.adapter else {}),
        **({"adapter_left_out": unused} if unused else {}),
        "memory": f"{plan.peak_gb:.1f} GB predicted, with {', '.join(plan.measures)}",
        "conditions": [f"control: {made.kind}", *made.notes],
        "prompt": made.prompt,
    }
    if wanted.step_cache > 1:
        cache = StepCache(interval=wanted.step_cache)
        if wanted.measure_cache:
            errors = measure_cache(prior, wanted.clip, wanted.config or RestoreConfig(), cache)
            prior.notes["step_cache_error"] = [round(error, 4) for error in errors]
        prior.models = with_cache(prior.models, cache)
        prior.notes["step_cache"] = str(cache)
    return prior


def _plan(wanted: PriorRequest, options: WanOptions) -> MemoryPlan:
    cameras = wanted.clip.cameras
    layout = wan_layout(
        wanted.clip.frames,
        wanted.clip.fps,
        cameras.width,
        cameras.height,
        frame_rate=options.frame_rate,
        max_pixels=options.max_pixels,
    )
    window = min(options.window_frames, layout.video_frames)
    device, budget = wanted.machine.budget
    plan = plan_for(
        wanted.found.model.name,
        ClipShape(layout.video_width, layout.video_height, window, references=1),
        budget,
        device,
    )
    for _ in range(wanted.leaner):
        plan = next_lower(plan)
    return plan
