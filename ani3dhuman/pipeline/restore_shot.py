"""Restoration alone: a shot's coarse video and what a prior makes of it, without the residual field."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ani3d_formats.shot import Shot

from ..avatar.shaded import shades_of_one_job
from ..storage.stage_quota import SharedStages
from . import restoring
from .coarse import coarse_layers
from .job import Job, Listener
from .pictures import write_conditions, write_pictures
from .report import write_report
from .settings import Settings


@shades_of_one_job()
def restore_shot(
    shot: Shot,
    out: Path,
    settings: Settings,
    listener: Listener | None = None,
    should_cancel: Callable[[], bool] = lambda: False,
    stages: SharedStages | None = None,
) -> Path:
    """Restore a shot's coarse video by the prior that the settings name.

    A later `animate` into the same folder with the same settings goes on from what is finished here.

    Args:
        shot: the exported scene.
        out: result folder, made when missing.
        settings: choices of the job; those of the refinement are not used.
        listener: called with every progress report.
        should_cancel: asked at every step; True stops with `Cancelled`, finished stages stay.
        stages: a folder that many jobs share; None keeps them in `out`.

    Returns:
        `out`, which then holds videos/, contact_sheet.png, conditions.png and report.json.
    """
    out = Path(out)
    job = Job(shot, settings, out, listener, should_cancel, stages=stages)
    restoring.check(settings)
    coarse = coarse_layers(job).seen(job)
    restored, _ = restoring.run(job, coarse)
    pictures, cameras = (
        {**coarse.pictures, "restored": restoring.pictures_of(job, coarse, restored)},
        coarse.clip.cameras,
    )
    with job.timed("pictures"):
        write_pictures(out, job.shot, cameras, pictures, coarse.vertices, job.progress("pictures", shot.frames))
        write_conditions(out, job.shot, coarse, settings.conditions.pose_style)
    notes = {"restoration": restored.notes, "pose": coarse.keypoints.describe()}
    write_report(job, coarse.clip.avatar.count, coarse.clip.pin_weights, coarse.vertices, notes)
    return out
