# SPDX-License-Identifier: GPL-3.0-or-later
"""The list of the character's parts: what each one is, how it moves, what is left out; and the last warnings."""

from __future__ import annotations

from typing import Any

import bpy
from bpy.app.handlers import persistent

from .checks_panel import title
from .operators.regions import OVERLAYS
from .overlay import overlay
from .panel_layout import Sidebar, sentences
from .properties import Ani3DPart, scene_group
from .regions.guess import UNSURE
from .regions.parts import active_part, is_gone
from .session import session
from .wording import told


class PartsList(bpy.types.UIList):
    bl_idname = "ANI3D_UL_parts"

    def draw_item(  # type: ignore[no-untyped-def, override]  # Blender calls it with as many arguments as it takes
        self, _context, layout, data, part, _icon, _active, _active_name
    ):
        name = title(part)
        alike = [p for p in data.parts if p.current and p.name == part.name and p.strands == part.strands]
        if len(alike) > 1:
            name = f"{name}, {part.slot or 'no material'}"
        split = layout.split(factor=0.55, align=True)
        label = split.row(align=True)
        label.label(text=name, icon=_motion_icon(part))
        if part.left_out or is_gone(part):
            label.active = False
            split.label(text="left out" if part.left_out else "deleted")
            return
        if part.confidence < UNSURE:
            label.label(text="", icon="QUESTION")
        split.prop(part, "region", text="")

    def filter_items(self, _context, data, name):  # type: ignore[no-untyped-def]
        parts = getattr(data, name)
        wanted = self.filter_name.lower()
        shown = [p.current and wanted in f"{p.name} {p.slot}".lower() for p in parts]
        return [self.bitflag_filter_item if each else 0 for each in shown], []


class PartsPanel(Sidebar, bpy.types.Panel):
    bl_idname = "ANI3D_PT_parts"
    bl_label = "Parts"
    bl_parent_id = "ANI3D_PT_animate"
    bl_options = {"DEFAULT_CLOSED"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return any(part.current for part in scene_group(context.scene).parts)

    def draw(self, context: bpy.types.Context) -> None:
        settings, column = scene_group(context.scene), self.layout.column()
        column.template_list("ANI3D_UL_parts", "", settings, "parts", settings, "active_part", rows=4)
        row = column.row(align=True)
        row.label(text="Show")
        for what, (name, _) in OVERLAYS.items():
            row.operator("ani3d.show_overlay", text=name, depress=overlay.shown == what).what = what
        part = active_part(context.scene)
        if part is not None:
            self._details(context, column, part)

    @staticmethod
    def _details(context: bpy.types.Context, column: bpy.types.UILayout, part: Ani3DPart) -> None:
        if is_gone(part):
            sentences(context, column, "Its object was deleted. Bind again to have it off the list.", "CANCEL")
            return
        if part.left_out:
            sentences(context, column, told("Left out: {reason}", reason=told(part.left_out)), "CANCEL")
            return
        sentence = "{region}: {reason}" if part.chosen else "{region}: {reason}, {share:.0%} sure"
        guess = {"region": told(part.region.capitalize()), "reason": told(part.reason), "share": part.confidence}
        sentences(context, column, told(sentence, **guess))
        text = told("{count} vertices, {motion}", count=part.vertices, motion=told(part.motion))
        sentences(context, column, text)
        row = column.row(align=True)
        row.operator_menu_enum("ani3d.paint_region", "region", text="Paint", icon="BRUSH_DATA")
        row.operator("ani3d.paint_pins", text="Paint Pins", icon="PINNED")
        if part.chosen and part.guess and part.guess != part.region:
            column.operator(
                "ani3d.use_guess",
                text=told("Back to the Guess: {region}", region=told(part.guess.capitalize())),
                icon="LOOP_BACK",
            )


class WarningsPanel(Sidebar, bpy.types.Panel):
    bl_idname = "ANI3D_PT_warnings"
    bl_label = "Warnings"

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        return bool(session.warnings)

    def draw_header(self, _context: bpy.types.Context) -> None:
        self.layout.label(icon="ERROR")

    def draw(self, context: bpy.types.Context) -> None:
        for operator, messages in session.warnings.items():
            box = self.layout.box()
            row = box.row()
            row.label(text=operator)
            row.operator("ani3d.dismiss_warnings", text="", icon="X", emboss=False).operator = operator
            for message in messages:
                sentences(context, box, message, "DOT")


def _motion_icon(part: Ani3DPart) -> Any:
    if part.left_out:
        return "CANCEL"
    return {"skinned": "MOD_ARMATURE", "recorded": "REC"}.get(part.motion, "BONE_DATA")


@persistent
def _on_load(*_arguments: object) -> None:
    session.forget_warnings()  # they were of another file


def register() -> None:
    bpy.app.handlers.load_pre.append(_on_load)


def unregister() -> None:
    bpy.app.handlers.load_pre.remove(_on_load)
