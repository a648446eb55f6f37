# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs and results in one list, newest first, and what is seen of a result."""

from __future__ import annotations

from typing import Any

import bpy

from . import playback, viewport_points
from .film_nodes import has_film
from .import_result import parts_of, result_names
from .job_list import UNKNOWN, active_row, folder_of
from .jobs import ENDED
from .panel_layout import Sidebar, draw_error, sentences
from .properties import Ani3DJob, object_group, scene_group
from .results_shown import BOTH, FILM, GAUSSIANS, ITEMS, others_of, shown_as
from .session import session
from .thumbnails import icon_of
from .wording import told

ICONS = {
    "queued": "SORTTIME", "running": "PLAY", "done": "CHECKMARK", "failed": "ERROR", "cancelled": "CANCEL",
    UNKNOWN: "QUESTION",
}  # fmt: skip


class JobsList(bpy.types.UIList):
    bl_idname = "ANI3D_UL_jobs"

    def draw_item(  # type: ignore[no-untyped-def, override]  # Blender calls it with as many arguments as it takes
        self, _context, layout, _data, row, _icon, _active, _active_name
    ):
        icon: Any = ICONS.get(row.state, "QUESTION")
        split = layout.split(factor=0.6)
        split.label(text=f"{row.name or row.job[:8]} {row.preset}".rstrip(), icon=icon)
        course = session.course
        if course and course.job == row.job and row.state not in ENDED:
            split.label(text=f"{course.factor:.0%}")
        elif row.state in ENDED or session.is_open():
            split.label(text=row.submitted[5:] if row.state == "done" else row.state)
        else:
            split.label(text="engine is off")

    def filter_items(self, _context, data, name):  # type: ignore[no-untyped-def]
        wanted = self.filter_name.lower()
        lines = [f"{row.name} {row.preset} {row.state} {row.submitted}".lower() for row in getattr(data, name)]
        return [self.bitflag_filter_item if wanted in each else 0 for each in lines], []


class JobsPanel(Sidebar, bpy.types.Panel):
    bl_idname = "ANI3D_PT_jobs"
    bl_label = "Results"

    def draw(self, context: bpy.types.Context) -> None:
        settings, column = scene_group(context.scene), self.layout.column()
        listed = {row.result for row in settings.jobs}
        if len(settings.jobs):
            column.template_list("ANI3D_UL_jobs", "", settings, "jobs", settings, "active_job", rows=3)
        row = active_row(context.scene)
        if row is not None:
            _draw_job(context, column, row)
        for name in result_names():
            if name not in listed:
                box = column.box()
                box.label(text=name, icon="OUTLINER_OB_POINTCLOUD")
                _draw_result(context, box, name)
        column.operator("ani3d.import_result", text="Import Result...", icon="FILE_FOLDER")
        if not session.is_open() and any(each.state not in (*ENDED, UNKNOWN) for each in settings.jobs):
            column.operator("ani3d.start_engine", text="Start Engine to Go On", icon="PLAY")
        if session.foreign:
            count = len(session.foreign)
            one, more = "The engine works on a job", "The engine works on {count} jobs"
            sentence = f"{one if count == 1 else more} that this file does not list"
            sentences(context, column, told(sentence, count=count), "INFO")
            column.operator("ani3d.list_jobs", icon="LINENUMBERS_ON")


def _draw_job(context: bpy.types.Context, column: bpy.types.UILayout, row: Ani3DJob) -> None:
    if row.message:
        draw_error(context, column, row.message)
    buttons = column.row(align=True)
    folder = folder_of(row)
    if picture := icon_of(folder):
        column.template_icon(icon_value=picture, scale=7)
    if row.state == "done" or folder:
        again = row.result in result_names()
        buttons.operator("ani3d.show_job", text="Reload" if again else "Show", icon="HIDE_OFF").job = row.job
    if row.state in ENDED or row.state == UNKNOWN:
        text = "Again" if row.state == "done" else "Retry"
        buttons.operator("ani3d.animate", text=text, icon="FILE_REFRESH").settings = row.settings
    else:
        buttons.operator("ani3d.cancel_job", text="Cancel", icon="CANCEL").job = row.job
    if folder:
        buttons.operator("wm.path_open", text="", icon="FILE_FOLDER").filepath = str(folder)
    buttons.operator("ani3d.remove_job", text="", icon="REMOVE").job = row.job
    if row.result in result_names():
        _draw_result(context, column, row.result)


def _draw_result(context: bpy.types.Context, column: bpy.types.UILayout, name: str) -> None:
    parts = parts_of(name)
    if not parts:
        sentences(context, column, told("'{name}' is linked from another file.", name=name))
        return
    seen = shown_as(name)
    has_gaussians = any(object_group(item).kind == "GAUSSIANS" for item in parts)
    line = column.grid_flow(row_major=True, columns=2, even_columns=True, align=True)  # names fit at any width
    for what, label, _ in ITEMS:
        if (what == FILM and not has_film(name)) or (what in (GAUSSIANS, BOTH) and not has_gaussians):
            continue
        button = line.operator("ani3d.show_result", text=label, depress=seen == what)
        button.name, button.what = name, what
    line, timing = column.row(align=True), object_group(parts[0])
    line.prop(timing, "offset")
    line.prop(timing, "speed")
    line.prop(timing, "loop", text="", icon="FILE_REFRESH")
    if others_of(name):
        column.operator("ani3d.compare_results", icon="UV_SYNC_SELECT").name = name
    if has_gaussians:
        column.operator("ani3d.render_shot", icon="RENDER_ANIMATION").result = name
    if seen in (GAUSSIANS, BOTH):
        sentences(context, column, "Gaussians keep the shot's light: lamps do not light them.", "LIGHT")
        if (switch := viewport_points.switch()) is not None:
            column.prop(timing, "points")
            column.prop(switch, "boolean", text=viewport_points.SWITCH)
    column.operator("ani3d.remove_result", text="Take out of the Scene", icon="TRASH").name = name
    for item in parts:
        if problem := playback.error_of(item):
            draw_error(context, column, told(problem))
