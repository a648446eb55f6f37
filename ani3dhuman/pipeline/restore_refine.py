"""Restoration of the coarse video and the residual field fitted to it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from ..avatar import Avatar, Lighting
from ..camera import CameraPath
from ..motion.skinning import blended_rotations
from ..progress import Progress
from ..refinement import RefinementConfig, RefinementProblem, refine
from ..restoration import CoarseClip, RestoreConfig, load_compact_prior, restore
from ..shot import Shot
from . import stages
from .store import content_key

if TYPE_CHECKING:
    from .animate import Job

Arrays = dict[str, np.ndarray]


def run(
    job: Job,
    avatar: Avatar,
    vertices: dict[str, np.ndarray],
    pins: np.ndarray,
    cameras: CameraPath,
    coarse: Arrays,
    view_key: str,
) -> tuple[Arrays, Arrays]:
    """Restore, then refine.

    Returns:
        The restored pictures (rgb, alpha; vertices of the restored layer where the prior knows them), and the
        refined layer: vertices (T,V,3), losses and notes as JSON.
    """
    settings = job.settings
    restore_key = content_key(
        view_key, settings.prior, settings.strength, settings.sampling_steps, settings.guidance, settings.seed
    )
    restored = job.run(
        "restore",
        restore_key,
        1 if settings.prior == "none" else settings.sampling_steps,
        lambda p: _restore(job, avatar, vertices, pins, cameras, coarse, p),
    )
    refined = job.run(
        "refine",
        content_key(restore_key, settings.refine_steps, settings.refine_height),
        max(settings.refine_steps, 1),
        lambda p: _refine(job, avatar, vertices["coarse"], pins, cameras, coarse, restored, p),
    )
    return restored, refined


def coarse_clip(
    shot: Shot, avatar: Avatar, vertices: dict[str, np.ndarray], pins: np.ndarray, cameras: CameraPath
) -> CoarseClip:
    """What the prior is given."""
    return CoarseClip(
        cameras=cameras,
        avatar=avatar,
        lighting=Lighting.of(shot),
        background=stages.background_srgb(shot),
        fps=float(shot.meta["fps"]),
        bind_vertices=shot["vertices"],
        rigid_vertices=np.asarray(vertices["rigid"]),
        vertices=np.asarray(vertices["coarse"]),
        vertex_regions=shot["region_ids"],
        pin_weights=pins,
    )


def _restore(
    job: Job,
    avatar: Avatar,
    vertices: dict[str, np.ndarray],
    pins: np.ndarray,
    cameras: CameraPath,
    coarse: Arrays,
    progress: Progress,
) -> Arrays:
    settings, shot = job.settings, job.shot
    if settings.prior == "none":
        progress.advance(progress.total)
        untouched = {"rgb": coarse["rgb"], "alpha": coarse["alpha"], "vertices": vertices["coarse"]}
        return {**untouched, "notes": np.array(json.dumps({"prior": "none"}))}
    clip = coarse_clip(shot, avatar, vertices, pins, cameras)
    config = RestoreConfig(
        strength=settings.strength,
        schedule_steps=settings.sampling_steps,
        guidance_scale=settings.guidance,
        seed=settings.seed,
    )
    result = restore(load_compact_prior(), clip, config, progress)
    rgb = (np.clip(result.frames, 0, 1) * 255 + 0.5).astype(np.uint8)
    arrays = {"rgb": rgb, "alpha": coarse["alpha"], "notes": np.array(json.dumps(result.report))}
    if result.vertices is not None:
        arrays["vertices"] = result.vertices
    return arrays


def _refine(
    job: Job,
    avatar: Avatar,
    coarse_vertices: np.ndarray,
    pins: np.ndarray,
    cameras: CameraPath,
    coarse: Arrays,
    restored: Arrays,
    progress: Progress,
) -> Arrays:
    """Fit the residual field to the restored video at `settings.refine_height` pixels."""
    settings, shot = job.settings, job.shot
    notes: dict[str, Any] = {"restoration": json.loads(str(restored["notes"][()]))}
    if settings.refine_steps == 0 or not (pins < 0.99).any():
        progress.advance(progress.total)
        notes["refinement"] = "left out" if settings.refine_steps == 0 else "nothing on this character can move"
        return _packed(np.asarray(coarse_vertices), {}, notes)
    small = cameras.resized(
        *stages.picture_size(shot, settings.refine_height / int(shot.meta["height"])),
    )
    problem = _problem(shot, avatar, np.asarray(coarse_vertices), pins, small, coarse, restored)
    config = RefinementConfig(steps=settings.refine_steps, seed=settings.seed)
    result = refine(problem, config, progress, checkpoint=job.out / ".work" / "refine.checkpoint")
    notes["refinement"] = result.message
    return _packed(result.vertices, result.history, notes)


def _packed(vertices: np.ndarray, losses: dict[str, Any], notes: dict[str, Any]) -> Arrays:
    return {"vertices": vertices, "losses": np.array(json.dumps(losses)), "notes": np.array(json.dumps(notes))}


def _problem(
    shot: Shot,
    avatar: Avatar,
    coarse_vertices: np.ndarray,
    pins: np.ndarray,
    cameras: CameraPath,
    coarse: Arrays,
    restored: Arrays,
) -> RefinementProblem:
    """The fit at picture size of `cameras`: gates from pins and regions, the restored video as target.

    Where the prior knows the restored mesh, the target is rendered at this size: shrinking a larger picture
    would leave a difference in blur, which the field would try to explain by motion.
    """
    gates = np.where(shot["region_ids"] >= 2, 1 - pins, 0).astype(np.float32)
    rotations = np.broadcast_to(np.eye(3, dtype=np.float32), (shot.frames, len(gates), 3, 3)).copy()
    open_ids = np.flatnonzero(gates > 0)
    rotations[:, open_ids] = blended_rotations(
        shot["weight_indices"][open_ids], shot["weight_values"][open_ids], shot.skinning_transforms()
    )
    gaussians = stages.pose_gaussians(shot, avatar, coarse_vertices, cameras)
    target = proposal = None
    if "vertices" in restored:
        wanted = np.asarray(restored["vertices"])
        picture = stages.render_gaussians(shot, avatar, wanted, cameras, Progress("target", shot.frames))
        target, proposal = picture["rgb"] / np.float32(255), wanted - coarse_vertices
    loose = np.asarray(coarse["alpha"], np.float32) - np.asarray(coarse["preserve"], np.float32)
    return RefinementProblem(
        coarse_vertices=coarse_vertices,
        bind_vertices=shot["vertices"],
        gates=gates,
        blended_rotations=rotations,
        faces=shot["faces"],
        binding=avatar.binding,
        scales=avatar.scales,
        opacities=avatar.opacities,
        colors=gaussians.colors,
        cameras=cameras,
        target=_shrunk(restored["rgb"], cameras) / np.float32(255) if target is None else target,
        garment_mask=_shrunk(np.clip(loose, 0, 1), cameras),
        background=stages.background_srgb(shot),
        vertex_targets=proposal,
        vertex_confidence=None if proposal is None else np.broadcast_to(gates, proposal.shape[:2]),
    )


def _shrunk(pictures: np.ndarray, cameras: CameraPath) -> np.ndarray:
    """Pictures (T,H,W[,3]) at the cameras' size, float32, area-averaged."""
    size = (cameras.width, cameras.height)
    return np.stack([cv2.resize(np.asarray(p, np.float32), size, interpolation=cv2.INTER_AREA) for p in pictures])
