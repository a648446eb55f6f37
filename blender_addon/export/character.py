# SPDX-License-Identifier: GPL-3.0-or-later
"""Which armature is a character, and showing hidden objects while it is read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress

import bpy

from ani3d_formats.errors import Ani3DError

from ..sentence import joined, said
from .members import Members, find_members
from .rest import is_held


def check_armature(armature: bpy.types.Object | None) -> None:
    """Raise `Ani3DError` unless `armature` is an armature object whose pose can be read."""
    if armature is None or armature.type != "ARMATURE":
        what = said("'{name}' is not an armature.", name=armature.name) if armature else "No armature is selected."
        raise Ani3DError("character.no_armature", what, "Select the character's armature and bind it.")
    if armature.mode == "EDIT":
        raise Ani3DError(
            "character.edit_mode", said("'{name}' is in Edit Mode.", name=armature.name), "Leave Edit Mode first."
        )
    if is_held(armature):
        raise Ani3DError(
            "character.busy",
            said("'{name}' is being bound or exported just now.", name=armature.name),
            "Wait until that has ended, or press Escape.",
        )
    if armature.data.pose_position == "REST":
        raise Ani3DError(
            "character.rest_position",
            said("'{name}' is held in rest position, so it has no motion.", name=armature.name),
            "Set it to Pose Position in the armature's properties.",
        )


def members_of(armature: bpy.types.Object, view_layer: bpy.types.ViewLayer) -> Members:
    """The members of `armature`'s character. Raises `Ani3DError` where it has none, or one is in Edit Mode."""
    found = find_members(armature, view_layer)
    if not found.armature.instancers and armature.name not in view_layer.objects:
        raise Ani3DError(
            "character.not_in_view_layer",
            said(
                "'{name}' is not in the view layer '{layer}'; its collection may be excluded from it.",
                name=armature.name,
                layer=view_layer.name,
            ),
            "Tick the collection in the Outliner, or link the armature to the scene.",
        )
    if not found.shapes:
        reasons = [said("{name}: {reason}", name=name, reason=said(reason)) for name, reason in found.left_out]
        why = said(" Left out: {reasons}.", reasons=joined(reasons, "; ")) if reasons else ""
        raise Ani3DError(
            "character.no_mesh",
            said("No mesh follows the armature '{name}'.{why}", name=armature.name, why=why),
            "Give the character's meshes an Armature modifier that points to it, or parent them to its bones.",
        )
    for member in (*found.rigs, *found.shapes):
        if member.item.mode == "EDIT":
            raise Ani3DError(
                "character.edit_mode",
                said("'{name}' is in Edit Mode.", name=member.item.name),
                "Leave Edit Mode first.",
            )
    return found


@contextmanager
def shown(objects: Sequence[bpy.types.Object], view_layer: bpy.types.ViewLayer) -> Iterator[None]:
    """Show hidden `objects`, and the collections around them, meanwhile: Blender does not evaluate what is hidden, as a
    character is whose result was imported."""
    with ExitStack() as stack:
        wanted = set(objects)
        for path, layer in _layers(view_layer.layer_collection):
            if wanted.intersection(layer.collection.all_objects):  # a hidden one hides those below it
                if layer.hide_viewport:
                    stack.callback(_hide_layer, view_layer, path)
                    layer.hide_viewport = False
                if layer.collection.hide_viewport:
                    stack.callback(_hide, layer.collection)
                    layer.collection.hide_viewport = False
        for item in objects:
            if item.hide_viewport:
                stack.callback(_hide, item)
                item.hide_viewport = False
            if item.name in view_layer.objects and item.hide_get(view_layer=view_layer):
                stack.callback(_hide_in, view_layer, item)
                item.hide_set(False, view_layer=view_layer)
        yield


def _hide(owner: bpy.types.Object | bpy.types.Collection) -> None:
    with suppress(ReferenceError):  # deleted meanwhile
        owner.hide_viewport = True


def _hide_in(view_layer: bpy.types.ViewLayer, item: bpy.types.Object) -> None:
    with suppress(ReferenceError, RuntimeError):  # deleted meanwhile, or unlinked
        item.hide_set(True, view_layer=view_layer)


def _hide_layer(view_layer: bpy.types.ViewLayer, path: tuple[str, ...]) -> None:
    """Hide a collection of a view layer, which is looked up: Python crashes on layers that were deleted."""
    for found, layer in _layers(view_layer.layer_collection):
        if found == path:
            layer.hide_viewport = True


def _layers(
    layer: bpy.types.LayerCollection, above: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], bpy.types.LayerCollection]]:
    """`layer` and all below it, each after the names of the way to it."""
    path = (*above, layer.name)
    yield path, layer
    for child in layer.children:
        yield from _layers(child, path)
