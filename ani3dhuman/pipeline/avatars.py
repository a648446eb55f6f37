"""The avatar of a job: sampled or fitted, found among those of earlier shots, and written beside the result."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ani3d_formats.errors import Ani3DError
from ani3d_formats.names import child
from ani3d_formats.progress import Progress
from ani3d_formats.views import Views

from ..avatar import Avatar, avatar_from_shot
from ..avatar.file import AvatarFile, find_kept, keep
from ..avatar.fitting.fitted import Fitted, fitted_avatar
from ..avatar.from_mesh import DETAIL
from ..storage.results import to_arrays
from .job import Job
from .keys import stage_key

READ_OF_VIEWS = ("vertices_at", "pose_of", "viewmats", "Ks", "albedo")


def job_avatar(job: Job) -> tuple[Fitted, str]:
    """The Gaussians in bind pose, and their key. One that was fitted for an earlier shot of the character is taken."""
    if job.settings.avatar.file:
        return _given(job, Path(job.settings.avatar.file))
    shot, settings, seed, views = job.shot, job.settings.avatar, job.settings.seed, _views(job)
    strands = [(item.vertex_start, item.strands) for item in shot.meta.objects if item.strands]
    surfaces = (shot.textures, shot.meta.materials, DETAIL, settings.gaussians, seed, strands)
    if settings.fit_steps == 0:
        key = stage_key("avatar", shot, *surfaces)
    else:
        seen = None if views is None else {name: getattr(views, name) for name in READ_OF_VIEWS}
        rig = (shot.preserve_volume, shot.meta.skeleton)
        card = [] if job.compute.on_cpu else ["card"]  # not the CPU's to the bit
        key = stage_key("fit", shot, *surfaces, settings.fit_steps, *rig, seen, *card)

    def compute(progress: Progress) -> Fitted:
        if settings.fit_steps == 0:
            sampled = Fitted(avatar_from_shot(shot, settings.gaussians, DETAIL, seed))
            progress.advance(progress.total)
            return sampled
        if (found := find_kept(key)) is not None:
            progress.advance(progress.total, "fitted for an earlier shot")
            return Fitted(found.avatar, {**found.notes, "fitted for": found.name, "seconds": 0.0})
        started = time.monotonic()
        made = fitted_avatar(shot, settings.gaussians, settings.fit_steps, seed, progress, views, job.compute)
        made = replace(made, notes={**made.notes, "seconds": round(time.monotonic() - started, 1)})
        keep(AvatarFile(made.avatar, shot.name, key, made.notes))
        return made

    return job.run("avatar", key, 1, Fitted, compute), key


def _given(job: Job, path: Path) -> tuple[Fitted, str]:
    """The avatar of a file, and its key. Raises `Ani3DError` ``avatar.other_mesh`` for that of another character."""
    file = AvatarFile.load(path)
    if not np.array_equal(file.avatar.binding.faces.numpy(), job.shot["faces"]):
        raise Ani3DError(
            "avatar.other_mesh",
            f"{path.name} is bound to another mesh than the character of {job.shot.name} has.",
            "Import or fit it again with this character's shot.",
        )
    made = Fitted(file.avatar.scaled(job.scale), {**file.notes, "file": path.name})
    return made, stage_key("avatar", job.shot, "file", *to_arrays(made))


def _views(job: Job) -> Views | None:
    """Blender's views that came with the shot or that the settings name, at the size of the job's character."""
    file = job.settings.avatar.views
    views = Views.load(file) if job.views is None and file else job.views
    if views is None or job.settings.avatar.fit_steps == 0:
        return None
    views.check_fits(len(job.shot["vertices"]), job.shot.meta.character)
    return views if job.scale == 1 else views.scaled(job.scale)


def write_avatar(job: Job, avatar: Avatar, key: str, notes: dict[str, Any]) -> None:
    """Write NAME.avatar into the result's folder, in the scene's own metres."""
    AvatarFile(avatar.scaled(1 / job.scale), job.shot.name, key, notes).save(child(job.out, f"{job.shot.name}.avatar"))
