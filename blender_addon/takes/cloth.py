# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender's cloth for the length of a take: the file's own settings where it has some, else plain ones.

A mesh with a Cloth modifier of its own is simulated as a copy, so that its cache, a baked one too, stays as it is.
Everything that is added is taken away again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import cast

import bmesh
import bpy
import numpy as np

from ani3d_formats.regions import GARMENT, HAIR, is_loose

from ..export.character import members_of
from ..export.cloth_settings import own_cloth
from ..export.modifiers import GENERATIVE, switched_off
from ..export.weights import armature_modifier

NAME = "Ani3D take"
SURFACE = {"SURFACE_DEFORM": "target", "MESH_DEFORM": "object"}  # such a mesh follows the one it is bound to
GAP = 0.004  # metres between cloth and body
FRICTION = 0.5  # more, and skirts climb up the legs that move under them
REAL_TIME = (
    31.6  # frames a second at which Blender's cloth, which does not look at the rate, falls as fast as it should
)
LEVELS = 20  # of pin weights


def meshes_of(armature: bpy.types.Object, view_layer: bpy.types.ViewLayer) -> list[bpy.types.Object]:
    """The meshes in takes: those of the character that an Armature modifier deforms."""
    found = members_of(armature, view_layer).objects
    return [item for item in found if item.type == "MESH" and armature_modifier(item, [armature])]


@contextmanager
def stilled(objects: Sequence[bpy.types.Object], armature: bpy.types.Object) -> Iterator[None]:
    """Hide cloth, and what makes other vertices behind armature and cloth: no part of a shot, nor of its truth."""
    hidden = []
    for item in objects:
        names = [modifier.name for modifier in item.modifiers]
        after = names.index(armature_modifier(item, [armature]).name)
        own = own_cloth(item)
        for place, modifier in enumerate(item.modifiers):
            last = after if own is None else max(after, names.index(own.name))
            if modifier.show_viewport and (modifier.type == "CLOTH" or (modifier.type in GENERATIVE and place > last)):
                hidden.append(modifier)
    with switched_off(hidden):
        yield


def is_simulated(item: bpy.types.Object, loose: np.ndarray) -> bool:
    """Whether a mesh gets cloth in a take; `loose` (V,) marks its garment and hair."""
    return own_cloth(item) is not None or (bool(loose.any()) and not any(m.type in SURFACE for m in item.modifiers))


@contextmanager
def clothed(
    context: bpy.types.Context,
    armature: bpy.types.Object,
    parts: Sequence[tuple[bpy.types.Object, np.ndarray, np.ndarray]],
    last: int,
) -> Iterator[list[bpy.types.Object]]:
    """Simulate garment and hair from frame 1 to `last`, meanwhile. Call it inside `stilled`.

    Args:
        parts: for each mesh of the character its regions (V,) and pin weights (V,).

    Yields:
        For each of `parts` the object that has the simulated vertices.
    """
    fps = context.scene.render.fps / context.scene.render.fps_base
    with ExitStack() as stack:
        family = {*(item for item, _, _ in parts), *armature.children_recursive}
        if not any(m.type == "COLLISION" for item in family for m in item.modifiers):
            for item, regions, _ in parts:
                if not is_loose(regions).all():
                    stack.enter_context(_collider(context, armature, item, regions))
        shown = []
        for item, regions, pins in parts:
            shown.append(item)
            if own_cloth(item) is not None:
                shown[-1] = stack.enter_context(_double(context, item, [each for each, _, _ in parts], last))
            elif is_simulated(item, is_loose(regions)):
                stack.enter_context(_added_cloth(item, armature, regions, pins, last, fps))
        context.view_layer.update()
        yield shown


