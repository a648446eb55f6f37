# SPDX-License-Identifier: GPL-3.0-or-later
"""Fetch, Show, Import, Remove: a result's way from the engine's store into the scene and out of it."""

from __future__ import annotations

from concurrent.futures import Future
from functools import partial
from pathlib import Path

import bpy

from ani3d_formats.errors import Ani3DError

from .. import compat, import_result, jobs, results_shown
from ..connection import on_thread
from ..job_list import fetched, folder_of, show_wanted
from ..paths import absolute, output_folder
from ..properties import scene_group
from ..sentence import said
from ..session import session
from ..transfer import Transfer
from ..wording import reported
from .base import Outcome, ReportsErrors, WaitsForWork
from .early import forget_first_frames
from .job import chosen_row, engine_missing, last_job


class BringsResult(WaitsForWork):
    """Mixin: what fetches or opens the files of a job and puts the result into the scene."""

    def fetch(self, job: str, folder: Path, importing: bool) -> Future[int]:
        """Fetch the job's files into `folder` and, for `importing`, write what plays them; how many files."""
        link = session.current()
        self._transfer = Transfer(job, folder)
        return link.transfer(partial(self._transfer.fetch, link, importing))

    def open(self, job: str, folder: Path) -> Future[int]:
        """Write what plays the files of the job that are in `folder` already, if need be; 0."""
        self._transfer = Transfer(job, folder)
        return on_thread(self._transfer.open)

    def stop(self) -> None:
        self._transfer.stopped.set()

    def leave(self) -> None:
        session.tell_transfer(None)
        if not bpy.app.background:
            bpy.app.timers.register(show_wanted)


class FetchResult(BringsResult, bpy.types.Operator):
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

    def begin(self, context: bpy.types.Context) -> Future[int]:
        self._job = self.job or last_job(context)
        self._folder = absolute(self.directory) if self.directory else output_folder(context) / self._job
        return self.fetch(self._job, self._folder, self.import_into_scene)

    def finish(self, context: bpy.types.Context, files: int) -> None:
        name = put_in_scene(self, context, self._folder) if self.import_into_scene else ""
        fetched(context.scene, self._job, self._folder, name)
        self.say(reported("Fetched {count} files into '{folder}'.", count=files, folder=self._folder))


class ShowJob(BringsResult, bpy.types.Operator):
    """Put the job's result into the scene, in place of the character and of its other results"""

    bl_idname = "ani3d.show_job"
    bl_label = "Show Result"
    bl_options = {"UNDO"}

    job: bpy.props.StringProperty(name="Job", description="Job id; empty for the one chosen in the list")

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        if session.transfer is not None:
            return "Another result is being fetched."
        return "" if len(scene_group(context.scene).jobs) else "There is no job."

    def begin(self, context: bpy.types.Context) -> Future[int]:
        row = chosen_row(context, self.job)
        self._job, self._folder = row.job, absolute(row.folder)
        return self.open(row.job, self._folder) if folder_of(row) else self.fetch(row.job, self._folder, True)

    def finish(self, context: bpy.types.Context, _files: int) -> None:
        name = put_in_scene(self, context, self._folder)
        fetched(context.scene, self._job, self._folder, name)
        results_shown.show_as(name, results_shown.best_for(name))


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
        put_in_scene(self, context, folder, self.hide_character)


class ShowResult(ReportsErrors, bpy.types.Operator):
    """Choose what of a result is seen, in the viewport and in renders"""

    bl_idname = "ani3d.show_result"
    bl_label = "Show"
    bl_options = {"REGISTER", "UNDO"}

    name: bpy.props.StringProperty(name="Result", description="Name of the result")
    what: bpy.props.EnumProperty(name="Show", items=results_shown.ITEMS)

    def run(self, _context: bpy.types.Context) -> None:
        if not import_result.parts_of(self.name):
            raise _missing(self.name)
        results_shown.show_as(self.name, self.what, self.warn)


class CompareResults(ReportsErrors, bpy.types.Operator):
    """Show the next result of the same character in this one's place, in the same way; again for the one after it"""

    bl_idname = "ani3d.compare_results"
    bl_label = "Compare"
    bl_options = {"REGISTER", "UNDO"}

    name: bpy.props.StringProperty(name="Result", description="Name of a result of the character; empty for any")

    def run(self, context: bpy.types.Context) -> None:
        names = [self.name] if self.name else import_result.result_names()
        circle = [names[0], *results_shown.others_of(names[0])] if names and import_result.parts_of(names[0]) else []
        if len(circle) < 2:
            text = "There is no other result of the same character in this file."
            raise Ani3DError("result.alone", text, "Animate once more with another quality or look.")
        ways = [results_shown.shown_as(each) for each in circle]
        seen = next((place for place, way in enumerate(ways) if way != results_shown.ORIGINAL), 0)
        way = ways[seen] if ways[seen] != results_shown.ORIGINAL else results_shown.MESH
        following = circle[(seen + 1) % len(circle)]
        results_shown.show_as(following, way)
        group = scene_group(context.scene)
        group.active_job = next((n for n, row in enumerate(group.jobs) if row.result == following), group.active_job)
        self.say(reported("'{name}' is shown.", name=following))


class RemoveResult(ReportsErrors, bpy.types.Operator):
    """Take a result out of the scene and show the character again; its files stay on the disk"""

    bl_idname = "ani3d.remove_result"
    bl_label = "Remove Result"
    bl_options = {"REGISTER", "UNDO"}

    name: bpy.props.StringProperty(name="Result", description="Name of the result")

    def run(self, _context: bpy.types.Context) -> None:
        if not import_result.remove_result(self.name):
            raise _missing(self.name)


def _missing(name: str) -> Ani3DError:
    """The error for a result that is not this file's own."""
    if name in import_result.result_names():
        text = said("The result '{name}' is linked from another file.", name=name)
        return Ani3DError("result.linked", text, "Remove its collection or instance from the scene.")
    return Ani3DError("result.unknown", said("There is no result '{name}' in this file.", name=name), "")


def put_in_scene(operator: ReportsErrors, context: bpy.types.Context, folder: Path, hide_character: bool = True) -> str:
    """Import the result in `folder`; its name in this file."""
    windows = context.window_manager
    windows.progress_begin(0, 1)
    try:
        import_result.open_cache(folder, lambda report: windows.progress_update(report.step / report.total))
        forget_first_frames()
        collection = import_result.import_result(context, folder, hide_character, operator.warn)
    finally:
        windows.progress_end()
    operator.say(reported("Imported '{name}'.", name=collection.name))
    return str(collection[import_result.RESULT])
