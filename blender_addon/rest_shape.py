# SPDX-License-Identifier: GPL-3.0-or-later
"""Meshes of objects as they are exported, at rest and after their modifiers: faces, UVs, materials."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import cast

import bpy

CONVERTIBLE = frozenset(("MESH", "CURVE", "SURFACE", "FONT", "META"))
# modifiers that move vertices by what happens in the scene, and make none
POSING = frozenset(("ARMATURE", "CLOTH", "SOFT_BODY", "MESH_CACHE", "SURFACE_DEFORM", "MESH_DEFORM", "LATTICE", "HOOK"))


def rest_shapes(context: bpy.types.Context, sources: Sequence[bpy.types.Object]) -> list[bpy.types.Mesh]:
    """A new mesh for each of `sources`, objects of a type in `CONVERTIBLE`: evaluated without what poses it.

    Hidden, linked and instanced objects are no different; nothing in the scene is changed.
    """
    with _probes(context, sources) as probes:
        depsgraph = context.evaluated_depsgraph_get()
        meshes = []
        for source, probe in zip(sources, probes, strict=True):
            mesh = bpy.data.meshes.new_from_object(
                probe.evaluated_get(depsgraph), preserve_all_data_layers=True, depsgraph=depsgraph
            )
            mesh.name = f"{source.name} Ani3D"
            _copy_materials(source, mesh)
            meshes.append(mesh)
    return meshes


def own_shape(source: bpy.types.Object) -> bpy.types.Mesh:
    """A copy of the mesh object's own mesh, before its modifiers."""
    mesh = cast(bpy.types.Mesh, source.data.copy())
    probe = bpy.data.objects.new(source.name, mesh)
    probe.shape_key_clear()  # a key would be mixed in before a cache replaces the positions
    bpy.data.objects.remove(probe)
    _copy_materials(source, mesh)
    return mesh


@contextmanager
def _probes(context: bpy.types.Context, sources: Sequence[bpy.types.Object]) -> Iterator[list[bpy.types.Object]]:
    """Visible copies of `sources` without what poses them; metaballs themselves, whose copies would melt into them."""
    probes = []
    collection = bpy.data.collections.new("Ani3D rest")
    context.scene.collection.children.link(collection)
    try:
        for source in sources:
            probe = source if source.type == "META" else source.copy()
            if probe != source:
                collection.objects.link(probe)
                probe.hide_viewport = False
                for modifier in [m for m in probe.modifiers if m.type in POSING]:
                    probe.modifiers.remove(modifier)
            probes.append(probe)
        context.view_layer.update()
        yield probes
    finally:
        for item in list(collection.objects):
            bpy.data.objects.remove(item)
        bpy.data.collections.remove(collection)


def _copy_materials(source: bpy.types.Object, mesh: bpy.types.Mesh) -> None:
    """Give `mesh` the materials that the slots of `source` show, some of which may be the object's own."""
    for place, slot in enumerate(source.material_slots):
        if place < len(mesh.materials):
            mesh.materials[place] = slot.material
