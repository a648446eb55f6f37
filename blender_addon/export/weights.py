# SPDX-License-Identifier: GPL-3.0-or-later
"""Skin weights of the character at rest: which rows of the skeleton move a vertex, and how strongly.

Blender deforms a vertex by the sum of its bones' matrices, weighted and divided by the weights' total, or of their dual
quaternions where the Armature modifier preserves volume; bones that do not deform and groups that are no bones have no
part in it, and a vertex without weights stays with its object. Exported weights are those shares.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence

import bpy
import numpy as np
from mathutils.kdtree import KDTree

from .hair import Strands, nearest_vertices
from .members import is_used
from .rest import RestMesh

NO_WEIGHT = 1e-4  # Blender leaves a vertex alone whose weights add up to no more than this
VERTICES = 8192  # read in a step
Pairs = list[list[tuple[int, float]]]
"""Per vertex (row, weight), in Blender's own order, which decides the signs of dual quaternions (Preserve Volume)."""


def deforming_armature(item: bpy.types.Object, rigs: Sequence[bpy.types.Object]) -> bpy.types.Object | None:
    """The armature among `rigs` that deforms `item`, the first of several; None where none does."""
    if (modifier := armature_modifier(item, rigs)) is not None:
        return modifier.object
    return item.parent if item.parent_type == "ARMATURE" and item.parent in rigs else None


def armature_modifier(item: bpy.types.Object, rigs: Sequence[bpy.types.Object]) -> bpy.types.ArmatureModifier | None:
    """The first modifier by which one of `rigs` deforms `item`."""
    for modifier in item.modifiers:
        if isinstance(modifier, bpy.types.ArmatureModifier) and modifier.object in rigs and is_used(modifier):
            return modifier
    return None


def skin_weights(rest: RestMesh, rows: Mapping[str, int]) -> Generator[None, None, Pairs]:
    """The (row, weight) pairs of each vertex as painted, read some thousand vertices a step; empty where no bone of
    `rows` holds it, all of a strand as at its root.

    Where modifiers made a mesh without any weights, as Remesh does, each vertex has those of the nearest painted one.
    """
    if rest.strands is not None:
        return (yield from _strand_weights(rest.strands, rows))
    row_of = {group.index: rows[group.name] for group in rest.item.vertex_groups if group.name in rows}
    pairs = yield from _pairs(rest.mesh, row_of)
    if any(pairs) or not row_of or not isinstance(rest.item.data, bpy.types.Mesh):
        return pairs
    painted = yield from _pairs(rest.item.data, row_of)
    tree = KDTree(len(painted))
    for vertex, each in zip(rest.item.data.vertices, painted, strict=True):
        if each:
            tree.insert(vertex.co[:], vertex.index)
    tree.balance()
    nearest = [tree.find(vertex.co[:])[1] for vertex in rest.mesh.vertices] if any(painted) else []
    return [painted[index] for index in nearest] or pairs


def _strand_weights(hair: Strands, rows: Mapping[str, int]) -> Generator[None, None, Pairs]:
    each = 2 * hair.points.shape[1]
    surface = hair.surface
    if surface is None or not isinstance(surface.data, bpy.types.Mesh) or not rows or not len(surface.data.vertices):
        return [[] for _ in range(each * len(hair.points))]
    row_of = {group.index: rows[group.name] for group in surface.vertex_groups if group.name in rows}
    painted = yield from _pairs(surface.data, row_of)
    return [painted[vertex] for vertex in nearest_vertices(hair).tolist() for _ in range(each)]


def _pairs(mesh: bpy.types.Mesh, row_of: Mapping[int, int]) -> Generator[None, None, Pairs]:
    result: Pairs = []
    for number, vertex in enumerate(mesh.vertices, start=1):
        pairs = [(row_of[g.group], g.weight) for g in vertex.groups if g.group in row_of and g.weight > 0]
        result.append(pairs if sum(weight for _, weight in pairs) > NO_WEIGHT else [])
        if number % VERTICES == 0:
            yield
    return result


def joined(weights: Sequence[Pairs]) -> tuple[np.ndarray, np.ndarray]:
    """Rows (V,K) int32 and shares (V,K) float64, which add up to 1, of all meshes; no vertex may be without."""
    pairs = [each for mesh in weights for each in mesh]
    most = max(len(each) for each in pairs)
    indices, values = np.zeros((len(pairs), most), np.int32), np.zeros((len(pairs), most), np.float64)
    for vertex, each in enumerate(pairs):
        for column, (row, weight) in enumerate(each):
            indices[vertex, column], values[vertex, column] = row, weight
    return indices, values / values.sum(axis=1, keepdims=True)


def group_weights(rest: RestMesh, names: Sequence[str] | None = None) -> dict[str, np.ndarray]:
    """Weights (V,) float32 of vertex groups of a mesh, 0 outside: of `names`, or of our own (`ani3d_*`)."""
    wanted = {
        group.index: group.name
        for group in rest.item.vertex_groups
        if (group.name.startswith("ani3d_") if names is None else group.name in names)
    }
    result = {name: np.zeros(len(rest.mesh.vertices), np.float32) for name in wanted.values()}
    if wanted:
        for vertex in rest.mesh.vertices:
            for member in vertex.groups:
                if member.group in wanted and member.weight > 0:  # a weight may be no number
                    result[wanted[member.group]][vertex.index] = member.weight
    return result
