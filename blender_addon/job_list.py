# SPDX-License-Identifier: GPL-3.0-or-later
"""The list of jobs on `scene.ani3d`, kept in the file: what was submitted, how far it is, where its result lies.

Undo takes the file back to before a job was submitted, but not the job: rows that it loses are put back.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import bpy
from bpy.app.handlers import persistent

from ani3d_formats.errors import Ani3DError
from engine.wire import JobStatus

from .import_result import find_cache
from .jobs import ENDED, Moment, sentence
from .paths import absolute, in_blend, output_folder
from .preferences import note_seconds_a_frame
from .properties import Ani3DJob, scene_group
from .session import redraw, session

UNKNOWN = "unknown"  # state of a job that the engine does not have
FIELDS = ("name", "job", "preset", "settings", "submitted", "state", "message", "folder", "result")


class Lasting:
    """What undo must not take and a file does not keep: the rows as they are now, the results that are waited for."""

    def __init__(self) -> None:
        self.rows: dict[tuple[int, str], dict[str, Any]] = {}  # by scene and job
        self.wanted: set[str] = set()  # jobs whose results are shown as soon as they are there

    def note(self, scene: bpy.types.Scene) -> None:
        """Remember the rows of `scene` as they are."""
        for row in scene_group(scene).jobs:
            self.rows[scene.session_uid, row.job] = {name: getattr(row, name) for name in FIELDS}

    def put_back(self) -> None:
        """Give every scene the rows that it had."""
        for scene in bpy.data.scenes:
            for (owner, job), fields in self.rows.items():
                if owner == scene.session_uid:
                    row = row_of(scene, job) or _on_top(scene)
                    for name, value in fields.items():
                        setattr(row, name, value)


lasting = Lasting()


def add_job(
    context: bpy.types.Context,
    job: str,
    name: str,
    settings: Mapping[str, object],
    wanted: bool = False,
    scene: bpy.types.Scene | None = None,
) -> None:
    """Put a job on top of the list; the same work submitted again is the same row.

    Args:
        name: of the character.
        settings: that the job was submitted with.
        wanted: with a window, the result is fetched and shown when the job is done.
        scene: whose list; by default the one that is open.
    """
    scene = scene or context.scene
    group = scene_group(scene)
    known = next((number for number, row in enumerate(group.jobs) if row.job == job), None)
    if known is None:
        row = _on_top(scene)
        row.job, row.folder = job, in_blend(output_folder(context) / job)
    else:
        group.jobs.move(known, 0)
    row = group.jobs[0]
    row.name, row.preset, row.settings = name, str(settings.get("preset", "")), json.dumps(settings)
    row.submitted, row.state, row.message = f"{datetime.now():%Y-%m-%d %H:%M}", "queued", ""
    group.active_job, group.job_id = 0, job
    session.foreign = [status for status in session.foreign if status.id != job]
    if wanted:
        lasting.wanted.add(job)
    lasting.note(scene)


def remove_row(scene: bpy.types.Scene, job: str) -> None:
    """Take a job off the list."""
    group = scene_group(scene)
    number = next(number for number, row in enumerate(group.jobs) if row.job == job)
    group.jobs.remove(number)
    group.active_job = min(group.active_job, max(0, len(group.jobs) - 1))
    if group.job_id == job:
        group.job_id = ""
    lasting.rows.pop((scene.session_uid, job), None)
    lasting.wanted.discard(job)


def row_of(scene: bpy.types.Scene, job: str) -> Ani3DJob | None:
    """The row of a job."""
    return next((row for row in scene_group(scene).jobs if row.job == job), None)


def active_row(scene: bpy.types.Scene) -> Ani3DJob | None:
    """The row chosen in the panel's list."""
    group = scene_group(scene)
    return group.jobs[group.active_job] if 0 <= group.active_job < len(group.jobs) else None


def folder_of(row: Ani3DJob) -> Path | None:
    """Where the job's files are, None until they are there."""
    try:
        folder = absolute(row.folder)
        find_cache(folder)
    except (Ani3DError, OSError):
        return None
    return folder


