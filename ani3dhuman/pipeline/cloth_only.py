"""The job that is cloth alone: a shot in, mesh caches out; no avatar, no pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ani3d_formats import early_frames
from ani3d_formats.frames import CacheWriter
from ani3d_formats.names import child
from ani3d_formats.shot import Shot

from .. import __version__
from ..storage.stage_quota import SharedStages
from . import stages
from .job import Job, Listener
from .moving import coarse_layer, rigid_layer
from .report import write_report
from .settings import Settings


def cloth_only(
    shot: Shot,
    out: Path,
    settings: Settings,
    listener: Listener | None = None,
    should_cancel: Callable[[], bool] = lambda: False,
    finished: SharedStages | None = None,
) -> Path:
    """Move a shot's meshes and write them as caches; arguments as of `animate`, `finished` as its `stages`.

    Returns:
        `out`, which then holds NAME.ani3d/, whose manifest counts no Gaussians, and report.json. While cloth is
        simulated, its frames are in `early_frames.NAME` there.
    """
    job = Job(shot, settings, Path(out), listener, should_cancel, stages=finished)
    if settings.coarse.layer == "evaluated":
        stages.evaluated_layer(shot)  # a shot without is refused before anything takes its time
    early = job.out / early_frames.NAME

    def watch(rigid: np.ndarray) -> stages.Show:
        shown = early_frames.EarlyFrames(early, rigid / np.float32(job.scale))
        return lambda frame, rows, places: shown.show(frame, rows, places / np.float32(job.scale))

    try:
        rigid = rigid_layer(job)
        moving = coarse_layer(job, rigid, watch(rigid.rigid))
        cache = _write_cache(job, moving.coarse, shot.meta.origin)
    finally:
        early.unlink(missing_ok=True)
    write_report(job, 0, moving.pins, {"rigid": moving.rigid, "coarse": moving.coarse}, {}, cache)
    return job.out


def _write_cache(job: Job, vertices: np.ndarray, origin: tuple[float, float, float]) -> Path:
    """The meshes as NAME.ani3d, in the scene's own metres from `origin`."""
    shot, path = job.shot, child(job.out, f"{job.shot.name}.ani3d")
    provenance: dict[str, Any] = {"program": f"ani3dhuman {__version__}", "settings": job.settings.to_dict()}
    if job.scale != 1:
        provenance["scale"] = job.scale
    head = {"frame_start": shot.meta.frame_start, "frame_end": shot.meta.frame_end, "fps": shot.meta.fps}
    progress = job.progress("cache", shot.frames)
    with (
        job.timed("cache"),
        CacheWriter(path, count=0, provenance=provenance, origin=origin, **head) as writer,  # type: ignore[arg-type]
    ):
        for frame in vertices:
            own = frame / np.float32(job.scale) if job.scale != 1 else frame
            writer.frame({}, {item.name: own[item.rows] for item in shot.meta.objects})
            progress.advance()
    return path
