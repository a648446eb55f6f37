# SPDX-License-Identifier: GPL-3.0-or-later
"""Fetch, Import, Remove: a result's way from the engine's store into the scene and out of it."""

from __future__ import annotations

from concurrent.futures import Future
from functools import partial
from pathlib import Path
from threading import Event

import bpy

from ani3d_formats.errors import Ani3DError
from ani3d_formats.progress import Report
from engine.wire import Client

from .. import compat, import_result, jobs
from ..paths import absolute, output_folder
from ..properties import scene_group
from ..session import session
from .base import Outcome, ReportsErrors, WaitsForWork
from .job import engine_missing, last_job


class FetchResult(WaitsForWork, bpy.types.Operator):
    """Fetch the job's files from the engine and put the result into the scene"""

    bl_idname = "ani3d.fetch_result"
    bl_label = "Fetch Result"
    bl_options = {"UNDO"}

    job: bpy.props.StringProperty(name="Job", description="Job id; empty for the one submitted last")
    directory: bpy.props.StringProperty(
        name="Folder",
        description="Where the files go; empty for a folder beside the .blend",
        subtype="DIR_PATH",
        options=compat.relative_path_options(),
    )
    import_into_scene: bpy.props.BoolProperty(name="Import", description="Import the result as well", default=True)

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        moment = session.moment_of(scene_group(context.scene).job_id)
        if moment is not None and moment.state != "done":
            return "The job has no result." if moment.state in jobs.ENDED else "The job is still running."
        return engine_missing()

    def begin(self, context: bpy.types.Context) -> Future[list[str]]:
        job, link = self.job or last_job(context), session.current()
        self._folder = absolute(self.directory) if self.directory else output_folder(context) / job
        self._stopped = Event()
        folder, stopped = self._folder, self._stopped

        def show(moment: jobs.Moment) -> None:
            if not stopped.is_set():
                session.tell_transfer(moment)

        importing = self.import_into_scene

        def work(client: Client) -> list[str]:
            def post(moment: jobs.Moment) -> None:
                session.post(partial(show, moment))

            def should_cancel() -> bool:
                return stopped.is_set() or link.closed.is_set()

            def written(report: Report) -> None:
                post(jobs.Moment(job, "fetching", "write playback", report.step, report.total, report.eta))

            names = jobs.fetch_all(client, job, folder, on_step=post, should_cancel=should_cancel)
            if importing:
                import_result.open_cache(folder, written, should_cancel)
            return names

        return link.transfer(work)

    def stop(self) -> None:
        self._stopped.set()

    def leave(self) -> None:
        session.tell_transfer(None)

    def finish(self, context: bpy.types.Context, names: list[str]) -> None:
        if self.import_into_scene:
            _import(self, context, self._folder)
        self.say(f"Fetched {len(names)} files into '{self._folder}'.")


class ImportResult(ReportsErrors, bpy.types.Operator):
    """Put a result that lies on the disk into the scene"""

    bl_idname = "ani3d.import_result"
    bl_label = "Import Result"
    bl_options = {"REGISTER", "UNDO"}

    directory: bpy.props.StringProperty(
        name="Folder",
        description="Result folder, or the cache folder NAME.ani3d in it",
        subtype="DIR_PATH",
        options=compat.relative_path_options(),
    )
    # By their names the file browser knows to tell which folders are highlighted, and to show folders only.
    dirs: bpy.props.CollectionProperty(type=bpy.types.OperatorFileListElement, options={"HIDDEN", "SKIP_SAVE"})
    filter_folder: bpy.props.BoolProperty(default=True, options={"HIDDEN", "SKIP_SAVE"})
    hide_character: bpy.props.BoolProperty(
        name="Hide Character", description="Hide the meshes that the result replaces", default=True
    )

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> Outcome:
        if bpy.app.background:  # the module runs invoke as well, and has no file browser
            return self.execute(context)
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def run(self, context: bpy.types.Context) -> None:
        if not self.directory:
            raise Ani3DError("cache.missing", "No result folder was given.", "Choose the folder of a result.")
        folder = absolute(self.directory)
        if len(self.dirs) == 1 and (folder / self.dirs[0].name).is_dir():  # highlighted, not entered
            folder /= self.dirs[0].name
        _import(self, context, folder, self.hide_character)


class RemoveResult(ReportsErrors, bpy.types.Operator):
    """Take a result out of the scene and show the character again; its files stay on the disk"""

    bl_idname = "ani3d.remove_result"
    bl_label = "Remove Result"
    bl_options = {"REGISTER", "UNDO"}

    name: bpy.props.StringProperty(name="Result", description="Name of the result")

    def run(self, _context: bpy.types.Context) -> None:
        if not import_result.remove_result(self.name):
            if self.name in import_result.result_names():
                text = f"The result '{self.name}' is linked from another file."
                raise Ani3DError("result.linked", text, "Remove its collection or instance from the scene.")
            raise Ani3DError("result.unknown", f"There is no result '{self.name}' in this file.", "")


def _import(operator: ReportsErrors, context: bpy.types.Context, folder: Path, hide_character: bool = True) -> None:
    windows = context.window_manager
    windows.progress_begin(0, 1)
    try:
        import_result.open_cache(folder, lambda report: windows.progress_update(report.step / report.total))
        collection = import_result.import_result(context, folder, hide_character, operator.warn)
    finally:
        windows.progress_end()
    operator.say(f"Imported '{collection.name}'.")
