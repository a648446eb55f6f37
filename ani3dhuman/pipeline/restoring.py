"""The coarse video restored by the prior that the settings name."""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ani3d_formats.progress import Progress
from ani3d_formats.shot import Shot

from ..clip import CoarseClip
from ..models.find import find
from ..models.machine import look
from ..models.store import default_root
from ..pose.drawing import STYLES
from ..pose.keypoints import KeypointMap
from ..rendering.layers import LayerRender, Pictures
from ..restoration import RestoreConfig
from ..restoration.conditions.reference import canonical_reference, load_picture
from ..restoration.conditions.scene import NEGATIVE_PROMPT, ControlKind, PoseInputs, SceneConditions, scene_conditions
from ..restoration.loading import (
    FoundPrior,
    PriorOptions,
    PriorRequest,
    depends_on,
    find_prior,
    reads_pictures,
    restore_within_memory,
)
from ..storage.frames_on_disk import Computed, on_disk
from ..storage.stage_store import content_key
from . import stages
from .coarse import CoarseLayers, SeenLayer, render_layer
from .job import Job
from .keys import METHODS, stage_key
from .left_out import why_left_out
from .settings import BIND, NO_PRIOR, Settings

PROMPTS = "prompts"  # folder beside the models that keeps embeddings


@dataclass(frozen=True)
class Restored:
    """The restored video.

    Attributes:
        rgb: (T,H,W,3) uint8 sRGB; None where the prior knows the mesh, which can be drawn.
        alpha: (T,H,W) float16 coverage; None likewise.
        notes: for the report.
        seconds: that it took.
        vertices: (T,V,3) world metres, where the prior knows the mesh.
        visibility: (T,V) float16 as of `RestoredClip`, or None.
    """

    rgb: Pictures | None
    alpha: Pictures | None
    notes: dict[str, Any]
    seconds: float
    vertices: np.ndarray | None = None
    visibility: np.ndarray | None = None


def check(settings: Settings) -> None:
    """Raise what would stop a job later, before anything takes its time: missing models and files."""
    settings.restore.check_prior()
    _found(settings)
    if settings.conditions.reference_file:
        load_picture(settings.conditions.reference_file)
    stages.keypoint_names(settings.conditions.keypoint_map)


def needs_pictures(settings: Settings) -> bool:
    """Whether restoration or refinement looks at pictures of the coarse layer, and not at meshes alone."""
    found = _found(settings)
    return settings.refine.appearance or (found is not None and reads_pictures(found))


def run(job: Job, coarse: CoarseLayers) -> tuple[Restored, str]:
    """Restore the coarse layer; the restored one, and its key. Where nothing can be, notes say why.

    Pictures of the coarse layer are drawn here where they are needed and are not there.
    """
    settings, why = job.settings, why_left_out(coarse.clip)
    found = None if why else _found(settings)
    key = content_key(coarse.key, asdict(_config(settings)), METHODS["limits"])
    if found is not None:
        progress = job.progress("restore", 1)  # hashing a large prior's files can be cancelled
        key = content_key(key, depends_on(found, _choices(job), lambda done: progress.advance(0)))
    clip, keypoints = coarse.clip, coarse.keypoints

    def compute(progress: Progress) -> Restored:
        if not why:
            return restore_layer(job, settings, clip, keypoints, progress)
        progress.advance(progress.total, why)
        return _unrestored(clip, {"prior": NO_PRIOR, "left out": why})

    return job.run("restore", key, 1, Restored, compute), key


def pictures_of(
    job: Job, coarse: CoarseLayers, restored: Restored, same: SeenLayer | None = None
) -> LayerRender | SeenLayer | Restored:
    """Pictures of the restored layer: the prior's own, or of its mesh; those are drawn unless `same` are given."""
    if restored.vertices is None:
        return restored
    if restored.notes.get("prior") == NO_PRIOR and (same is None or coarse.few_pictures is None):
        return coarse.coarse_pictures
    if same is not None:
        return same
    shown = (coarse.avatar_key, restored.vertices)
    return render_layer(job, "render_restored", coarse.clip, restored.vertices, shown)


def _found(settings: Settings) -> FoundPrior | None:
    """The prior with its files, None where none is wanted."""
    prior = settings.restore.prior
    return None if prior is None else find_prior(str(prior), settings.video_model.adapter)


