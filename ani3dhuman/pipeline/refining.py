"""The residual field fitted to the restored video, in one round or several."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from ani3d_formats.progress import Progress
from ani3d_formats.regions import is_loose
from ani3d_formats.shot import Shot
from ani3d_formats.skinning import blended_rotations

from ..cloth.limits import limit_offsets
from ..refinement import RefinementConfig, RefinementProblem, RestoredView, RoundsConfig, RoundsResult, refine_in_rounds
from ..storage.stages import content_key
from . import restoring, stages
from .job import Job
from .round_views import Restorer, view_of
from .settings import NO_PRIOR, STRENGTHS, Settings
from .stages import Arrays, Scene

METHOD = 8  # goes up when the same problem is fitted differently, so that stored results are not taken for new ones


def run(job: Job, scene: Scene, coarse: Arrays, restored: Arrays, restore_key: str) -> Arrays:
    """The refined layer: vertices (T,V,3), losses and notes as JSON, and appearance (T,V,5) where it was fitted."""
    settings = job.settings
    config = rounds_config(settings)
    key = content_key(restore_key, asdict(config), settings.refine_height, METHOD)
    total = max(config.steps(job.shot.frames), 1)
    return job.run("refine", key, total, lambda p: _refine(job, scene, coarse, restored, restore_key, p))


def rounds_config(settings: Settings) -> RoundsConfig:
    """How to fit; without a prior there is nothing to restore again, and one round.

    No further round is restored more strongly than the first one was.
    """
    further = settings.rounds - 1 if settings.prior != NO_PRIOR else 0
    strengths = tuple(min(strength, settings.strength) for strength in STRENGTHS[:further])
    fit = RefinementConfig(
        steps=settings.refine_steps, field_kind=settings.field, seed=settings.seed, appearance=settings.appearance
    )
    return RoundsConfig(strengths=strengths, seconds=60 * settings.round_minutes, fit=fit)


def _refine(job: Job, scene: Scene, coarse: Arrays, restored: Arrays, restore_key: str, progress: Progress) -> Arrays:
    """Fit the residual field to the restored video at `settings.refine_height` pixels."""
    settings, shot = job.settings, job.shot
    notes: dict[str, Any] = {"restoration": json.loads(str(restored["notes"][()]))}
    if settings.refine_steps == 0 or not (scene.pins < 0.99).any():
        progress.advance(progress.total)
        notes["refinement"] = "left out" if settings.refine_steps == 0 else "nothing on this character can move"
        return _packed(np.asarray(scene.base), {}, notes)
    size = stages.picture_size(shot, settings.refine_height / int(shot.meta["height"]))
    view = view_of(scene, coarse, restored, scene.cameras.resized(*size), progress.should_cancel)
    problem = _problem(scene, view, restored)
    checkpoint = job.out / ".work" / "refine.checkpoint"
    restore = Restorer(job, scene, restore_key)
    took = float(restored["seconds"]) if "seconds" in restored else 0.0
    result = refine_in_rounds(problem, restore, rounds_config(settings), progress, checkpoint, restoring=took)
    notes |= _described(result, settings)
    # the field is smooth and sees pictures only: what it pushes into the body or overstretches is brought back
    clip = restoring.coarse_clip(scene)
    clip = replace(clip, vertices=clip.moved, base=None)
    vertices = clip.vertices + limit_offsets(clip, result.vertices - clip.vertices)
    return _packed(vertices, result.history, notes) | (
        {} if result.appearance is None else {"appearance": result.appearance}
    )


def _described(result: RoundsResult, settings: Settings) -> dict[str, Any]:
    """Notes for report.json: the message, which says why there are fewer rounds than asked for, and every round."""
    message = result.message
    if len(result.rounds) < settings.rounds:
        why = "without a prior there is nothing to restore again"
        if settings.prior != NO_PRIOR:
            why = f"another one would not have ended within {settings.round_minutes:g} minutes"
        message += f" Rounds: {len(result.rounds)} of {settings.rounds}, since {why}."
    rounds = [
        {
            "sides": list(done.sides),
            "strength": done.strength,
            "loss": [round(done.start_validation, 5), round(done.best_validation, 5)],
            "moved_cm": round(100 * done.moved, 3),
            "seconds": round(done.seconds, 1),
        }
        for done in result.rounds
    ]
    return {"refinement": message, "rounds": rounds}


def _packed(vertices: np.ndarray, losses: dict[str, Any], notes: dict[str, Any]) -> Arrays:
    return {"vertices": vertices, "losses": np.array(json.dumps(losses)), "notes": np.array(json.dumps(notes))}


def _problem(scene: Scene, view: RestoredView, restored: Arrays) -> RefinementProblem:
    """The fit to one restored view: gates from pins and regions, proposals where the prior knows the mesh."""
    shot, avatar = scene.shot, scene.avatar
    start = np.asarray(scene.base)
    gates = np.where(is_loose(shot["region_ids"]), 1 - scene.pins, 0).astype(np.float32)
    proposal = np.asarray(restored["vertices"]) - start if "vertices" in restored else None
    faces = shot["faces"]
    return RefinementProblem(
        coarse_vertices=start,
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
        body_faces=faces[~is_loose(shot["region_ids"])[faces].any(1)],
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
