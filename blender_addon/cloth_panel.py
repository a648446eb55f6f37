# SPDX-License-Identifier: GPL-3.0-or-later
"""The Cloth panel: what the scene does to cloth, and what is wished of the active object's."""

from __future__ import annotations

import bpy

from . import wording
from .export.colliders import is_marked
from .panel_layout import Sidebar, sentences
from .properties import object_group, scene_group

WISHES = ("fabric", "layer", "thickness", "strength", "density", "stretch", "bend")
MOST_NAMES = 6  # of a line


class ClothPanel(Sidebar, bpy.types.Panel):
    bl_idname = "ANI3D_PT_cloth"
    bl_label = "Cloth"
    bl_parent_id = "ANI3D_PT_animate"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        settings, column = scene_group(context.scene), self.layout.column()
        column.use_property_split, column.use_property_decorate = True, False
        for name in ("floor", "way_in", "loop"):
            column.prop(settings, name)
        for text, icon in met_by(context):
            sentences(context, column, text, icon)
        item = context.object
        if item is None or object_group(item).kind != "NONE":
            return
        box = column.box()
        box.use_property_decorate = True
        if any(part.object == item and part.current for part in settings.parts):
            box.label(text=item.name, icon="MOD_CLOTH")
            for name in WISHES:
                box.prop(object_group(item), name)
            sentences(context, box, "The vertex group ani3d_stay keeps cloth near the rig")
        elif item.type == "MESH":
            box.prop(object_group(item), "collides", text=wording.told("{name} Collides", name=item.name))


def met_by(context: bpy.types.Context) -> list[tuple[str, str]]:
    """(sentence, icon) on what of the scene acts on cloth."""
    scene, layer = context.scene, context.view_layer
    own = {part.object for part in scene_group(scene).parts if part.current}
    shown = [item for item in layer.objects if item.visible_get(view_layer=layer) and object_group(item).kind == "NONE"]
    told = []
    if meets := [item.name for item in shown if item not in own and is_marked(item)]:
        told.append((wording.told("Collides with {names}", names=_listed(meets)), "MOD_PHYSICS"))
    if blows := [item.name for item in shown if item.field is not None and item.field.type != "NONE"]:
        told.append((wording.told("Moved by {names}", names=_listed(blows)), "FORCE_WIND"))
    if not scene.use_gravity or scene.gravity.length == 0:
        told.append(("The scene has no gravity, so cloth floats", "ERROR"))
    return told


def _listed(names: list[str]) -> str:
    more = wording.told(" and {count} more", count=len(names) - MOST_NAMES) if len(names) > MOST_NAMES else ""
    return ", ".join(names[:MOST_NAMES]) + more
