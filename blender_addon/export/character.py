# SPDX-License-Identifier: GPL-3.0-or-later
"""What makes a character: an armature, and the meshes that its Armature modifiers deform."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import bpy

from ani3d_formats.errors import Ani3DError

from ..properties import object_group

# Modifiers that make other vertices than the mesh has; before the Armature modifier they change what is skinned.
# fmt: off
GENERATIVE = frozenset((
    "ARRAY", "BEVEL", "BOOLEAN", "BUILD", "DECIMATE", "EDGE_SPLIT", "MASK", "MESH_SEQUENCE_CACHE", "MIRROR", "MULTIRES",
    "NODES", "REMESH", "SCREW", "SKIN", "SOLIDIFY", "SUBSURF", "TRIANGULATE", "WELD", "WIREFRAME",
))
# fmt: on


def check_armature(armature: bpy.types.Object | None) -> None:
    """Raise `Ani3DError` unless `armature` is an armature object whose pose can be read."""
    if armature is None or armature.type != "ARMATURE":
        what = f"'{armature.name}' is not an armature." if armature else "No armature is selected."
        raise Ani3DError("character.no_armature", what, "Select the character's armature and bind it.")
    if armature.mode == "EDIT":
        raise Ani3DError("character.edit_mode", f"'{armature.name}' is in Edit Mode.", "Leave Edit Mode first.")
    if armature.data.pose_position == "REST":
        raise Ani3DError(
            "character.rest_position",
            f"'{armature.name}' is held in rest position, so it has no motion.",
            "Set it to Pose Position in the armature's properties.",
        )


def armature_modifier(item: bpy.types.Object, armature: bpy.types.Object) -> bpy.types.ArmatureModifier | None:
    """The modifier by which `armature` deforms `item`, if it does."""
    for modifier in item.modifiers:
        if isinstance(modifier, bpy.types.ArmatureModifier) and modifier.object == armature and modifier.show_viewport:
            return modifier
    return None


def meshes_of(armature: bpy.types.Object, view_layer: bpy.types.ViewLayer) -> list[bpy.types.Object]:
    """The character's mesh objects in `view_layer`, by name. Parts of a result are no characters."""
    view_layer.update()  # objects linked a moment ago are not listed before
    found = [
        item
        for item in view_layer.objects
        if item.type == "MESH" and object_group(item).kind == "NONE" and armature_modifier(item, armature)
    ]
    if not found:
        raise Ani3DError(
            "character.no_mesh",
            f"No mesh is deformed by the armature '{armature.name}'.",
            "Give the character's meshes an Armature modifier that points to it.",
        )
    return sorted(found, key=lambda item: item.name)


@contextmanager
def shown(objects: Sequence[bpy.types.Object], view_layer: bpy.types.ViewLayer) -> Iterator[None]:
    """Show hidden `objects` meanwhile: Blender does not evaluate what is hidden, as a character is whose result
    was imported."""
    before = [(item, item.hide_viewport, item.hide_get(view_layer=view_layer)) for item in objects]
    try:
        for item in objects:
            item.hide_viewport = False
            item.hide_set(False, view_layer=view_layer)
        yield
    finally:
        for item, everywhere, here in before:
            item.hide_set(here, view_layer=view_layer)
            item.hide_viewport = everywhere


@contextmanager
def switched_off(modifiers: Sequence[bpy.types.Modifier]) -> Iterator[None]:
    """Hide shown `modifiers` in the viewport meanwhile."""
    try:
        for modifier in modifiers:
            modifier.show_viewport = False
        yield
    finally:
        for modifier in modifiers:
            modifier.show_viewport = True


def check_modifiers(objects: Sequence[bpy.types.Object], warn: Callable[[str], None]) -> None:
    """Refuse what would skin other vertices than the exported ones; warn of what is left out."""
    for item in objects:
        if item.mode == "EDIT":
            raise Ani3DError("character.edit_mode", f"'{item.name}' is in Edit Mode.", "Leave Edit Mode first.")
        seen_armature = False
        for modifier in item.modifiers:
            if not modifier.show_viewport:
                continue
            where = f"modifier '{modifier.name}' of '{item.name}'"
            if isinstance(modifier, bpy.types.ArmatureModifier):
                if seen_armature:
                    raise Ani3DError(
                        "character.modifiers",
                        f"'{item.name}' has two Armature modifiers.",
                        "Keep only one of them.",
                    )
                seen_armature = True
                _check_armature_modifier(modifier, where, warn)
            elif modifier.type in GENERATIVE and not seen_armature:
                raise Ani3DError(
                    "character.modifiers",
                    f"The {where} changes the number of vertices before the armature deforms them.",
                    "Apply it, or move it below the Armature modifier.",
                )
            else:
                warn(f"The {where} is not part of the shot: the mesh is exported as its armature deforms it.")


def _check_armature_modifier(modifier: bpy.types.ArmatureModifier, where: str, warn: Callable[[str], None]) -> None:
    if modifier.vertex_group:
        raise Ani3DError(
            "character.modifiers",
            f"The {where} is limited to the vertex group '{modifier.vertex_group}'.",
            "Clear that field; weights alone say how far each bone reaches.",
        )
    if not modifier.use_vertex_groups:
        raise Ani3DError(
            "character.modifiers", f"The {where} ignores vertex groups.", "Turn on Bind To: Vertex Groups."
        )
    if modifier.use_bone_envelopes:
        warn(f"The {where} uses bone envelopes; the shot uses vertex groups alone.")
