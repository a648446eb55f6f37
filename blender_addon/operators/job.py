# SPDX-License-Identifier: GPL-3.0-or-later
"""Submit, Follow, Cancel, Remove: one job from the shot file to its end.

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

from ani3d_formats.coarse_pictures import SUFFIX as PICTURES
from ani3d_formats.coarse_pictures import CoarsePictures, missing
from ani3d_formats.errors import Ani3DError
from ani3d_formats.npz import read_npz
from ani3d_formats.shot_meta import ShotMeta
from ani3d_formats.views import SUFFIX, Views, ViewsMeta
from engine.wire import Client, JobStatus

from ..connection import finished
from ..job_list import active_row, add_job, remove_row, row_of
from ..jobs import ENDED
from ..paths import absolute
from ..properties import TEXTLESS, Ani3DJob, Ani3DScene, has_shot, scene_group, shot_file
from ..sentence import said
from ..session import JOB_WARNINGS, session
from ..wording import reported
from .base import ReportsErrors, WaitsForWork

UNREADABLE = (zipfile.BadZipFile, ValueError, EOFError, OSError, TypeError, KeyError)  # TypeError of a single array


class Submit(WaitsForWork, bpy.types.Operator):
    """Send the exported shot to the engine"""

    bl_idname = "ani3d.submit"
    bl_label = "Submit Shot"
    bl_options = {"UNDO"}  # undoing a later step must not forget the job

    shot: bpy.props.StringProperty(name="Shot", description="Shot file; empty for the one exported last")
    settings: bpy.props.StringProperty(name="Settings", description="Settings as JSON; empty for the panel's choices")

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        return engine_missing() or ("" if has_shot(context) else "No shot has been exported.")

    def begin(self, context: bpy.types.Context) -> Future[str]:
        scene_settings = scene_group(context.scene)
        link = session.current()
        file = absolute(self.shot) if self.shot else shot_file(context)
        if not file.is_file():
            raise Ani3DError(
                "shot.missing", said("There is no shot file at '{file}'.", file=file), "Use Export Shot first."
            )
        settings = self._settings = read_settings(self.settings) if self.settings else chosen_settings(scene_settings)
        views = views_for(file, self.warn)
        more = read_pictures(file.parent, meta_of(file), settings)
        return link.transfer(lambda client: client.submit({**_read_shot(file), **read_views(views), **more}, settings))

    def finish(self, context: bpy.types.Context, job: str) -> None:
        armature = scene_group(context.scene).armature
        add_job(context, job, armature.name if armature else "", self._settings)
        if not bpy.app.background:
            session.watch(job)
        self.report({"INFO"}, reported("The engine took the shot as job {job}.", job=job))


class Follow(ReportsErrors, bpy.types.Operator):
    """Show how far the job is; without a window, wait until it ends"""

    bl_idname = "ani3d.follow"
    bl_label = "Follow Job"

    job: bpy.props.StringProperty(name="Job", description="Job id; empty for the one submitted last")

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        return engine_missing() or ("" if scene_group(context.scene).job_id else "No job has been submitted.")

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
        return "" if session.stop_preparing else engine_missing()

    def begin(self, context: bpy.types.Context) -> Future[JobStatus] | Future[None]:
        if session.stop_preparing and not self.job:
            session.stop_preparing()
            return finished()
        job = self.job or last_job(context)
        return session.current().call(lambda client: client.cancel(job))

    def finish(self, context: bpy.types.Context, status: JobStatus | None) -> None:
        if status is None:
            return
        if (row := row_of(context.scene, status.id)) is not None:
            row.state = status.state
        state = status.state if status.state in ENDED else "being cancelled"
        self.report({"INFO"}, reported("Job {job} is {state}.", job=status.id, state=reported(state)))
        session.ask_for_all()


class RemoveJob(WaitsForWork, bpy.types.Operator):
    """Take the job off the list, and out of the engine's store if the engine runs; fetched files stay"""

    bl_idname = "ani3d.remove_job"
    bl_label = "Remove Job"
    bl_options = {"UNDO"}

    job: bpy.props.StringProperty(name="Job", description="Job id; empty for the one chosen in the list")

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        return "" if active_row(context.scene) else "There is no job."

    def begin(self, context: bpy.types.Context) -> Future[None]:
        job = self._job = chosen_row(context, self.job).job
        return session.current().call(lambda client: _delete(client, job)) if session.is_open() else finished()

    def finish(self, context: bpy.types.Context, _nothing: None) -> None:
        remove_row(context.scene, self._job)