@contextmanager
def _double(
    context: bpy.types.Context, item: bpy.types.Object, followers: Sequence[bpy.types.Object], last: int
) -> Iterator[bpy.types.Object]:
    """A copy of a mesh with the file's own cloth, simulated in its place; what is bound to the mesh is bound to it."""
    copy = item.copy()
    hidden = item.hide_viewport
    bound = [
        (modifier, name)
        for follower in followers
        for modifier in follower.modifiers
        if (name := SURFACE.get(modifier.type)) and getattr(modifier, name) == item
    ]
    try:
        copy.name = f"{NAME} {item.name}"
        context.scene.collection.objects.link(copy)
        modifier = own_cloth(copy)
        modifier.show_viewport = True
        _set_range(modifier, last)
        item.hide_viewport = True  # or it might collide with its double
        for follower, name in bound:
            setattr(follower, name, copy)
        yield copy
    finally:
        for follower, name in bound:
            setattr(follower, name, item)
        item.hide_viewport = hidden
        bpy.data.objects.remove(copy)


def _set_range(modifier: bpy.types.ClothModifier, last: int) -> None:
    cache = modifier.point_cache
    cache.use_disk_cache = False
    cache.frame_start, cache.frame_end = 1, last


@contextmanager
def _added_cloth(
    item: bpy.types.Object, armature: bpy.types.Object, regions: np.ndarray, pins: np.ndarray, last: int, fps: float
) -> Iterator[None]:
    names = [modifier.name for modifier in item.modifiers]
    place = names.index(armature_modifier(item, [armature]).name) + 1
    with _pin_group(item, pins) as group:
        modifier = cast(bpy.types.ClothModifier, item.modifiers.new(NAME, "CLOTH"))
        name = modifier.name
        item.modifiers.move(len(names), place)
        _set_range(modifier, last)
        settings, contact = modifier.settings, modifier.collision_settings
        hair = (regions == HAIR).sum() > (regions == GARMENT).sum()
        settings.quality, settings.mass, settings.air_damping = 12, 0.3, 1.0
        settings.time_scale = REAL_TIME / fps
        settings.tension_stiffness = settings.compression_stiffness = 60.0
        settings.shear_stiffness = 30.0
        settings.bending_stiffness, settings.bending_damping = (5.0, 2.0) if hair else (3.0, 0.5)
        settings.vertex_group_mass = group
        contact.distance_min, contact.friction, contact.use_self_collision = GAP, FRICTION, False
        try:
            yield
        finally:
            item.modifiers.remove(item.modifiers[name])


@contextmanager
def _pin_group(item: bpy.types.Object, pins: np.ndarray) -> Iterator[str]:
    active = item.vertex_groups.active_index
    group = item.vertex_groups.new(name=NAME)
    name = group.name
    try:
        steps = np.round(pins * LEVELS).astype(int)
        for step in np.unique(steps[steps > 0]):
            group.add(np.flatnonzero(steps == step).tolist(), step / LEVELS, "REPLACE")
        yield name
    finally:
        item.vertex_groups.remove(item.vertex_groups[name])
        item.vertex_groups.active_index = active


@contextmanager
def _collider(
    context: bpy.types.Context, armature: bpy.types.Object, item: bpy.types.Object, regions: np.ndarray
) -> Iterator[None]:
    """What of `item` is body or face, as a mesh of its own that cloth collides with."""
    mesh = cast(bpy.types.Mesh, item.data).copy()
    copy = item.copy()
    try:
        copy.data, copy.name = mesh, f"{NAME} {item.name}"
        kept = armature_modifier(copy, [armature]).name
        for modifier in list(copy.modifiers):
            if modifier.name != kept:
                copy.modifiers.remove(modifier)
        _cut(mesh, np.flatnonzero(is_loose(regions)))
        copy.modifiers.new(NAME, "COLLISION")
        copy.collision.thickness_outer, copy.collision.cloth_friction = GAP, FRICTION
        context.scene.collection.objects.link(copy)
        copy.hide_render, copy.hide_viewport = True, False
        yield
    finally:
        bpy.data.objects.remove(copy)
        bpy.data.meshes.remove(mesh)


def _cut(mesh: bpy.types.Mesh, vertices: np.ndarray) -> None:
    """Take vertices and their faces out of a mesh."""
    if not len(vertices):
        return
    edited = bmesh.new()
    try:
        edited.from_mesh(mesh)
        edited.verts.ensure_lookup_table()
        bmesh.ops.delete(edited, geom=[edited.verts[i] for i in vertices], context="VERTS")
        edited.to_mesh(mesh)
    finally:
        edited.free()
