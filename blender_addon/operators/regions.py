# SPDX-License-Identifier: GPL-3.0-or-later
"""Paint a region on a mesh, show regions and pins as colours; dismiss warnings."""

from __future__ import annotations

from typing import Any, cast

import bpy

from ani3d_formats.errors import Ani3DError
from ani3d_formats.regions import REGIONS

from .. import compat
from ..export.regions import PREFIX
from ..overlay import PINS_SHOWN, REGIONS_SHOWN, overlay
from ..properties import REGION_ITEMS, scene_group
from ..regions.parts import active_part
from ..session import session
from .base import ReportsErrors

OVERLAYS = {
    REGIONS_SHOWN: ("Regions", "Show body, face, hair and garment in the colours of the list"),
    PINS_SHOWN: ("Pins", "Show how firmly garment and hair are held: orange follows the skeleton, blue flies"),
}


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
        return _why_not_painted(context, part.object if part else None)

    def run(self, context: bpy.types.Context) -> None:
        part = active_part(context.scene)
        item = bpy.data.objects.get(self.object) if self.object else (part.object if part else None)
        if reason := _why_not_painted(context, item):
            raise Ani3DError("regions.paint", reason, "Choose its region in the list instead.")
        view_layer = context.view_layer
        if view_layer.objects.active is not None and view_layer.objects.active.mode != "OBJECT":
            bpy.ops.object.mode_set(mode="OBJECT")
        for other in view_layer.objects:
            other.select_set(other == item)
        view_layer.objects.active = item
        group = item.vertex_groups.get(PREFIX + self.region) or item.vertex_groups.new(name=PREFIX + self.region)
        item.vertex_groups.active = group
        _make_room(item, self.region)
        bpy.ops.object.mode_set(mode="WEIGHT_PAINT")
        compat.set_brush_weight(context, 1.0)


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


def _why_not_painted(context: bpy.types.Context, item: bpy.types.Object | None) -> str:
    if item is None:
        return "No part is chosen in the list."
    if item.type != "MESH":
        return f"'{item.name}' is no mesh, and only meshes have vertices to paint."
    if item.library or item.data.library:
        where = bpy.path.basename((item.library or item.data.library).filepath)
        return f"'{item.name}' is linked from '{where}', and linked meshes cannot be painted."
    if context.view_layer.objects.get(item.name) != item:
        return f"'{item.name}' is not in this view layer."
    if item.hide_viewport or item.hide_get(view_layer=context.view_layer):
        return f"'{item.name}' is hidden."
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
