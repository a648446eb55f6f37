"""The coarse video restored by the prior that the settings name."""

from __future__ import annotations

import json

import numpy as np

from ..avatar import Lighting
from ..progress import Progress
from ..restoration import CoarseClip, RestoreConfig, load_compact_prior, restore
from . import stages
from .job import Job
from .stages import Arrays, Scene
from .store import content_key


def run(job: Job, scene: Scene, coarse: Arrays, view_key: str) -> tuple[Arrays, str]:
    """Restore the coarse pictures (rgb, alpha).

    Returns:
        The restored pictures and their key: rgb, alpha, notes as JSON, and vertices (T,V,3) where the prior knows
        the mesh.
    """
    settings = job.settings
    key = content_key(
        view_key, settings.prior, settings.strength, settings.sampling_steps, settings.guidance, settings.seed
    )
    return job.run("restore", key, 1, lambda p: _restore(job, scene, coarse, p)), key


def coarse_clip(scene: Scene) -> CoarseClip:
    """What the prior is given."""
    shot = scene.shot
    return CoarseClip(
        cameras=scene.cameras,
        avatar=scene.avatar,
        lighting=Lighting.of(shot),
        background=stages.background_srgb(shot),
        fps=float(shot.meta["fps"]),
        bind_vertices=shot["vertices"],
        rigid_vertices=np.asarray(scene.rigid),
        vertices=np.asarray(scene.coarse),
        vertex_regions=shot["region_ids"],
        pin_weights=scene.pins,
    )


def _restore(job: Job, scene: Scene, coarse: Arrays, progress: Progress) -> Arrays:
    settings = job.settings
    if settings.prior == "none":
        progress.advance(progress.total)
        untouched = {"rgb": coarse["rgb"], "alpha": coarse["alpha"], "vertices": scene.coarse}
        return {**untouched, "notes": np.array(json.dumps({"prior": "none"}))}
    config = RestoreConfig(
        strength=settings.strength,
        schedule_steps=settings.sampling_steps,
        guidance_scale=settings.guidance,
        seed=settings.seed,
    )
    result = restore(load_compact_prior(), coarse_clip(scene), config, progress)
    rgb = (np.clip(result.frames, 0, 1) * 255 + 0.5).astype(np.uint8)
    alpha = coarse["alpha"] if result.alphas is None else result.alphas.astype(np.float16)
    arrays = {"rgb": rgb, "alpha": alpha, "notes": np.array(json.dumps(result.report))}
    if result.vertices is not None:
        arrays["vertices"] = result.vertices
    return arrays
