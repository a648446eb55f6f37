# SPDX-License-Identifier: GPL-3.0-or-later
"""Meshes to bake on: a rectangle of UV space, or some of a mesh's triangles with all that is stored on them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import bpy
import numpy as np

from .faces import MeshFaces
from .mesh_data import FIELDS, attributes_of

ATLAS = "ani3d atlas"
_OWN = ("position", "material_index")  # made with the mesh


@contextmanager
def rectangle(box: np.ndarray, uv_map: str, material: bpy.types.Material) -> Iterator[bpy.types.Object]:
    """An object that fills the whole of its UV map "ani3d atlas", on which `uv_map` runs from box[0] to box[1]."""
    mesh = bpy.data.meshes.new("ani3d bake")
    try:
        square = np.array([(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)])
        mesh.from_pydata([(u, v, 0.0) for u, v in square], [], [(0, 1, 2, 3)])
        own: Any = mesh.uv_layers.new(name=uv_map or "UVMap")
        own.data.foreach_set("uv", (box[0] + square * (box[1] - box[0])).astype(np.float32).ravel())
        own.active_render = True
        atlas: Any = mesh.uv_layers.new(name=ATLAS)
        atlas.data.foreach_set("uv", square.astype(np.float32).ravel())
        with _object(mesh, material) as item:
            yield item
    finally:
        bpy.data.meshes.remove(mesh)


@contextmanager
def triangles(
    faces: MeshFaces, rows: np.ndarray, uvs: np.ndarray, material: bpy.types.Material
) -> Iterator[bpy.types.Object]:
    """An object of the triangles `rows` of `faces`, with UVs (len(rows),3,2) as its UV map "ani3d atlas".

    Where modifiers or textures look at it, it stands and is as the object of `faces`.
    """
    mesh = bpy.data.meshes.new("ani3d bake")
    try:
        points = np.empty(len(faces.mesh.vertices) * 3, np.float32)
        faces.mesh.vertices.foreach_get("co", points)
        mesh.from_pydata(points.reshape(-1, 3), [], faces.triangles[rows].tolist())
        _copy_attributes(faces, rows, mesh)
        atlas: Any = mesh.uv_layers.new(name=ATLAS, do_init=False)
        if atlas is None:
            raise RuntimeError("the mesh has eight UV maps already")
        atlas.data.foreach_set("uv", uvs.astype(np.float32).ravel())
        if faces.uv_map:
            mesh.uv_layers[faces.uv_map].active_render = True
        mesh.use_auto_texspace = faces.mesh.use_auto_texspace
        if not mesh.use_auto_texspace:
            mesh.texspace_location, mesh.texspace_size = faces.mesh.texspace_location, faces.mesh.texspace_size
        with _object(mesh, material) as item:
            item.matrix_world = faces.item.matrix_world
            item.color, item.pass_index = faces.item.color, faces.item.pass_index
            for key, value in faces.item.items():  # settings of add-ons may be among them
                if isinstance(value, (int, float, str)) or hasattr(value, "to_list"):
                    item[key] = value
            yield item
    finally:
        bpy.data.meshes.remove(mesh)


def _copy_attributes(faces: MeshFaces, rows: np.ndarray, mesh: bpy.types.Mesh) -> None:
    """Everything stored on vertices, faces and face corners, in the order of UV maps and colours."""
    polygons, own_attributes = None, cast(Any, mesh.attributes)
    for name, kind, domain, values in attributes_of(faces.mesh):
        if name in _OWN:
            continue
        if domain == "CORNER":
            values = values[faces.corners[rows].ravel()]
        elif domain == "FACE":
            if polygons is None:
                polygons = _polygon_of_corner(faces.mesh)
            values = values[polygons[faces.corners[rows, 0]]]
        elif domain != "POINT":
            continue
        made = own_attributes.get(name) or own_attributes.new(name, kind, domain)
        if len(made.data) == len(values):
            made.data.foreach_set(FIELDS[kind][0], np.ascontiguousarray(values).ravel())
    colors, own = faces.mesh.color_attributes, mesh.color_attributes
    if colors.render_color_index >= 0 and colors[colors.render_color_index].name in own:
        own.render_color_index = own.find(colors[colors.render_color_index].name)


def _polygon_of_corner(mesh: bpy.types.Mesh) -> np.ndarray:
    totals = np.empty(len(mesh.polygons), np.int32)
    mesh.polygons.foreach_get("loop_total", totals)
    return np.repeat(np.arange(len(totals)), totals)


@contextmanager
def _object(mesh: bpy.types.Mesh, material: bpy.types.Material) -> Iterator[bpy.types.Object]:
    mesh.materials.append(material)
    item = bpy.data.objects.new("ani3d bake", mesh)
    try:
        yield item
    finally:
        bpy.data.objects.remove(item)
