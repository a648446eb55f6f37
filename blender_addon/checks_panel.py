# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks: what Animate will make of the character, and what to do about what is not as it should be."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import bpy

from .cloth_panel import met_by
from .panel_layout import Sidebar, sentences
from .properties import Ani3DPart, scene_group
from .regions.guess import UNSURE
from .regions.parts import is_gone
from .wording import told

MOVES = (
    ("Follow the skeleton", "ARMATURE_DATA", ("body", "face")),
    ("Swing as cloth", "MOD_CLOTH", ("garment",)),
    ("Swing as hair", "CURVES_DATA", ("hair",)),
)
FEW = 1000  # objects, up to which drawing looks at all of them
MOST_NAMES = 4  # of a line; more are counted


class ChecksPanel(Sidebar, bpy.types.Panel):
    bl_idname = "ANI3D_PT_checks"
    bl_label = "Checks"
    bl_parent_id = "ANI3D_PT_animate"

    def draw_header_preset(self, _context: bpy.types.Context) -> None:
        self.layout.operator("ani3d.bind_character", text="", icon="FILE_REFRESH", emboss=False)

    def draw(self, context: bpy.types.Context) -> None:
        settings, column = scene_group(context.scene), self.layout.column()
        parts = [part for part in settings.parts if part.current]
        if not parts:
            sentences(context, column, "Animate looks at the character first. To look now:")
            column.operator("ani3d.bind_character", text="Check Character", icon="VIEWZOOM")
            return
        _draw_frames(context, column)
        for what, icon, regions in MOVES:
            if names := _names(part for part in parts if part.region in regions and not part.left_out):
                sentences(context, column, told("{what}: {names}", what=told(what), names=names), icon)
        for held in _one_an_object(part for part in parts if part.hold and not part.left_out):
            _draw_hold(context, column, held)
        for part in parts:
            _draw_doubts(context, column, part)
        if len(context.view_layer.objects) <= FEW:
            for text, icon in met_by(context):
                sentences(context, column, text, icon)


def _draw_frames(context: bpy.types.Context, column: bpy.types.UILayout) -> None:
    scene = context.scene
    frames = scene.frame_end - scene.frame_start + 1
    seconds = frames * scene.render.fps_base / scene.render.fps
    range_of = {"first": scene.frame_start, "last": scene.frame_end, "seconds": seconds}
    text = told("Scene frames {first} to {last}, {seconds:.1f} s", **range_of)
    sentences(context, column, text, "PREVIEW_RANGE" if frames > 1 else "ERROR")
    if scene.camera is None:
        sentences(context, column, "The scene has no camera", "ERROR")


def _draw_hold(context: bpy.types.Context, column: bpy.types.UILayout, part: Ani3DPart) -> None:
    box = column.box() if part.loose else column
    sentences(
        context,
        box,
        told("{part}: {hold}", part=title(part), hold=told(part.hold)),
        "ERROR" if part.loose else "PINNED",
    )
    if part.loose and part.object is not None and not part.strands:
        row = box.row(align=True)
        for operator, text in (("paint_pins", "Paint Pins"), ("pin_top_edge", "Pin Top Edge"), ("stiffen", "Stiffen")):
            row.operator(f"ani3d.{operator}", text=text).object = part.object.name


def _draw_doubts(context: bpy.types.Context, column: bpy.types.UILayout, part: Ani3DPart) -> None:
    if is_gone(part):
        sentences(context, column, told("'{name}' was deleted", name=part.name), "CANCEL")
    elif part.left_out:
        text = told("'{name}' is left out: {reason}", name=part.name, reason=told(part.left_out))
        sentences(context, column, text, "CANCEL")
    elif part.confidence < UNSURE:
        row = column.row(align=True)
        row.label(text=told("{part}: is it", part=title(part)), icon="QUESTION")
        row.prop(part, "region", text="")


def title(part: Ani3DPart) -> str:
    """What a part is called: its object, and what grows on it or what it is made of."""
    name = part.object.name if part.object else part.name
    return told("{name} hair", name=name) if part.strands and part.object and part.object.type == "MESH" else name


def _one_an_object(parts: Iterable[Ani3DPart]) -> Sequence[Ani3DPart]:
    return list({(part.object, part.strands): part for part in parts}.values())


def _names(parts: Iterable[Any]) -> str:
    names = list(dict.fromkeys(title(part) for part in parts))
    more = told(" and {count} more", count=len(names) - MOST_NAMES) if len(names) > MOST_NAMES else ""
    return ", ".join(names[:MOST_NAMES]) + more
