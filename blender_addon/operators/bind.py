# SPDX-License-Identifier: GPL-3.0-or-later
"""Bind Character: check a rig once, remember it, and list its parts with their regions."""

from __future__ import annotations

import bpy

from ..export import camera
from ..export.members import owner_of
from ..export.survey import look_at
from ..properties import scene_group
from ..regions.parts import fill_parts
from .base import ReportsErrors


class BindCharacter(ReportsErrors, bpy.types.Operator):
    """Check the selected armature and its meshes, and make them this scene's character"""

    bl_idname = "ani3d.bind_character"
    bl_label = "Bind Character"
    bl_options = {"REGISTER", "UNDO"}

    armature: bpy.props.StringProperty(
        name="Armature", description="Name of the armature object; empty for the selected one"
    )

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        return "" if any(each.type == "ARMATURE" for each in bpy.data.objects) else "There is no armature in this file."

    def run(self, context: bpy.types.Context) -> None:
        armature = bpy.data.objects.get(self.armature) if self.armature else _chosen_armature(context)
        survey = look_at(context, armature)
        camera.check_camera(context.scene)
        for name, reason in survey.left_out:
            self.warn(f"'{name}' is left out: {reason}.")
        fill_parts(context.scene, survey.entries)
        scene_group(context.scene).armature = armature
        count = sum(part.vertices for part in survey.parts)
        names = ", ".join(part.item.name for part in survey.parts)
        self.say(f"Bound '{armature.name}': {survey.bones} bones, {count} vertices in {names}.")


def _chosen_armature(context: bpy.types.Context) -> bpy.types.Object | None:
    """The armature of the active object, the one selected, the one that the panel names, else the scene's only one."""
    active = context.view_layer.objects.active
    if active is not None and active.select_get() and (owner := owner_of(active)):
        return owner
    armatures = [item for item in context.view_layer.objects if item.select_get() and item.type == "ARMATURE"]
    if len(armatures) == 1:
        return armatures[0]
    if scene_group(context.scene).armature:
        return scene_group(context.scene).armature
    owners = {owner for item in context.view_layer.objects if (owner := owner_of(item))}
    return owners.pop() if len(owners) == 1 else None
