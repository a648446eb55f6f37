"""The residual field fitted to the restored video, in one round or several."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from ani3d_formats.progress import Progress
from ani3d_formats.regions import is_loose
from ani3d_formats.shot import Shot
from ani3d_formats.skinning import blended_rotations

from ..clip import CoarseClip
from ..cloth.limits import limit_offsets
from ..refinement import (
    MeshSample,
    RefinementConfig,
    RefinementProblem,
    RestoredView,
    RoundsConfig,
    RoundsResult,
    mesh_steps,
    refine_in_rounds,
    settle_in_rounds,
)
from .coarse import CoarseLayers
from .job import Job
from .keys import METHODS, stage_key
from .left_out import why_left_out
from .restoring import Restored
from .round_views import Restorer, view_of
from .settings import STRENGTHS, Settings
from .stages import picture_size


@dataclass(frozen=True)
class Refined:
    """The refined layer.

    Attributes:
        vertices: (T,V,3) world metres.
        losses: by term, one a step, as of `RoundsResult.history`; {} where nothing was fitted.
        notes: for the report.
        appearance: (T,V,5) where it was fitted, see `avatar.appearance`; else None.
    """

    vertices: np.ndarray
    losses: dict[str, list[float]]
    notes: dict[str, Any]
    appearance: np.ndarray | None = None


def run(job: Job, coarse: CoarseLayers, restored: Restored, restore_key: str) -> Refined:
    """Fit the residual field to the restored video."""
    settings = job.settings
    config = rounds_config(settings)
    if follows_mesh(restored, settings):
        rounds = config.strengths, config.azimuths, config.sides_per_round, config.seconds, config.fit.seed
        key = stage_key("refine", job.shot, restore_key, "mesh", *rounds, METHODS["limits"])
        total = mesh_steps(config)
    else:
        key = stage_key("refine", job.shot, restore_key, asdict(config), settings.refine.height, METHODS["limits"])
        total = max(config.steps(job.shot.frames), 1)
    return job.run("refine", key, total, Refined, lambda p: _refine(job, coarse, restored, restore_key, p))


def follows_mesh(restored: Restored, settings: Settings) -> bool:
    """Whether the restored mesh is the refined one: pixels are fitted only for what a mesh does not say."""
    return restored.vertices is not None and settings.refine.steps > 0 and not settings.refine.appearance


def rounds_config(settings: Settings) -> RoundsConfig:
    """How to fit; without a prior there is nothing to restore again, and one round.

    No further round is restored more strongly than the first one was.
    """
    refine, restore = settings.refine, settings.restore
    further = refine.rounds - 1 if restore.prior is not None else 0
    strengths = tuple(min(strength, restore.strength) for strength in STRENGTHS[:further])
    fit = RefinementConfig(
        steps=refine.steps, field_kind=refine.field, seed=settings.seed, appearance=refine.appearance
    )
    return RoundsConfig(strengths=strengths, seconds=60 * refine.round_minutes, fit=fit)


def _refine(job: Job, coarse: CoarseLayers, restored: Restored, restore_key: str, progress: Progress) -> Refined:
    """Fit at `settings.refine.height` pixels."""
    settings, shot, clip = job.settings, job.shot, coarse.clip
    notes: dict[str, Any] = {"restoration": restored.notes}
    if why := _why_left_out(clip, settings):
        progress.advance(progress.total, why)
        return Refined(clip.base_layer, {}, {**notes, "refinement": why})
    if follows_mesh(restored, settings):
        return _settled(job, coarse, restored, restore_key, progress)
    size = picture_size(shot, settings.refine.height / shot.meta.height)
    view = view_of(clip, restored, clip.cameras.resized(*size), progress.should_cancel)
    problem = _problem(shot, clip, view, restored)
    checkpoint = job.out / ".work" / "refine.checkpoint"
    restore = Restorer(job, clip, coarse.keypoints, restore_key)
    config = rounds_config(settings)
    result = refine_in_rounds(
        problem, restore, config, progress, checkpoint, restoring=restored.seconds, redraw=restore.redraw
    )
    notes |= _described(result, settings)
    # the field is smooth and sees pictures only: what it pushes into the body or overstretches is brought back
    clip = replace(clip, vertices=clip.base_layer, base=None)
    vertices = clip.vertices + limit_offsets(clip, result.vertices - clip.vertices)
    return Refined(vertices, result.history, notes, result.appearance)


def _settled(job: Job, coarse: CoarseLayers, restored: Restored, restore_key: str, progress: Progress) -> Refined:
    """The mesh that the prior returned, or what several of its samples agree on, within what cloth can do."""
    clip, settings, config = coarse.clip, job.settings, rounds_config(job.settings)
    assert restored.vertices is not None
    own = MeshSample(restored.vertices, restored.visibility)
    restore = Restorer(job, clip, coarse.keypoints, restore_key).mesh
    base = clip.base_layer
    vertices, rounds = settle_in_rounds(base, clip.cameras, own, restore, config, progress, restored.seconds)
    if len(rounds) > 1:
        clip = replace(clip, vertices=base, base=None)
        vertices = base + limit_offsets(clip, vertices - base)
    notes = {"restoration": restored.notes, **_described(RoundsResult(vertices, rounds), settings)}
    return Refined(vertices, {}, notes)


def _why_left_out(clip: CoarseClip, settings: Settings) -> str:
    """One sentence that says why there is nothing to fit; "" where there is something."""
    if settings.refine.steps == 0:
        return "left out"
    held = (
        "" if (clip.freedom > 0.01).any() else "All garment and hair is held to the body: there is nothing to refine."
    )
    return why_left_out(clip) or held


def _described(result: RoundsResult, settings: Settings) -> dict[str, Any]:
    """Notes for report.json: the message, which says why there are fewer rounds than asked for, and every round."""
    message = result.message
    if len(result.rounds) < settings.refine.rounds:
        why = "without a prior there is nothing to restore again"
        if settings.restore.prior is not None:
            why = f"another one would not have ended within {settings.refine.round_minutes:g} minutes"
        message += f" Rounds: {len(result.rounds)} of {settings.refine.rounds}, since {why}."
    rounds = [
        {
            "sides": list(done.sides),
            "strength": done.strength,
            **({"loss": [round(done.start_validation, 5), round(done.best_validation, 5)]} if done.history else {}),
            "moved_cm": round(100 * done.moved, 3),
            "seconds": round(done.seconds, 1),
        }
        for done in result.rounds
    ]
    return {"refinement": message, "rounds": rounds}


def _problem(shot: Shot, clip: CoarseClip, view: RestoredView, restored: Restored) -> RefinementProblem:
    """The fit to one restored view: gates from pins and regions, proposals where the prior knows the mesh."""
    gates, faces = clip.freedom, shot["faces"]
    proposal = None if restored.vertices is None else restored.vertices - clip.base_layer
    return RefinementProblem(
        coarse_vertices=clip.base_layer,
        bind_vertices=clip.bind_vertices,
        gates=gates,
        blended_rotations=open_rotations(shot, gates),
        faces=faces,
        binding=clip.avatar.binding,
        scales=clip.scales,
        opacities=clip.avatar.opacities,
        views=(view,),
        background=clip.background,
        vertex_targets=proposal,
        lifts=clip.avatar.lifts,
        compute=clip.compute,
        body_faces=faces[~is_loose(clip.vertex_regions)[faces].any(1)],
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
