"""The main job: rigid -> physics -> coarse pictures -> restoration -> residual field -> cache."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ani3d_formats.camera import CameraPath
from ani3d_formats.frames import FrameCache, write_cache
from ani3d_formats.shot import Shot

from .. import __version__
from ..avatar import Avatar, Lighting, pose_avatar
from ..refinement.plots import plot_losses
from ..storage.stages import content_key
from . import refining, restoring, stages
from .coarse import coarse_layers
from .job import Job, Listener
from .pictures import write_conditions, write_pictures
from .report import write_report
from .settings import Settings


def animate(
    shot: Shot,
    out: Path,
    settings: Settings,
    listener: Listener | None = None,
    should_cancel: Callable[[], bool] = lambda: False,
) -> Path:
    """Run a shot through all stages; stages finished earlier in `out` with the same inputs are reused.

    Args:
        shot: the exported scene.
        out: result folder, made when missing.
        settings: choices of the job.
        listener: called with every progress report.
        should_cancel: asked at every step; True stops the job with `Cancelled`, finished stages stay.

    Returns:
        `out`, which then holds NAME.ani3d/, videos/, contact_sheet.png, loss.png and report.json.
    """
    out = Path(out)
    job = Job(shot, settings, out, listener, should_cancel)
    restoring.check(settings)
    coarse = coarse_layers(job)
    scene, pictures = coarse.scene, dict(coarse.pictures)
    restored, restore_key = restoring.run(job, scene, pictures["coarse"], coarse.view_key)
    refined = refining.run(job, scene, pictures["coarse"], restored, restore_key)
    pictures["restored"] = restored
    vertices, appearance = {**coarse.vertices, "refined": refined["vertices"]}, refined.get("appearance")
    pictures["refined"] = job.run(
        "render_refined",
        content_key(coarse.view_key, np.asarray(vertices["refined"]), *([] if appearance is None else [appearance])),
        shot.frames,
        lambda p: stages.render_gaussians(shot, scene.avatar, vertices["refined"], scene.cameras, p, appearance),
    )
    drawings = stages.draw_skeletons(scene, pictures["coarse"], settings)
    cache = _write_cache(job, scene.avatar, vertices["refined"], scene.cameras, appearance)
    with job.timed("pictures"):
        losses = json.loads(str(refined["losses"][()]))
        if losses:
            plot_losses(losses, out / "loss.png")
        write_pictures(out, shot, scene.cameras, pictures, vertices, job.progress("pictures", shot.frames))
        write_conditions(out, scene, pictures["coarse"], drawings)
    notes = {**json.loads(str(refined["notes"][()])), "pose": scene.keypoints.describe()}
    write_report(job, scene, vertices, notes, cache)
    return out


def _write_cache(
    job: Job, avatar: Avatar, vertices: np.ndarray, cameras: CameraPath, appearance: np.ndarray | None
) -> Path:
    """The result as NAME.ani3d with one PC2 per object."""
    shot = job.shot
    path = job.out / f"{shot.name}.ani3d"
    with job.timed("cache"):
        gaussians = pose_avatar(avatar, vertices, Lighting.of(shot), cameras, appearance)
        meshes = {
            o["name"]: vertices[:, o["vertex_start"] : o["vertex_start"] + o["vertex_count"]]
            for o in shot.meta["objects"]
        }
        provenance = {"program": f"ani3dhuman {__version__}", "settings": job.settings.to_dict()}
        write_cache(
            path,
            gaussians,
            fps=float(shot.meta["fps"]),
            frame_start=int(shot.meta["frame_start"]),
            meshes=meshes,
            provenance=provenance,
            progress=job.progress("cache", shot.frames),
        )
    return FrameCache.open(path).path
