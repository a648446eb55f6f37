# SPDX-License-Identifier: GPL-3.0-or-later
"""The character's meshes in bind pose, joined into one: geometry, skin weights, regions.

Blender deforms a vertex by the sum of its bones' matrices, weighted and divided by the weights' total, or of their dual
quaternions where the Armature modifier preserves volume; bones that do not deform and groups that are no bones have no
part in it. Exported weights are those shares.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import bpy
import numpy as np

from ani3d_formats.errors import Ani3DError

from .character import armature_modifier
from .regions import PIN_GROUP, region_ids
from .surfaces import MeshFaces

NO_WEIGHT = 1e-4  # Blender leaves a vertex alone whose weights add up to no more than this


@dataclass(frozen=True)
class Figure:
    """All meshes, joined. `parts` has the faces of each mesh; `offsets` (O,4,4) are the objects' transforms in armature
    space."""

    objects: list[dict[str, Any]]
    vertices: np.ndarray
    faces: np.ndarray
    parts: list[MeshFaces]
    weight_indices: np.ndarray
    weight_values: np.ndarray
    region_ids: np.ndarray
    pin_weights: np.ndarray | None
    offsets: np.ndarray


def read_meshes(
    objects: Sequence[bpy.types.Object],
    armature: bpy.types.Object,
    bones: Sequence[str],
    depsgraph: bpy.types.Depsgraph,
    warn: Callable[[str], None],
) -> Figure:
    """Join `objects` in world space, where the armature stands now."""
    weights = [skin_weights(item, bones) for item in objects]
    check_weights(objects, weights)
    vertices, faces, parts = [], [], []
    entries: list[dict[str, Any]] = []
    count = 0
    for item in objects:
        world = np.array(item.evaluated_get(depsgraph).matrix_world, np.float64)
        local = _rest_vertices(item, warn)
        vertices.append(local @ world[:3, :3].T + world[:3, 3])
        triangles, corners, slots = _triangles(item, flipped=np.linalg.det(world[:3, :3]) < 0)
        faces.append(triangles + count)
        parts.append(MeshFaces(item, cast(bpy.types.Mesh, item.data), triangles, corners, slots))
        entries.append({"name": item.name, "vertex_start": count, "vertex_count": len(local)})
        modifier = armature_modifier(item, armature)
        if modifier and modifier.use_deform_preserve_volume:
            entries[-1]["preserve_volume"] = True
        count += len(local)
    indices, values = _joined_weights(weights)
    influences = [group_weights(item) for item in objects]
    return Figure(
        objects=entries,
        vertices=np.concatenate(vertices),
        faces=np.concatenate(faces),
        parts=parts,
        weight_indices=indices,
        weight_values=values,
        region_ids=np.concatenate([region_ids(o, groups) for o, groups in zip(objects, influences, strict=True)]),
        pin_weights=_pin_weights(objects, influences),
        offsets=_offsets(objects, armature.evaluated_get(depsgraph), depsgraph),
    )


def check_following(
    figure: Figure,
    objects: Sequence[bpy.types.Object],
    armature: bpy.types.Object,
    depsgraph: bpy.types.Depsgraph,
    frame: int,
) -> None:
    """Raise unless every mesh stands where it stood relative to the armature: skinning has one bind pose."""
    moved = np.abs(_offsets(objects, armature, depsgraph) - figure.offsets).max(axis=(1, 2)) > 1e-4
    if moved.any():
        name = objects[int(np.argmax(moved))].name
        raise Ani3DError(
            "character.not_following",
            f"'{name}' moves relative to the armature at frame {frame}.",
            "Parent it to the armature, and animate only bones or the armature.",
        )


def skin_weights(item: bpy.types.Object, bones: Sequence[str]) -> list[list[tuple[int, float]]]:
    """Per vertex the (bone, weight) pairs as painted; empty where no bone holds it.

    They are in Blender's own order, which decides the signs of dual quaternions (Preserve Volume).
    """
    rows = {name: row for row, name in enumerate(bones)}
    bone_of = {group.index: rows[group.name] for group in item.vertex_groups if group.name in rows}
    result = []
    for vertex in item.data.vertices:
        pairs = [(bone_of[g.group], g.weight) for g in vertex.groups if g.group in bone_of and g.weight > 0]
        result.append(pairs)
    return result


def check_weights(objects: Sequence[bpy.types.Object], weights: Sequence[list[list[tuple[int, float]]]]) -> None:
    """Raise `Ani3DError` with the number of unweighted vertices in each object."""
    loose = {
        item.name: sum(sum(w for _, w in pairs) <= NO_WEIGHT for pairs in rows)
        for item, rows in zip(objects, weights, strict=True)
    }
    loose = {name: number for name, number in loose.items() if number}
    if loose:
        where = ", ".join(f"{number} in '{name}'" for name, number in loose.items())
        raise Ani3DError(
            "shot.unweighted_vertices",
            f"Vertices without bone weights: {where}.",
            "Paint weights for them, or use Parent > With Automatic Weights.",
        )


def group_weights(item: bpy.types.Object) -> dict[str, np.ndarray]:
    """Weights (V,) of each of our own vertex groups (`ani3d_*`) of `item`, 0 outside the group."""
    names = {group.index: group.name for group in item.vertex_groups if group.name.startswith("ani3d_")}
    result = {name: np.zeros(len(item.data.vertices), np.float32) for name in names.values()}
    for vertex in item.data.vertices:
        for member in vertex.groups:
            if member.group in names:
                result[names[member.group]][vertex.index] = member.weight
    return result


def _joined_weights(weights: Sequence[list[list[tuple[int, float]]]]) -> tuple[np.ndarray, np.ndarray]:
    rows = [pairs for per_object in weights for pairs in per_object]
    most = max(len(pairs) for pairs in rows)
    indices, values = np.zeros((len(rows), most), np.int32), np.zeros((len(rows), most), np.float64)
    for row, pairs in enumerate(rows):
        for column, (bone, weight) in enumerate(pairs):
            indices[row, column], values[row, column] = bone, weight
    return indices, values / values.sum(axis=1, keepdims=True)


def _pin_weights(objects: Sequence[bpy.types.Object], influences: Sequence[dict[str, np.ndarray]]) -> np.ndarray | None:
    """(V,) of the group `ani3d_pin`, -1 on meshes without it; None when no mesh has it."""
    if not any(PIN_GROUP in groups for groups in influences):
        return None
    return np.concatenate(
        [
            groups.get(PIN_GROUP, np.full(len(item.data.vertices), -1.0, np.float32))
            for item, groups in zip(objects, influences, strict=True)
        ]
    )


def _offsets(
    objects: Sequence[bpy.types.Object], armature: bpy.types.Object, depsgraph: bpy.types.Depsgraph
) -> np.ndarray:
    """(O,4,4) transforms of the objects in the space of the evaluated armature."""
    to_armature = np.linalg.inv(np.array(armature.matrix_world, np.float64))
    return np.stack([to_armature @ np.array(o.evaluated_get(depsgraph).matrix_world, np.float64) for o in objects])


def _coordinates(points: bpy.types.bpy_prop_collection) -> np.ndarray:
    values = np.empty(len(points) * 3, np.float32)
    points.foreach_get("co", values)
    return values.reshape(-1, 3).astype(np.float64)


def _rest_vertices(item: bpy.types.Object, warn: Callable[[str], None]) -> np.ndarray:
    """Undeformed vertices (V,3) in object space, shape keys mixed by their present values."""
    keys = item.data.shape_keys
    if keys is None:
        return _coordinates(item.data.vertices)
    if not keys.use_relative:
        warn(f"The absolute shape keys of '{item.name}' are left out.")
        return _coordinates(keys.reference_key.data)
    vertices = _coordinates(keys.reference_key.data)
    for block in keys.key_blocks:
        if block == keys.reference_key or block.mute or block.value == 0:
            continue
        change = block.value * (_coordinates(block.data) - _coordinates(block.relative_key.data))
        if block.vertex_group and block.vertex_group in item.vertex_groups:
            change *= _weights_of(item, block.vertex_group)[:, None]
        vertices += change
    if keys.animation_data and (keys.animation_data.action or keys.animation_data.drivers):
        warn(f"The shape keys of '{item.name}' are exported as they are at the first frame; their motion is left out.")
    return vertices


def _weights_of(item: bpy.types.Object, name: str) -> np.ndarray:
    index, weights = item.vertex_groups[name].index, np.zeros(len(item.data.vertices))
    for vertex in item.data.vertices:
        for member in vertex.groups:
            if member.group == index:
                weights[vertex.index] = member.weight
    return weights


def _triangles(item: bpy.types.Object, flipped: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Triangles as vertices (F,3), as face corners (F,3), and material slots (F,).

    A mirrored object (negative scale) has its faces turned, so that they still face outwards in world space.
    """
    mesh = item.data
    mesh.calc_loop_triangles()
    count = len(mesh.loop_triangles)
    vertices, corners = np.empty(count * 3, np.int32), np.empty(count * 3, np.int32)
    slots = np.empty(count, np.int32)
    mesh.loop_triangles.foreach_get("vertices", vertices)
    mesh.loop_triangles.foreach_get("loops", corners)
    mesh.loop_triangles.foreach_get("material_index", slots)
    order = [0, 2, 1] if flipped else [0, 1, 2]
    return vertices.reshape(-1, 3)[:, order], corners.reshape(-1, 3)[:, order], slots
