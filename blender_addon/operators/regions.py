# SPDX-License-Identifier: GPL-3.0-or-later
"""Paint a region on a mesh, show regions and pins as colours; dismiss warnings, copy errors."""

from __future__ import annotations

from typing import Any, cast

import bpy

from ani3d_formats.errors import Ani3DError
from ani3d_formats.pins import PIN_GROUP
from ani3d_formats.regions import REGIONS

from .. import compat
from ..export.pin_weights import pins_for_painting
from ..export.regions import PREFIX
from ..export.survey import rest_figure
from ..overlay import PINS_SHOWN, REGIONS_SHOWN, overlay
from ..properties import REGION_ITEMS, scene_group
from ..regions.parts import active_part
from ..sentence import said
from ..session import session
from .base import ReportsErrors

OVERLAYS = {
    REGIONS_SHOWN: ("Regions", "Show body, face, hair and garment in the colours of the list"),
    PINS_SHOWN: ("Pins", "Show how firmly garment and hair are held: red follows the skeleton, blue flies"),
}


STRANDS = "Strands of hair cannot be painted."


class PaintRegion(ReportsErrors, bpy.types.Operator):
    """Paint which vertices of the part's object are of a region; unpainted ones keep the region of the list"""

    bl_idname = "ani3d.paint_region"
    bl_label = "Paint Region"
    bl_options = {"REGISTER", "UNDO"}

    region: bpy.props.EnumProperty(name="Region", description="What the brush paints", items=REGION_ITEMS)
    object: bpy.props.StringProperty(name="Object", description="Name of the object; empty for the list's active one")

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        part = active_part(context.scene)
        return STRANDS if part and part.strands else _why_not_painted(context, part.object if part else None)

    def run(self, context: bpy.types.Context) -> None:
        item = paintable(context, self.object)
        group = item.vertex_groups.get(PREFIX + self.region) or item.vertex_groups.new(name=PREFIX + self.region)
        _make_room(item, self.region)
        _paint(context, item, group)


class PaintPins(ReportsErrors, bpy.types.Operator):
    """Paint how firmly the part's object is held: 1 stays with the skeleton, 0 flies. It starts from the guess"""

    bl_idname = "ani3d.paint_pins"
    bl_label = "Paint Pins"
    bl_options = {"REGISTER", "UNDO"}

    object: bpy.props.StringProperty(name="Object", description="Name of the object; empty for the list's active one")

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        return "" if any(part.current for part in scene_group(context.scene).parts) else "No character is bound."

    def run(self, context: bpy.types.Context) -> None:
        part = active_part(context.scene)
        if not self.object and part and part.strands:
            raise Ani3DError("regions.paint", STRANDS)
        item = paintable(context, self.object)
        group: bpy.types.VertexGroup | None = item.vertex_groups.get(PIN_GROUP)
        if group is None:
            pins = pins_for_painting(rest_figure(context, scene_group(context.scene).armature), item)
            group = item.vertex_groups.new(name=PIN_GROUP)
            for vertex, weight in enumerate(pins.tolist()):
                group.add([vertex], weight, "REPLACE")
        _paint(context, item, group)


class UseGuess(ReportsErrors, bpy.types.Operator):
    """Take back the region chosen by hand"""

    bl_idname = "ani3d.use_guess"
    bl_label = "Back to the Guess"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        part = active_part(context.scene)
        return "" if part and part.chosen and part.guess else "No part with a region chosen by hand is active."

    def run(self, context: bpy.types.Context) -> None:
        if reason := self.why_not(context):
            raise Ani3DError("regions.guess", reason)
        part = active_part(context.scene)
        part.region = part.guess
        part.chosen, part.reason = False, "guessed by Bind"


class ShowOverlay(ReportsErrors, bpy.types.Operator):
    """Colour the character in the 3D view; again to take the colours away"""

    bl_idname = "ani3d.show_overlay"
    bl_label = "Show Colours"

    what: bpy.props.EnumProperty(name="What", items=tuple((key, *texts) for key, texts in OVERLAYS.items()))

    @classmethod
    def description(cls, _context: bpy.types.Context, properties: bpy.types.OperatorProperties) -> str:
        return OVERLAYS[cast(Any, properties).what][1]

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        return "" if scene_group(context.scene).armature else "No character is bound."

    def run(self, context: bpy.types.Context) -> None:
        overlay.show(context, "" if overlay.shown == self.what else self.what)


class DismissWarnings(ReportsErrors, bpy.types.Operator):
    """Take these warnings out of the panel"""

    bl_idname = "ani3d.dismiss_warnings"
    bl_label = "Dismiss Warnings"

    operator: bpy.props.StringProperty(name="Operator", description="Whose warnings; empty for all")

    def run(self, _context: bpy.types.Context) -> None:
        session.forget_warnings(self.operator)


class CopyText(ReportsErrors, bpy.types.Operator):
    """Copy this text"""

    bl_idname = "ani3d.copy_text"
    bl_label = "Copy"

    text: bpy.props.StringProperty(name="Text")

    def run(self, context: bpy.types.Context) -> None:
        context.window_manager.clipboard = self.text


def paintable(context: bpy.types.Context, name: str) -> bpy.types.Object:
    """The object called `name`, else that of the list's active row. Raises `Ani3DError` unless it can be painted."""
    part = active_part(context.scene)
    item = bpy.data.objects.get(name) if name else (part.object if part else None)
    if reason := _why_not_painted(context, item):
        raise Ani3DError("regions.paint", reason, "Choose its region in the list instead.")
    return item


def _paint(context: bpy.types.Context, item: bpy.types.Object, group: bpy.types.VertexGroup) -> None:
    """Go to Weight Paint on `group` of `item`, which becomes the one selected object."""
    view_layer = context.view_layer
    if view_layer.objects.active is not None and view_layer.objects.active.mode != "OBJECT":
        bpy.ops.object.mode_set(mode="OBJECT")
    for other in view_layer.objects:
        other.select_set(other == item)
    view_layer.objects.active = item
    item.vertex_groups.active = group
    bpy.ops.object.mode_set(mode="WEIGHT_PAINT")
    compat.set_brush_weight(context, 1.0)


def _why_not_painted(context: bpy.types.Context, item: bpy.types.Object | None) -> str:
    if item is None:
        return "No part is chosen in the list."
    if item.type != "MESH":
        return said("'{name}' is no mesh, and only meshes have vertices to paint.", name=item.name)
    if item.library or item.data.library:
        where = bpy.path.basename((item.library or item.data.library).filepath)
        return said(
            "'{name}' is linked from '{where}', and linked meshes cannot be painted.", name=item.name, where=where
        )
    if context.view_layer.objects.get(item.name) != item:
        return said("'{name}' is not in this view layer.", name=item.name)
    if item.hide_viewport or item.hide_get(view_layer=context.view_layer):
        return said("'{name}' is hidden.", name=item.name)
    return ""


def _make_room(item: bpy.types.Object, region: str) -> None:
    """Halve full weights of the other regions, so that a full stroke of this one wins where they were."""
    for other in REGIONS:
        group: bpy.types.VertexGroup | None = item.vertex_groups.get(PREFIX + other)
        if group is None or other == region:
            continue
        members = [(v.index, g.weight) for v in item.data.vertices for g in v.groups if g.group == group.index]
        if any(weight > 0.5 for _, weight in members):
            for vertex, weight in members:
                group.add([vertex], weight / 2, "REPLACE")
