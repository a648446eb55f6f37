# SPDX-License-Identifier: GPL-3.0-or-later
"""Submit, Follow, Cancel: one job from the shot file to its end.

With a window they return at once and a timer shows what the engine says; without one they wait.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

import bpy
import numpy as np

from ani3d_formats.errors import Ani3DError
from ani3d_formats.npz import read_npz
from ani3d_formats.shot_meta import ShotMeta
from ani3d_formats.views import SUFFIX, Views, ViewsMeta
from engine.wire import JobStatus

from ..jobs import ENDED
from ..paths import absolute
from ..properties import TEXTLESS, Ani3DScene, scene_group, shot_file
from ..session import JOB_WARNINGS, session
from .base import ReportsErrors, WaitsForWork

UNREADABLE = (zipfile.BadZipFile, ValueError, EOFError, OSError, TypeError, KeyError)  # TypeError of a single array


class Submit(WaitsForWork, bpy.types.Operator):
    """Send the exported shot to the engine"""

    bl_idname = "ani3d.submit"
    bl_label = "Animate"
    bl_options = {"UNDO"}  # undoing a later step must not forget the job

    shot: bpy.props.StringProperty(name="Shot", description="Shot file; empty for the one exported last")
    settings: bpy.props.StringProperty(name="Settings", description="Settings as JSON; empty for the panel's choices")

    @classmethod
    def why_not(cls, _context: bpy.types.Context) -> str:
        return engine_missing()

    def begin(self, context: bpy.types.Context) -> Future[str]:
        scene_settings = scene_group(context.scene)
        link = session.current()
        file = absolute(self.shot) if self.shot else shot_file(context)
        if not file.is_file():
            raise Ani3DError("shot.missing", f"There is no shot file at '{file}'.", "Use Export Shot first.")
        settings = _read_settings(self.settings) if self.settings else _chosen(scene_settings)
        views = views_for(file, self.warn)
        return link.transfer(lambda client: client.submit({**_read_shot(file), **_read_views(views)}, settings))

    def finish(self, context: bpy.types.Context, job: str) -> None:
        scene_group(context.scene).job_id = job
        if not bpy.app.background:
            session.watch(job)
        self.report({"INFO"}, f"The engine took the shot as job {job}.")


class Follow(ReportsErrors, bpy.types.Operator):
    """Show how far the job is; without a window, wait until it ends"""

    bl_idname = "ani3d.follow"
    bl_label = "Follow Job"

    job: bpy.props.StringProperty(name="Job", description="Job id; empty for the one submitted last")

    @classmethod
    def why_not(cls, _context: bpy.types.Context) -> str:
        return engine_missing()

    def run(self, context: bpy.types.Context) -> None:
        job = self.job or last_job(context)
        if bpy.app.background:
            session.follow(job)
            for warning in session.warnings.get(JOB_WARNINGS, ()):
                self.report({"WARNING"}, warning)
        else:
            session.current()
            session.watch(job)


class CancelJob(WaitsForWork, bpy.types.Operator):
    """Stop the job; finished stages are kept and reused when the shot is submitted again"""

    bl_idname = "ani3d.cancel_job"
    bl_label = "Cancel Job"

    job: bpy.props.StringProperty(name="Job", description="Job id; empty for the one submitted last")

    @classmethod
    def why_not(cls, _context: bpy.types.Context) -> str:
        return engine_missing()

    def begin(self, context: bpy.types.Context) -> Future[JobStatus]:
        job = self.job or last_job(context)
        return session.current().call(lambda client: client.cancel(job))

    def finish(self, context: bpy.types.Context, status: JobStatus) -> None:
        state = status.state if status.state in ENDED else "being cancelled"
        self.report({"INFO"}, f"Job {status.id} is {state}.")


def engine_missing() -> str:
    """Why nothing can be asked of the engine; "" where it runs."""
    return "" if session.is_open() else "The engine is not running."


def last_job(context: bpy.types.Context) -> str:
    job = scene_group(context.scene).job_id
    if not job:
        raise Ani3DError("job.unknown", "No job has been submitted from this scene.", "Export and submit a shot first.")
    return job


def views_for(shot: Path, warn: Callable[[str], None]) -> Path | None:
    """The views file beside a shot file, if it shows the same character; `warn` is told why it is not sent."""
    try:
        known = ShotMeta.parse(_meta_of(shot))
    except Ani3DError:  # which reading it all will tell
        return None
    path = shot.parent / f"{known.name}{SUFFIX}"
    if not path.is_file():
        return None
    try:
        shown = ViewsMeta.parse(_meta_of(path)).character
    except Ani3DError:
        warn(f"'{path}' is no readable views file, so the avatar is made without it. Capture the views again.")
        return None
    if shown == known.character:
        return path
    warn(
        f"'{path}' shows the character as it was before its mesh, weights or materials changed, so the avatar is made "
        "without it. Capture the views again, and export the shot."
    )
    return None


def _meta_of(path: Path) -> np.ndarray:
    """What a file of arrays has under "meta"; an empty text where it has nothing."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return file["meta"]
    except UNREADABLE:
        return np.array("")


def _read_views(path: Path | None) -> dict[str, np.ndarray]:
    return Views.load(path).to_shot_arrays() if path else {}


def _read_shot(path: Path) -> dict[str, np.ndarray]:
    try:
        return read_npz(path)
    except UNREADABLE as error:
        raise Ani3DError("shot.file_broken", f"'{path}' is not a whole shot file.", "Export the shot again.") from error


def _chosen(scene_settings: Ani3DScene) -> dict[str, object]:
    """What the panel says, as settings of a job."""
    chosen: dict[str, object] = {name: getattr(scene_settings, name) for name in ("preset", "coarse", "prior")}
    if scene_settings.prior not in TEXTLESS:
        chosen["prompt"] = scene_settings.prompt
    return chosen


def _read_settings(text: str) -> dict[str, object]:
    try:
        settings = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Ani3DError("settings.malformed", f"The settings are not JSON: {error}.", "Write an object.") from error
    if not isinstance(settings, dict):
        raise Ani3DError("settings.malformed", "The settings are not a JSON object.", 'Write e.g. {"preset": "draft"}.')
    return settings
