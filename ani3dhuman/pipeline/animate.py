"""The main job: rigid -> physics -> coarse pictures -> restoration -> residual field -> cache."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ani3d_formats.coarse_pictures import CoarsePictures
from ani3d_formats.frames import CacheWriter, FrameCache, radiance
from ani3d_formats.names import child
from ani3d_formats.shot import Shot
from ani3d_formats.views import Views

from .. import __version__
from ..avatar.shaded import shades_of_one_job
from ..clip import CoarseClip
from ..device import to_numpy
from ..refinement.plots import plot_losses
from ..splats.splats import OWN_COLORS
from ..storage.stage_quota import SharedStages
from ..storage.stage_store import let_go
from . import refining, restoring
from .avatars import write_avatar
from .beside import beside
from .coarse import coarse_layers, render_layer
from .job import Job, Listener
from .pictures import write_conditions, write_pictures
from .report import write_report
from .restoring import pictures_of
from .settings import HALF, Settings

IN_HALF = frozenset({"rotation", "scale", "radiance:base", OWN_COLORS})  # a place within a body takes more digits


@shades_of_one_job()
def animate(
    shot: Shot,
    out: Path,
    settings: Settings,
    listener: Listener | None = None,
    should_cancel: Callable[[], bool] = lambda: False,
    views: Views | None = None,
    stages: SharedStages | None = None,
    pictures: CoarsePictures | None = None,
) -> Path:
    """Run a shot through all stages; those finished earlier in `out`, or in `stages`, with the same inputs are reused.

    Args:
        shot: the exported scene.
        out: result folder, made when missing.
        settings: choices of the job.
        listener: called with every progress report.
        should_cancel: asked at every step; True stops the job with `Cancelled`, finished stages stay.
        views: of the character, that came with the shot.
        pictures: of the coarse layer, that came with the shot.
        stages: a folder that many jobs share.

    Returns:
        `out`, which then holds NAME.ani3d/, NAME.avatar, videos/, contact_sheet.png and report.json, and
        loss.png where pixels were fitted.
    """
    out = Path(out)
    job = Job(shot, settings, out, listener, should_cancel, views, stages, pictures)
    restoring.check(settings)
    device = f"{job.compute.device}: {job.compute.why}"  # one that is not there is refused before all else
    coarse = coarse_layers(job)
    if needed := restoring.needs_pictures(settings):
        coarse = coarse.seen(job)
    with nullcontext(lambda: coarse) if needed else beside(job, coarse.shown) as pictured:
        restored, restore_key = restoring.run(job, coarse)
        refined = refining.run(job, coarse, restored, restore_key)
        vertices = {**coarse.vertices, "refined": refined.vertices}
        clip = replace(coarse.clip, appearance=refined.appearance)
        shown = (coarse.avatar_key, refined.vertices, refined.appearance)
        drawn = render_layer(job, "render_refined", clip, refined.vertices, shown)
        coarse = pictured()
    mesh = restored.vertices
    same = refined.appearance is None and np.array_equal(clip.vertices if mesh is None else mesh, refined.vertices)
    shows_restored = pictures_of(job, coarse, restored, drawn if same else None)
    layers = {**coarse.pictures, "restored": shows_restored, "refined": drawn}
    let_go(mesh, *vertices.values())  # of a long shot they are a gigabyte, and encoders take another
    with beside(job, lambda job: _write_cache(job, clip, refined.vertices, shot.meta.origin)) as cached:
        with job.timed("pictures"):
            if refined.losses:
                plot_losses(refined.losses, out / "loss.png")
            write_pictures(out, job.shot, clip.cameras, layers, vertices, job.progress("pictures", shot.frames))
            write_conditions(out, job.shot, coarse, settings.conditions.pose_style)
        cache = cached()
    write_avatar(job, clip.avatar, coarse.avatar_key, coarse.avatar_notes)
    notes = {"avatar": coarse.avatar_notes, **refined.notes, "pose": coarse.keypoints.describe(), "device": device}
    write_report(job, clip.avatar.count, clip.pin_weights, vertices, notes, cache)
    return out


def _never_changes(clip: CoarseClip) -> set[str]:
    """What of the Gaussians is the same in all frames, and is stored once."""
    if clip.appearance is not None:
        return set()
    scale = {"scale"} if clip.sizes is None and clip.avatar.binding.rest_shapes is None else set()
    same = clip.avatar.is_lit and clip.avatar.harmonics is None
    return scale | ({"radiance:base"} if same else set())


def _write_cache(job: Job, clip: CoarseClip, vertices: np.ndarray, origin: tuple[float, float, float]) -> Path:
    """The result as NAME.ani3d with one PC2 per object, in the scene's own metres from `origin`."""
    shot = job.shot
    path = child(job.out, f"{shot.name}.ani3d")
    with job.timed("cache"):
        provenance: dict[str, Any] = {"program": f"ani3dhuman {__version__}", "settings": job.settings.to_dict()}
        if job.scale != 1:
            provenance["scale"] = job.scale
        progress = job.progress("cache", shot.frames)
        with CacheWriter(
            path,
            count=clip.avatar.count,
            provenance=provenance,
            origin=origin,
            fps=shot.meta.fps,
            frame_start=shot.meta.frame_start,
            frame_end=shot.meta.frame_end,
            half=IN_HALF if job.settings.cache == HALF else frozenset(),
        ) as writer:
            posed, size = clip.posed(vertices), np.float32(1 / job.scale)
            if clip.avatar.harmonics is not None and clip.appearance is None:
                writer.static(OWN_COLORS, clip.avatar.harmonics.reshape(clip.avatar.count, -1))
            static = _never_changes(clip)
            for t in range(clip.frames):
                means, quats, scales, opacities, colors = (to_numpy(part) for part in posed.frame(t))
                values = {"position": means * size, "rotation": quats, "scale": scales * size}
                values["radiance:base"] = radiance(colors, opacities)
                for name in sorted(static if t == 0 else ()):
                    writer.static(name, values[name])
                moving = {name: array for name, array in values.items() if name not in static}
                writer.frame(moving, {item.name: vertices[t, item.rows] * size for item in shot.meta.objects})
                progress.advance()
    return FrameCache.open(path).path