def _choices(job: Job) -> dict[str, Any]:
    """By name all that a prior may look at besides pictures and meshes; its loader says which of it counts."""
    conditions, video_model = job.settings.conditions, job.settings.video_model
    file = conditions.reference_file
    pose = (conditions.pose_style, stages.keypoint_names(conditions.keypoint_map), job.shot.meta.bones)
    return {
        "prompt": conditions.prompt,
        "negative_prompt": conditions.negative_prompt,
        "control": (conditions.control, stage_key("conditions", job.shot, pose)),
        "reference": load_picture(file) if file else conditions.reference,
        "text_guidance": video_model.text_guidance,
        "step_cache": video_model.step_cache,
        "window_frames": video_model.window_frames,
    }


def restore_layer(
    job: Job, settings: Settings, clip: CoarseClip, keypoints: KeypointMap, progress: Progress
) -> Restored:
    """The same without looking for a finished result; an interrupted one goes on where it stood.

    `settings` are those of the job or, in further rounds, what they become there.
    """
    found = _found(settings)
    if found is None:
        progress.advance(progress.total)
        return _unrestored(clip, {"prior": NO_PRIOR})
    started = time.monotonic()
    root = default_root()
    if reads_pictures(found):
        clip = replace(clip, pictures=clip.coarse_pictures())
    wanted = PriorRequest(
        found,
        clip,
        lambda: _conditions(job.shot, settings, clip, keypoints),
        look(root).limited_to(job.compute.networks),
        PriorOptions(
            text_guidance=settings.video_model.text_guidance,
            window_frames=settings.video_model.window_frames,
            step_cache=settings.video_model.step_cache,
            measure_cache=settings.video_model.measure_cache,
            compile_blocks=settings.video_model.compile_blocks,
        ),
        cache=root / PROMPTS,
    )
    result = restore_within_memory(wanted, _config(settings), progress, job.out / ".work" / "restore.checkpoint")
    rgb: Pictures | None = None
    alpha: Pictures | None = None
    if result.vertices is None:
        frames = result.frames
        eight_bits = Computed(frames.shape, np.uint8, lambda t: (np.clip(frames[t], 0, 1) * 255 + 0.5).astype(np.uint8))
        rgb, alpha = on_disk(eight_bits, clip.compute.scratch), clip.coarse_pictures().alpha
    return Restored(
        rgb=rgb,
        alpha=alpha,
        notes=result.report,
        seconds=time.monotonic() - started,
        vertices=result.vertices,
        visibility=None if result.visibility is None else result.visibility.astype(np.float16),
    )


def _unrestored(clip: CoarseClip, notes: dict[str, Any]) -> Restored:
    return Restored(None, None, notes, 0.0, clip.vertices)


def _config(settings: Settings) -> RestoreConfig:
    """How to sample; an adapter is made for a number of steps that are taken, whatever the strength."""
    restore = settings.restore
    steps = restore.sampling_steps
    if settings.video_model.adapter and (distilled := find(settings.video_model.adapter).distilled):
        steps = math.ceil(distilled.steps / restore.strength - 1e-9)
    return RestoreConfig(
        strength=restore.strength, schedule_steps=steps, guidance_scale=restore.guidance, seed=settings.seed
    )


def _conditions(shot: Shot, settings: Settings, clip: CoarseClip, keypoints: KeypointMap) -> SceneConditions:
    """What the scene tells a video prior, as the settings ask for it."""
    cameras, chosen = clip.cameras, settings.conditions
    reference: np.ndarray | Path | None = chosen.reference_file
    if chosen.reference == BIND:
        reference = canonical_reference(shot, clip.avatar, keypoints.forward, cameras.width, cameras.height)
    kind: ControlKind = chosen.control  # type: ignore[assignment]  # Settings checks it
    return scene_conditions(
        shot,
        cameras,
        clip.coarse_pictures(),
        kind=kind,
        pose=PoseInputs(keypoints, STYLES[chosen.pose_style], clip.vertices),
        reference=reference,
        prompt=chosen.prompt or None,
        negative_prompt=chosen.negative_prompt or NEGATIVE_PROMPT,
    )
