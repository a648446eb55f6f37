"""The main job: rigid -> physics -> coarse pictures -> restoration -> residual field -> cache."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__
from ..avatar import Avatar, Lighting, pose_avatar
from ..cache.frames import FrameCache, write_cache
from ..camera import CameraPath
from ..motion.keypoints import map_keypoints
from ..refinement.plots import plot_losses
from ..shot import Shot
from . import refining, restoring, stages
from .amplitude import motion_amplitude
from .job import Job, Listener
from .pictures import write_conditions, write_pictures
from .settings import Settings
from .store import content_key


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
    arrays = {k: v for k, v in shot.to_arrays().items() if k not in ("viewmats", "Ks", "meta")}
    scene_key = content_key(__version__, arrays, shot.meta["materials"], shot.meta["fps"])
    cameras = shot.cameras.resized(*stages.picture_size(shot, settings.render_scale))
    layers = _motion_layers(job, scene_key)
    avatar = stages.avatar_of(shot, layers["avatar"])
    vertices = {"rigid": layers["rigid"]["vertices"], "coarse": layers["cloth"]["vertices"]}
    pins = np.asarray(layers["cloth"]["pins"])

    view_key = content_key(layers["key"], cameras.viewmats, cameras.Ks, cameras.width, cameras.height)
    pictures = {
        name: job.run(
            f"render_{name}",
            content_key(view_key, name),
            shot.frames,
            lambda p, v=vertices[name]: stages.render_gaussians(shot, avatar, v, cameras, p),  # type: ignore[misc]
        )
        for name in vertices
    }
    scene = stages.Scene(shot, avatar, vertices["rigid"], vertices["coarse"], pins, cameras)
    restored, restore_key = restoring.run(job, scene, pictures["coarse"], view_key)
    refined = refining.run(job, scene, pictures["coarse"], restored, restore_key)
    pictures["restored"] = restored
    vertices["refined"] = refined["vertices"]
    pictures["refined"] = job.run(
        "render_refined",
        content_key(view_key, np.asarray(vertices["refined"])),
        shot.frames,
        lambda p: stages.render_gaussians(shot, avatar, vertices["refined"], cameras, p),
    )
    keypoints = map_keypoints(shot)
    skeletons = stages.draw_skeletons(shot, keypoints, cameras, pictures["coarse"])
    cache = _write_cache(job, avatar, vertices["refined"], cameras)
    with job.timed("pictures"):
        losses = json.loads(str(refined["losses"][()]))
        if losses:
            plot_losses(losses, out / "loss.png")
        write_pictures(out, shot, cameras, pictures, vertices, job.progress("pictures", shot.frames))
        write_conditions(out, shot, pictures["coarse"], skeletons, "Pose" if keypoints.is_human else "Skeleton")
    amplitudes = {name: motion_amplitude(shot, np.asarray(v), pins) for name, v in vertices.items()}
    notes = {**json.loads(str(refined["notes"][()])), "pose": keypoints.describe()}
    _write_report(job, avatar.count, cache, amplitudes, notes)
    return out


def _motion_layers(job: Job, scene_key: str) -> dict[str, Any]:
    """Avatar, rigid and physics layers with the key that names them."""
    shot, settings = job.shot, job.settings
    avatar_key = content_key(scene_key, settings.gaussians, settings.seed)
    cloth_key = content_key(scene_key, settings.physics, settings.fabric)
    avatar = job.run("avatar", avatar_key, 1, lambda p: stages.build_avatar(shot, settings, p))
    rigid = job.run("rigid", scene_key, shot.frames, lambda p: stages.pose_rigid(shot, p))
    cloth = job.run(
        "cloth", cloth_key, 2 * shot.frames, lambda p: stages.simulate_cloth(shot, rigid["vertices"], settings, p)
    )
    return {"avatar": avatar, "rigid": rigid, "cloth": cloth, "key": content_key(avatar_key, cloth_key)}


def _write_cache(job: Job, avatar: Avatar, vertices: np.ndarray, cameras: CameraPath) -> Path:
    """The result as NAME.ani3d with one PC2 per object."""
    shot = job.shot
    path = job.out / f"{shot.name}.ani3d"
    with job.timed("cache"):
        gaussians = pose_avatar(avatar, vertices, Lighting.of(shot), cameras)
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


def _write_report(job: Job, count: int, cache: Path, amplitudes: dict[str, float], notes: dict[str, Any]) -> None:
    """report.json: what the table of a job is made of."""
    report = {
        "name": job.shot.name,
        "frames": job.shot.frames,
        "gaussians": count,
        "vertices": len(job.shot["vertices"]),
        "seconds": {k: round(v, 2) for k, v in job.seconds.items()},
        "peak_gb": {k: round(v, 2) for k, v in job.peak_gb.items()},
        "reused": job.store.reused,
        "hem_amplitude_cm": {k: round(v, 2) for k, v in amplitudes.items()},
        "settings": job.settings.to_dict(),
        "cache": cache.name,
        "notes": notes,
    }
    (job.out / "report.json").write_text(json.dumps(report, indent=2), encoding="utf-8")
