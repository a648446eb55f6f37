# SPDX-License-Identifier: GPL-3.0-or-later
"""The sidebar: Character, Shot, Engine, Result, from top to bottom in the order of the work."""

from __future__ import annotations

import bpy

from . import jobs, playback, preferences
from .import_result import result_names
from .panel_layout import Sidebar, sentences
from .parts_panel import PartsList, PartsPanel, WarningsPanel
from .properties import TEXTLESS, has_shot, has_views, object_group, scene_group
from .session import session


class CharacterPanel(Sidebar, bpy.types.Panel):
    bl_idname = "ANI3D_PT_character"
    bl_label = "Character"

    def draw(self, context: bpy.types.Context) -> None:
        settings = scene_group(context.scene)
        column = self.layout.column()
        column.prop(settings, "armature", text="", placeholder="Armature")
        column.operator("ani3d.bind_character", icon="ARMATURE_DATA")


class ShotPanel(Sidebar, bpy.types.Panel):
    bl_idname = "ANI3D_PT_shot"
    bl_label = "Shot"

    def draw(self, context: bpy.types.Context) -> None:
        scene = context.scene
        column = self.layout.column()
        if scene_group(scene).armature is None:
            column.label(text="Bind a character first", icon="INFO")
            return
        row = column.row(align=True)
        row.prop(scene, "frame_start", text="Start")
        row.prop(scene, "frame_end", text="End")
        column.prop(scene_group(scene), "coarse")
        column.prop(scene_group(scene), "shot_path", text="", placeholder="Beside the .blend")
        column.operator("ani3d.export_shot", icon="EXPORT")


class LookPanel(Sidebar, bpy.types.Panel):
    bl_idname = "ANI3D_PT_look"
    bl_label = "Look"
    bl_parent_id = "ANI3D_PT_shot"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        settings, column = scene_group(context.scene), self.layout.column()
        for name in ("views", "views_size", "views_samples"):
            column.prop(settings, name)
        column.operator("ani3d.capture_views", icon="RENDER_STILL")
        if settings.armature is not None and has_views(context, settings.armature):
            column.label(text="Captured", icon="CHECKMARK")


class TrainingPanel(Sidebar, bpy.types.Panel):
    bl_idname = "ANI3D_PT_training"
    bl_label = "Training"
    bl_parent_id = "ANI3D_PT_shot"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, _context: bpy.types.Context) -> None:
        self.layout.operator("ani3d.record_takes", icon="REC")


class EnginePanel(Sidebar, bpy.types.Panel):
    bl_idname = "ANI3D_PT_engine"
    bl_label = "Engine"

    def draw(self, context: bpy.types.Context) -> None:
        settings, column = scene_group(context.scene), self.layout.column()
        if not session.is_open():
            row = column.row(align=True)
            known = preferences.get(context).endpoint
            row.operator("ani3d.start_engine", text="Connect to Engine" if known else "Start Engine", icon="PLAY")
            row.operator("preferences.addon_show", text="", icon="PREFERENCES").module = __package__
            if session.error:
                sentences(context, column, session.error)
            return
        welcome = session.current().welcome
        row = column.row()
        row.label(text=f"Engine {welcome.engine_version}, video priors on {welcome.device}", icon="CHECKMARK")
        row.operator("ani3d.stop_engine", text="", icon="X")
        column.prop(settings, "preset")
        column.prop(settings, "prior")
        if settings.prior not in TEXTLESS:
            column.prop(settings, "prompt", placeholder="Made from the scene")
        if has_shot(context):
            column.operator("ani3d.submit", icon="RENDER_ANIMATION")
        else:
            column.label(text="Export a shot first", icon="INFO")
        if settings.job_id:
            self._job(context, column)

    @staticmethod
    def _job(context: bpy.types.Context, column: bpy.types.UILayout) -> None:
        moment = session.moment_of(scene_group(context.scene).job_id)
        if moment is None:
            column.operator("ani3d.follow", icon="FILE_REFRESH")
            if session.error:
                sentences(context, column, session.error)
            return
        if moment.state in jobs.ENDED:
            column.label(text=f"Job {moment.state}", icon="CHECKMARK" if moment.state == "done" else "ERROR")
            if moment.message:
                sentences(context, column, moment.message)
            return
        row = column.row(align=True)
        row.progress(factor=moment.factor, text=_progress_text(moment.stage or moment.state, moment.eta))
        row.operator("ani3d.cancel_job", text="", icon="CANCEL")


class ResultPanel(Sidebar, bpy.types.Panel):
    bl_idname = "ANI3D_PT_result"
    bl_label = "Result"

    def draw(self, context: bpy.types.Context) -> None:
        column = self.layout.column()
        job = scene_group(context.scene).job_id
        if transfer := session.transfer:
            column.progress(factor=transfer.factor, text=_progress_text("fetching", transfer.eta))
            column.label(text="Escape stops fetching")
        elif job and session.is_open():
            column.operator("ani3d.fetch_result", icon="IMPORT")
        column.operator("ani3d.import_result", icon="FILE_FOLDER")
        for name in result_names():
            box = column.box()
            row = box.row()
            row.label(text=name, icon="OUTLINER_OB_POINTCLOUD")
            row.operator("ani3d.remove_result", text="", icon="TRASH").name = name
            for item in bpy.data.objects:
                if object_group(item).kind != "NONE" and object_group(item).result == name:
                    self._part(context, box, item)

    @staticmethod
    def _part(context: bpy.types.Context, box: bpy.types.UILayout, item: bpy.types.Object) -> None:
        row = box.row(align=True)
        row.label(text=item.name)
        row.prop(item, "hide_viewport", text="", emboss=False)
        row.prop(item, "hide_render", text="", emboss=False)
        if problem := playback.error_of(item):
            sentences(context, box, problem)


def _progress_text(stage: str, eta: float) -> str:
    name = stage.replace("_", " ").capitalize()
    return f"{name}: {left}" if (left := jobs.time_left(eta)) else name


CLASSES = (
    PartsList,
    CharacterPanel,
    PartsPanel,
    WarningsPanel,
    ShotPanel,
    LookPanel,
    TrainingPanel,
    EnginePanel,
    ResultPanel,
)