def fetched(scene: bpy.types.Scene, job: str, folder: Path, result: str) -> None:
    """Note where the files of a job are, and what its result is called in this file, if it is there."""
    if (row := row_of(scene, job)) is not None:
        row.folder, row.result = in_blend(folder), result or row.result
        lasting.note(scene)


# ---- what the engine says ----


def heard(moment: Moment) -> None:
    """Write what the engine said of a job into its rows."""
    for scene, row in _rows():
        if row.job == moment.job and (row.state, row.message) != (moment.state, moment.message):
            row.state, row.message = moment.state, moment.message
            lasting.note(scene)
    if moment.state in ENDED:
        if moment.state != "done":
            lasting.wanted.discard(moment.job)
        if any(row.state not in ENDED for _, row in _rows()):
            session.ask_for_all()
        _note_pace(moment)
        show_wanted()


def _note_pace(moment: Moment) -> None:
    course = session.course
    if moment.state != "done" or course is None or course.job != moment.job or not course.preset:
        return
    if (seconds := course.took(time.monotonic())) is not None:
        note_seconds_a_frame(bpy.context, course.preset, seconds)


def heard_all(statuses: Sequence[JobStatus]) -> None:
    """Write what the engine said of all its jobs into the rows; follow one that goes on, if none is followed."""
    known = {status.id: status for status in statuses}
    for scene, row in _rows():
        status = known.get(row.job)
        if status is not None:
            row.state, row.message = status.state, sentence(status.error) if status.error else ""
        elif row.state not in ENDED:
            row.state, row.message = UNKNOWN, "The engine that runs does not have this job."
        lasting.note(scene)
    listed = {row.job for _, row in _rows()}
    unfinished = [status for status in statuses if status.state not in ENDED]
    session.foreign = [status for status in unfinished if status.id not in listed]
    own = sorted((s for s in unfinished if s.id in listed), key=lambda s: s.state != "running")
    if own and not bpy.app.background and (session.job is None or session.job.state in ENDED):
        session.watch(own[0].id, next(row.preset for _, row in _rows() if row.job == own[0].id))
    show_wanted()
    redraw()


def show_wanted() -> None:
    """With a window, fetch and show a result that is waited for and there; one at a time."""
    if bpy.app.background or session.transfer is not None:
        return
    for window in bpy.context.window_manager.windows:
        for row in scene_group(window.scene).jobs:
            if row.job in lasting.wanted and row.state == "done":
                lasting.wanted.discard(row.job)
                with bpy.context.temp_override(window=window):
                    bpy.ops.ani3d.show_job("INVOKE_DEFAULT", job=row.job)  # type: ignore[attr-defined]
                return


def _rows() -> Iterator[tuple[bpy.types.Scene, Ani3DJob]]:
    for scene in bpy.data.scenes:
        for row in scene_group(scene).jobs:
            yield scene, row


def _on_top(scene: bpy.types.Scene) -> Ani3DJob:
    jobs = scene_group(scene).jobs
    jobs.add()
    jobs.move(len(jobs) - 1, 0)
    return jobs[0]


@persistent
def _on_undo(*_arguments: object) -> None:
    lasting.put_back()


@persistent
def _on_load(*_arguments: object) -> None:
    lasting.rows.clear()
    lasting.wanted.clear()
    for scene in bpy.data.scenes:
        lasting.note(scene)
    session.ask_for_all()


HANDLERS = (
    (bpy.app.handlers.undo_post, _on_undo),
    (bpy.app.handlers.redo_post, _on_undo),
    (bpy.app.handlers.load_post, _on_load),
)


def register() -> None:
    session.hears_job.append(heard)
    session.hears_all.append(heard_all)
    for handlers, function in HANDLERS:
        handlers.append(function)


def unregister() -> None:
    session.hears_job.remove(heard)
    session.hears_all.remove(heard_all)
    for handlers, function in HANDLERS:
        handlers.remove(function)
