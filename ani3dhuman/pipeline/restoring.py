"""The coarse video restored by the prior that the settings name."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path

import numpy as np

from ani3d_formats.progress import Progress

from ..clip import CoarseClip
from ..models.find import find
from ..models.machine import look
from ..models.registry import COMPACT
from ..models.store import default_root, sha256_of
from ..pose.drawing import STYLES
from ..rendering.layers import LayerRender
from ..restoration import RestoreConfig
from ..restoration.compact.prior import WEIGHTS
from ..restoration.conditions.reference import canonical_reference, load_picture
from ..restoration.conditions.scene import NEGATIVE_PROMPT, ControlKind, PoseInputs, SceneConditions, scene_conditions
from ..restoration.loading import PriorRequest, find_prior, restore_within_memory
from ..storage.stages import content_key
from . import stages
from .job import Job
from .settings import NO_PRIOR, Settings
from .stages import Arrays, Scene

BIND = "bind"  # the setting `reference` that asks for the avatar in bind pose
PROMPTS = "prompts"  # folder beside the models that keeps embeddings


def check(settings: Settings) -> None:
    """Raise what would stop the restoration, before anything else takes its time: missing models and files."""
    if settings.prior != NO_PRIOR:
        find_prior(settings.prior, settings.adapter)
    if settings.reference not in ("", BIND):
        load_picture(settings.reference)


def run(job: Job, scene: Scene, coarse: Arrays, view_key: str) -> tuple[Arrays, str]:
    """Restore the coarse pictures (rgb, alpha, depth, preserve).

    Returns:
        The restored pictures and their key: rgb, alpha, notes as JSON, the seconds it took, and where the prior knows
        the mesh vertices (T,V,3), and visibility (T,V) as of `RestoredClip`.
    """
    settings = job.settings
    key = content_key(
        view_key, settings.prior, settings.strength, settings.sampling_steps, settings.guidance, settings.seed,
        settings.repair, *_told(job),
    )  # fmt: skip
    return job.run("restore", key, 1, lambda p: restore_layer(job.out, settings, scene, coarse, p)), key


def _told(job: Job) -> list[object]:
    """What else the result depends on with priors that look at the scene."""
    settings = job.settings
    if settings.prior == NO_PRIOR:
        return []
    folder = WEIGHTS if settings.prior == COMPACT else Path(settings.prior)
    if (folder / "config.json").is_file():  # a compact prior, whose weights may be trained on
        return [sha256_of(path) for path in sorted(folder.glob("*.safetensors"))]
    reference: object = settings.reference
    if settings.reference not in ("", BIND):
        reference = load_picture(settings.reference)
    return [
        settings.prompt,
        settings.negative_prompt,
        settings.control,
        settings.pose_style,
        stages.keypoint_names(settings),
        job.shot.meta["bones"],
        reference,
        settings.text_guidance,
        settings.adapter,
        settings.step_cache,
        settings.window_frames,
    ]


def coarse_clip(scene: Scene) -> CoarseClip:
    """What the prior is given."""
    rigid, coarse = np.asarray(scene.rigid), np.asarray(scene.coarse)
    base = None if scene.base is scene.coarse else np.asarray(scene.base)
    return CoarseClip.of_shot(
        scene.shot, scene.avatar, rigid, scene.pins, coarse, scene.cameras, base, scene.appearance
    )


def restore_layer(out: Path, settings: Settings, scene: Scene, coarse: Arrays, progress: Progress) -> Arrays:
    """The same without looking for a finished result; an interrupted one goes on where it stood."""
    if settings.prior == NO_PRIOR:
        progress.advance(progress.total)
        untouched = {"rgb": coarse["rgb"], "alpha": coarse["alpha"], "vertices": scene.coarse}
        return {**untouched, "seconds": np.array(0.0), "notes": np.array(json.dumps({"prior": NO_PRIOR}))}
    started = time.monotonic()
    wanted = _request(settings, scene, coarse)
    config = RestoreConfig(
        strength=settings.strength,
        schedule_steps=_schedule_steps(settings),
        guidance_scale=settings.guidance,
        seed=settings.seed,
    )
    result = restore_within_memory(wanted, config, progress, checkpoint=out / ".work" / "restore.checkpoint")
    rgb = (np.clip(result.frames, 0, 1) * 255 + 0.5).astype(np.uint8)
    alpha = coarse["alpha"] if result.alphas is None else result.alphas.astype(np.float16)
    arrays = {"rgb": rgb, "alpha": alpha, "notes": np.array(json.dumps(result.report))}
    arrays["seconds"] = np.array(time.monotonic() - started)
    if result.vertices is not None:
        arrays["vertices"] = result.vertices
    if result.visibility is not None:
        arrays["visibility"] = result.visibility.astype(np.float16)
    return arrays


def _schedule_steps(settings: Settings) -> int:
    """Steps of the whole schedule; an adapter is made for a number of steps that are taken."""
    if not settings.adapter:
        return settings.sampling_steps
    return math.ceil(find(settings.adapter).steps / settings.strength - 1e-9)


def _request(settings: Settings, scene: Scene, coarse: Arrays) -> PriorRequest:
    root = default_root()
    return PriorRequest(
        find_prior(settings.prior, settings.adapter),
        coarse_clip(scene),
        lambda: _conditions(settings, scene, coarse),
        look(root),
        text_guidance=settings.text_guidance,
        window_frames=settings.window_frames,
        step_cache=settings.step_cache,
        measure_cache=settings.measure_cache,
        compile_blocks=settings.compile_blocks,
        cache=root / PROMPTS,
    )


def _conditions(settings: Settings, scene: Scene, coarse: Arrays) -> SceneConditions:
    """What the scene tells a video prior, as the settings ask for it."""
    cameras = scene.cameras
    layer = LayerRender(*(np.asarray(coarse[name]) for name in ("rgb", "alpha", "depth", "preserve")))
    reference: np.ndarray | str | None = settings.reference or None
    if reference == BIND:
        forward = scene.keypoints.forward
        reference = canonical_reference(scene.shot, scene.avatar, forward, cameras.width, cameras.height)
    kind: ControlKind = settings.control  # type: ignore[assignment]  # Settings checks it
    return scene_conditions(
        scene.shot,
        cameras,
        layer,
        kind=kind,
        pose=PoseInputs(scene.keypoints, STYLES[settings.pose_style], scene.coarse),
        reference=reference,
        prompt=settings.prompt or None,
        negative_prompt=settings.negative_prompt or NEGATIVE_PROMPT,
    )