class ListJobs(ReportsErrors, bpy.types.Operator):
    """Put the jobs that the engine works on for other files, or for nobody, on this list"""

    bl_idname = "ani3d.list_jobs"
    bl_label = "List Jobs of Others"

    @classmethod
    def why_not(cls, _context: bpy.types.Context) -> str:
        return "" if session.foreign else "The engine has no other unfinished job."

    def run(self, context: bpy.types.Context) -> None:
        for status in session.foreign:
            add_job(context, status.id, status.name, {})
        session.foreign = []
        session.ask_for_all()


def _delete(client: Client, job: str) -> None:
    try:
        client.delete(job)
    except Ani3DError as problem:
        if problem.code != "job.unknown":
            raise


def engine_missing() -> str:
    """Why nothing can be asked of the engine; "" where it runs."""
    return "" if session.is_open() else "The engine is not running."


def chosen_row(context: bpy.types.Context, job: str) -> Ani3DJob:
    """The row of `job`, of the chosen one where that is "". Raises `Ani3DError` ``job.unknown``."""
    row = row_of(context.scene, job) if job else active_row(context.scene)
    if row is None:
        raise Ani3DError(
            "job.unknown", said("The list of jobs has no job '{job}'.", job=job), "Choose one in the list."
        )
    return row


def last_job(context: bpy.types.Context) -> str:
    job = scene_group(context.scene).job_id
    if not job:
        raise Ani3DError("job.unknown", "No job has been submitted from this scene.", "Export and submit a shot first.")
    return job


def views_for(shot: Path, warn: Callable[[str], None]) -> Path | None:
    """`views_beside` a shot file."""
    return views_beside(shot.parent, meta_of(shot), warn)


def views_beside(folder: Path, meta: np.ndarray, warn: Callable[[str], None]) -> Path | None:
    """The views file in `folder` of the character of a shot, whose "meta" is given; `warn` is told why it is not
    sent."""
    try:
        known = ShotMeta.parse(meta)
    except Ani3DError:  # which reading it all will tell
        return None
    path = folder / f"{known.name}{SUFFIX}"
    if not path.is_file():
        return None
    try:
        shown = ViewsMeta.parse(meta_of(path)).character
    except Ani3DError:
        warn(
            said(
                "'{path}' is no readable views file, so the avatar is made without it. Capture the views again.",
                path=path,
            )
        )
        return None
    if shown == known.character:
        return path
    warn(
        said(
            "'{path}' shows the character as it was before its mesh, weights or materials changed, so the "
            "avatar is made without it. Capture the views again, and export the shot.",
            path=path,
        )
    )
    return None


def meta_of(path: Path) -> np.ndarray:
    """What a file of arrays has under "meta"; an empty text where it has nothing."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return file["meta"]
    except UNREADABLE:
        return np.array("")


def read_views(path: Path | None) -> dict[str, np.ndarray]:
    """What a views file adds to the arrays of a shot."""
    return Views.load(path).to_shot_arrays() if path else {}


def read_pictures(folder: Path, meta: np.ndarray, settings: dict[str, object]) -> dict[str, np.ndarray]:
    """What the coarse pictures in `folder` add to the arrays of a shot, whose "meta" is given, where they are wanted.

    Raises:
        Ani3DError: ``pictures.*``.
    """
    if settings.get("pictures") != "blender":
        return {}
    path = folder / f"{ShotMeta.parse(meta).name}{PICTURES}"
    if not path.is_file():
        raise missing()
    return CoarsePictures.load(path).to_shot_arrays()


def _read_shot(path: Path) -> dict[str, np.ndarray]:
    try:
        return read_npz(path)
    except UNREADABLE as error:
        raise Ani3DError(
            "shot.file_broken", said("'{path}' is not a whole shot file.", path=path), "Export the shot again."
        ) from error


NAMES = ("preset", "coarse", "floor", "way_in", "loop", "prior")  # of the scene that are settings of a job too


def chosen_settings(scene_settings: Ani3DScene) -> dict[str, object]:
    """What the panel says, as settings of a job."""
    chosen: dict[str, object] = {name: getattr(scene_settings, name) for name in NAMES}
    if scene_settings.prior not in TEXTLESS:
        chosen["prompt"] = scene_settings.prompt
        if scene_settings.reference:
            chosen["reference"] = str(absolute(scene_settings.reference))
    if scene_settings.device != "auto":
        chosen["device"] = scene_settings.device
    if scene_settings.preset != "cloth":
        chosen["pictures"] = scene_settings.pictures
    return chosen


def read_settings(text: str) -> dict[str, object]:
    """The settings in a JSON text. Raises `Ani3DError` ``settings.malformed``."""
    try:
        settings = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Ani3DError(
            "settings.malformed", said("The settings are not JSON: {error}.", error=str(error)), "Write an object."
        ) from error
    if not isinstance(settings, dict):
        raise Ani3DError("settings.malformed", "The settings are not a JSON object.", 'Write e.g. {"preset": "draft"}.')
    return settings
