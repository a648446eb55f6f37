"""The residual field fitted to the restored video."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import cv2
import numpy as np

from ..avatar import Lighting, pose_avatar
from ..camera import CameraPath
from ..motion.skinning import blended_rotations
from ..progress import Progress
from ..refinement import RefinementConfig, RefinementProblem, View, refine
from ..restoration.limits import limit_offsets
from ..shot import Shot
from . import restoring, stages
from .job import Job
from .stages import Arrays, Scene
from .store import content_key

METHOD = 2  # goes up when the same problem is fitted differently, so that stored results are not taken for new ones


def run(job: Job, scene: Scene, coarse: Arrays, restored: Arrays, restore_key: str) -> Arrays:
    """The refined layer: vertices (T,V,3), losses and notes as JSON."""
    settings = job.settings
    key = content_key(restore_key, settings.refine_steps, settings.refine_height, METHOD)
    total = max(settings.refine_steps, 1)
    return job.run("refine", key, total, lambda p: _refine(job, scene, coarse, restored, p))


def _refine(job: Job, scene: Scene, coarse: Arrays, restored: Arrays, progress: Progress) -> Arrays:
    """Fit the residual field to the restored video at `settings.refine_height` pixels."""
    settings, shot = job.settings, job.shot
    notes: dict[str, Any] = {"restoration": json.loads(str(restored["notes"][()]))}
    if settings.refine_steps == 0 or not (scene.pins < 0.99).any():
        progress.advance(progress.total)
        notes["refinement"] = "left out" if settings.refine_steps == 0 else "nothing on this character can move"
        return _packed(np.asarray(scene.base), {}, notes)
    size = stages.picture_size(shot, settings.refine_height / int(shot.meta["height"]))
    problem = _problem(scene, scene.cameras.resized(*size), coarse, restored)
    config = RefinementConfig(steps=settings.refine_steps, seed=settings.seed)
    result = refine(problem, config, progress, checkpoint=job.out / ".work" / "refine.checkpoint")
    notes["refinement"] = result.message
    # the field is smooth and sees pictures only: what it pushes into the body or overstretches is brought back
    clip = restoring.coarse_clip(scene)
    clip = replace(clip, vertices=clip.moved, base=None)
    vertices = clip.vertices + limit_offsets(clip, result.vertices - clip.vertices)
    return _packed(vertices, result.history, notes)


def _packed(vertices: np.ndarray, losses: dict[str, Any], notes: dict[str, Any]) -> Arrays:
    return {"vertices": vertices, "losses": np.array(json.dumps(losses)), "notes": np.array(json.dumps(notes))}


def _problem(scene: Scene, cameras: CameraPath, coarse: Arrays, restored: Arrays) -> RefinementProblem:
    """The fit at picture size of `cameras`: gates from pins and regions, the restored video as target.

    Where the prior knows the restored mesh, the target is rendered at this size: shrinking a larger picture
    would leave a difference in blur, which the field would try to explain by motion.
    """
    shot, avatar = scene.shot, scene.avatar
    coarse_vertices = np.asarray(scene.base)
    gates = np.where(shot["region_ids"] >= 2, 1 - scene.pins, 0).astype(np.float32)
    gaussians = pose_avatar(avatar, coarse_vertices, Lighting.of(shot), cameras)
    target = proposal = None
    if "vertices" in restored:
        wanted = np.asarray(restored["vertices"])
        picture = stages.render_gaussians(shot, avatar, wanted, cameras, Progress("target", shot.frames))
        target, proposal = picture["rgb"], wanted - coarse_vertices
    loose = np.asarray(coarse["alpha"], np.float32) - np.asarray(coarse["preserve"], np.float32)
    view = View(
        cameras=cameras,
        target=_shrunk(restored["rgb"], cameras) / np.float32(255) if target is None else target,
        garment_mask=_shrunk(np.clip(loose, 0, 1), cameras),
        colors=gaussians.colors,
    )
    faces = shot["faces"]
    return RefinementProblem(
        coarse_vertices=coarse_vertices,
        bind_vertices=shot["vertices"],
        gates=gates,
        blended_rotations=open_rotations(shot, gates),
        faces=faces,
        binding=avatar.binding,
        scales=avatar.scales,
        opacities=avatar.opacities,
        views=(view,),
        background=stages.background_srgb(shot),
        vertex_targets=proposal,
        vertex_confidence=None if proposal is None else np.broadcast_to(gates, proposal.shape[:2]),
        body_faces=faces[(shot["region_ids"] < 2)[faces].all(1)],
    )


def open_rotations(shot: Shot, gates: np.ndarray) -> np.ndarray:
    """(T,V,3,3) float32 bone-local to world where gates (V,) are open; the identity elsewhere, where nobody asks."""
    rotations = np.broadcast_to(np.eye(3, dtype=np.float32), (shot.frames, len(gates), 3, 3)).copy()
    open_ids = np.flatnonzero(gates > 0)
    rotations[:, open_ids] = blended_rotations(
        shot["weight_indices"][open_ids],
        shot["weight_values"][open_ids],
        shot.skinning_transforms(),
        shot.preserve_volume[open_ids],
    )
    return rotations


def _shrunk(pictures: np.ndarray, cameras: CameraPath) -> np.ndarray:
    """Pictures (T,H,W[,3]) at the cameras' size, float32, area-averaged."""
    size = (cameras.width, cameras.height)
    return np.stack([cv2.resize(np.asarray(p, np.float32), size, interpolation=cv2.INTER_AREA) for p in pictures])
