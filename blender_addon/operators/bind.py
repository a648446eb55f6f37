# SPDX-License-Identifier: GPL-3.0-or-later
"""Bind Character: check a rig once, remember it, and label its regions where nobody has."""

from __future__ import annotations

from typing import cast

import bpy

from ..export import camera, character, mesh, regions, skeleton
from ..properties import scene_group
from .base import ReportsErrors


class BindCharacter(ReportsErrors, bpy.types.Operator):
    """Check the selected armature and its meshes, and make them this scene's character"""

    bl_idname = "ani3d.bind_character"
    bl_label = "Bind Character"
    bl_options = {"REGISTER", "UNDO"}

    armature: bpy.props.StringProperty(
        name="Armature", description="Name of the armature object; empty for the selected one"
    )

    def run(self, context: bpy.types.Context) -> None:
        armature = bpy.data.objects.get(self.armature) if self.armature else _chosen_armature(context)
        character.check_armature(armature)
        objects = character.meshes_of(armature, context.view_layer)
        character.check_modifiers(objects, self.warn)
        rig = skeleton.read_rig(armature, self.warn)
        mesh.check_weights(objects, [mesh.skin_weights(item, rig.names) for item in objects])
        camera.check_camera(context.scene)
        for item in objects:
            if not regions.has_regions(item):
                regions.write_default_regions(item)
        scene_group(context.scene).armature = armature
        count = sum(len(cast(bpy.types.Mesh, item.data).vertices) for item in objects)
        names = ", ".join(item.name for item in objects)
        self.report({"INFO"}, f"Bound '{armature.name}': {len(rig.names)} bones, {count} vertices in {names}.")


def _chosen_armature(context: bpy.types.Context) -> bpy.types.Object | None:
    """The active object if it is an armature, the armature of an active mesh, the one selected armature, else the
    one that the panel names."""
    active = context.view_layer.objects.active
    if active is not None and active.select_get():
        if active.type == "ARMATURE":
            return active
        if active.type == "MESH" and (owner := active.find_armature()):
            return owner
    armatures = [item for item in context.view_layer.objects if item.select_get() and item.type == "ARMATURE"]
    return armatures[0] if len(armatures) == 1 else scene_group(context.scene).armature
