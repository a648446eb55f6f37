# SPDX-License-Identifier: GPL-3.0-or-later
"""The sidebar: Animate with its checks, the jobs and results; the steps one by one in Advanced."""

from __future__ import annotations

import bpy

from . import preferences
from .animate_progress import words_of
from .checks_panel import ChecksPanel
from .cloth_panel import ClothPanel
from .jobs import duration, time_left
from .jobs_panel import JobsList, JobsPanel
from .pace import pace, seconds_a_frame
from .panel_layout import Sidebar, draw_error
from .parts_panel import PartsList, PartsPanel, WarningsPanel
from .properties import TEXTLESS, has_views, scene_group
from .session import session
from .wording import told


class AnimatePanel(Sidebar, bpy.types.Panel):
    bl_idname = "ANI3D_PT_animate"
    bl_label = "Animate"

    def draw(self, context: bpy.types.Context) -> None:
        settings, column = scene_group(context.scene), self.layout.column()
        column.use_property_split, column.use_property_decorate = True, False
        column.prop(settings, "armature", placeholder="Selected")
        column.prop(settings, "preset")
        pace.begin()
        each, estimated = seconds_a_frame(settings.preset, preferences.seconds_a_frame(context), pace.slower)
        if each:
            frames = context.scene.frame_end - context.scene.frame_start + 1
            sentence = "Estimated {time} on this computer" if estimated else "About {time} on this computer"
            column.label(text=told(sentence, time=duration(each * frames)), icon="TIME")
        if not _draw_progress(column, settings.preset):
            row = column.row()
            row.scale_y = 1.6
            row.operator("ani3d.animate", icon="PLAY")
        if session.error:
            draw_error(context, column, session.error)


class LookPanel(Sidebar, bpy.types.Panel):
    bl_idname = "ANI3D_PT_look"
    bl_label = "Look"
    bl_parent_id = "ANI3D_PT_animate"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        settings, column = scene_group(context.scene), self.layout.column()
        column.use_property_split, column.use_property_decorate = True, False
        column.prop(settings, "coarse")
        column.prop(settings, "prior")
        if settings.prior not in TEXTLESS:
            column.prop(settings, "prompt", placeholder="Made from the scene")
            column.prop(settings, "reference", placeholder="First picture")
        column.prop(settings, "pictures")
        if settings.pictures == "blender":
            column.operator("ani3d.render_pictures", icon="RENDER_ANIMATION")
        for name in ("views", "views_size", "views_samples"):
            column.prop(settings, name)
        column.operator("ani3d.capture_views", icon="RENDER_STILL")
        if settings.armature is not None and has_views(context, settings.armature):
            column.label(text="Captured", icon="CHECKMARK")


class AdvancedPanel(Sidebar, bpy.types.Panel):
    bl_idname = "ANI3D_PT_advanced"
    bl_label = "Advanced"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        settings, column = scene_group(context.scene), self.layout.column()
        column.use_property_split, column.use_property_decorate = True, False
        column.operator("ani3d.bind_character", icon="ARMATURE_DATA")
        column.prop(settings, "shot_path", placeholder="Beside the .blend")
        column.operator("ani3d.export_shot", icon="EXPORT")
        column.operator("ani3d.submit", icon="RENDER_ANIMATION")
        column.operator("ani3d.follow", icon="FILE_REFRESH")
        column.operator("ani3d.fetch_result", icon="IMPORT")


class EnginePanel(Sidebar, bpy.types.Panel):
    bl_idname = "ANI3D_PT_engine"
    bl_label = "Engine"
    bl_parent_id = "ANI3D_PT_advanced"

    def draw(self, context: bpy.types.Context) -> None:
        column = self.layout.column()
        row = column.row(align=True)
        if session.is_open():
            welcome = session.current().welcome
            row.label(
                text=told("{version}, jobs on {device}", version=welcome.engine_version, device=welcome.device),
                icon="CHECKMARK",
            )
            row.operator("ani3d.stop_engine", text="", icon="QUIT")
        elif session.starting:
            row.label(text="Starting", icon="SORTTIME")
        else:
            known = preferences.get(context).endpoint
            row.operator("ani3d.start_engine", text="Connect to Engine" if known else "Start Engine", icon="PLAY")
            row.operator("preferences.addon_show", text="", icon="PREFERENCES").module = __package__
        column.use_property_split, column.use_property_decorate = True, False
        column.prop(scene_group(context.scene), "device")


class TrainingPanel(Sidebar, bpy.types.Panel):
    bl_idname = "ANI3D_PT_training"
    bl_label = "Training"
    bl_parent_id = "ANI3D_PT_advanced"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, _context: bpy.types.Context) -> None:
        self.layout.operator("ani3d.record_takes", text="Record Takes...", icon="REC")


def _draw_progress(column: bpy.types.UILayout, preset: str) -> bool:
    """The whole work's bar with its cross, or that of a result being fetched; False where nothing goes on."""
    course, transfer = session.course, session.transfer
    if session.stop_preparing is None and not session.is_working():
        if transfer is None:
            return False
        column.progress(factor=transfer.factor, text=_said(words_of("fetch"), transfer.eta))
        column.label(text="Escape stops it")
        return True
    if course is None:
        return False
    column.progress(factor=course.factor, text=_said(course.words, course.left))
    row = column.row()
    if course.stage == "export":
        row.label(text="Escape stops it")
    else:
        if course.stage == "cloth" and preset == "cloth":
            row.operator("ani3d.show_first_frames", text="First Frames", icon="PLAY")
        row.operator("ani3d.cancel_job", text="Cancel", icon="CANCEL").job = course.job
    return True


def _said(words: str, left: float) -> str:
    return told("{words}, {time}", words=told(words), time=time_left(left)) if time_left(left) else told(words)


CLASSES = (
    PartsList,
    JobsList,
    AnimatePanel,
    ChecksPanel,
    ClothPanel,
    PartsPanel,
    LookPanel,
    WarningsPanel,
    JobsPanel,
    AdvancedPanel,
    EnginePanel,
    TrainingPanel,
)
