# SPDX-License-Identifier: GPL-3.0-or-later
"""The copy of a character's object that plays a mesh cache, with all of the original that the cache does not hold.

A cache holds the places of vertices as they are shown, so modifiers that pose are in it. What grows on the surface is
not: particle hair goes on growing on the copy. Where the cache has the mesh's own vertices, modifiers that would make
more of them come after it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import bpy

from .export.modifiers import GENERATIVE
from .sentence import said

UNEVEN = 0.01  # share by which an object's scale may differ from 1 while the length of its hair is still right


def copy_object(
    source: bpy.types.Object, mesh: bpy.types.Mesh, own_vertices: bool, warn: Callable[[str], None]
) -> bpy.types.Object:
    """A new object of `mesh` that stands free of any rig, in no collection.

    Args:
        source: what it is a copy of.
        own_vertices: the mesh has the vertices that `source` has before its modifiers.
        warn: is told what cannot be kept.
    """
    kept = _kept(source, own_vertices, warn)
    if not kept:
        return bpy.data.objects.new(f"{source.name} Ani3D", mesh)
    copy = source.copy()
    copy.name = f"{source.name} Ani3D"
    copy.animation_data_clear()
    copy.parent = None
    copy.constraints.clear()
    copy.data = mesh
    copy.matrix_world.identity()
    for modifier in list(copy.modifiers):
        if modifier.name not in kept:
            copy.modifiers.remove(modifier)
    copy.hide_viewport = copy.hide_render = False
    copy.rotation_euler, copy.scale = (0, 0, 0), (1, 1, 1)
    copy.delta_location, copy.delta_rotation_euler, copy.delta_scale = (0, 0, 0), (0, 0, 0), (1, 1, 1)
    copy.rotation_mode = "XYZ"
    return copy


def show_hair(copy: bpy.types.Object, shown: bool) -> None:
    """Show or hide the particle hair of a copy: Gaussians may show it in its stead."""
    for modifier in copy.modifiers:
        if modifier.type == "PARTICLE_SYSTEM":
            modifier.show_viewport = modifier.show_render = shown


def _kept(source: bpy.types.Object, own_vertices: bool, warn: Callable[[str], None]) -> set[str]:
    """Names of the modifiers that the copy keeps."""
    if source.type != "MESH":
        return set()
    kept = {m.name for m in source.modifiers if own_vertices and m.type in GENERATIVE and m.show_render}
    hair = [m for m in source.modifiers if m.type == "PARTICLE_SYSTEM" and _is_hair(m)]
    if not hair:
        return kept
    sizes: Any = source.matrix_world.to_scale()
    if max(abs(size - 1) for size in sizes) > UNEVEN:
        warn(
            said(
                "The particle hair of '{name}' is not on its mesh copy: the object's scale would change its length.",
                name=source.name,
            )
        )
        return kept
    return kept | {modifier.name for modifier in hair}


def _is_hair(modifier: bpy.types.Modifier) -> bool:
    system = cast(bpy.types.ParticleSystemModifier, modifier).particle_system
    return system is not None and system.settings.type == "HAIR"
