# SPDX-License-Identifier: GPL-3.0-or-later
"""Skin weights of the character at rest: which rows of the skeleton move a vertex, and how strongly.

Blender deforms a vertex by the sum of its bones' matrices, weighted and divided by the weights' total, or of their dual
quaternions where the Armature modifier preserves volume; bones that do not deform and groups that are no bones have no
part in it, and a vertex without weights stays with its object. Exported weights are those shares.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass

import bpy
import numpy as np
from mathutils.kdtree import KDTree

from .hair import Strands, nearest_vertices
from .members import is_used
from .rest import RestMesh

NO_WEIGHT = 1e-4  # Blender leaves a vertex alone whose weights add up to no more than this
VERTICES = 1024  # read in a step


@dataclass(frozen=True)
class Pairs:
    """(row, weight) pairs of vertices, in Blender's own order, which decides the signs of dual quaternions (Preserve
    Volume).

    Attributes:
        counts: (V,) how many pairs each vertex has.
        rows, weights: (N,) int64 and float64, of all vertices one behind the other.
    """

    counts: np.ndarray
    rows: np.ndarray
    weights: np.ndarray

    @classmethod
    def none(cls, vertices: int) -> Pairs:
        return cls(np.zeros(vertices, np.int64), np.empty(0, np.int64), np.empty(0))

    @classmethod
    def one_behind_the_other(cls, parts: Sequence[Pairs]) -> Pairs:
        return cls(*(np.concatenate([getattr(each, name) for each in parts]) for name in ("counts", "rows", "weights")))

    def of(self, vertices: np.ndarray) -> Pairs:
        """Those of `vertices` (M,), as often as they are named."""
        counts = self.counts[vertices]
        first = (np.cumsum(self.counts) - self.counts)[vertices]
        chosen = np.repeat(first - np.cumsum(counts) + counts, counts) + np.arange(counts.sum())
        return Pairs(counts, self.rows[chosen], self.weights[chosen])

    def filled(self, row: int) -> Pairs:
        """The same, `row` holding each vertex that has no pair."""
        empty = self.counts == 0
        at = np.cumsum(self.counts)[empty]
        return Pairs(self.counts + empty, np.insert(self.rows, at, row), np.insert(self.weights, at, 1.0))


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
    """The (row, weight) pairs of each vertex as painted, read a thousand vertices a step; empty where no bone of
    `rows` holds it, all of a strand as at its root.

    Where modifiers made a mesh without any weights, as Remesh does, each vertex has those of the nearest painted one.
    """
    if rest.strands is not None:
        return (yield from _strand_weights(rest.strands, rows))
    row_of = {group.index: rows[group.name] for group in rest.item.vertex_groups if group.name in rows}
    pairs = yield from _pairs(rest.mesh, row_of)
    if len(pairs.rows) or not row_of or not isinstance(rest.item.data, bpy.types.Mesh):
        return pairs
    painted = yield from _pairs(rest.item.data, row_of)
    if not len(painted.rows):
        return pairs
    tree = KDTree(len(painted.counts))
    for vertex, count in zip(rest.item.data.vertices, painted.counts.tolist(), strict=True):
        if count:
            tree.insert(vertex.co[:], vertex.index)
    tree.balance()
    return painted.of(np.array([tree.find(vertex.co[:])[1] for vertex in rest.mesh.vertices], np.int64))


def _strand_weights(hair: Strands, rows: Mapping[str, int]) -> Generator[None, None, Pairs]:
    each = 2 * hair.points.shape[1]
    surface = hair.surface
    if surface is None or not isinstance(surface.data, bpy.types.Mesh) or not rows or not len(surface.data.vertices):
        return Pairs.none(each * len(hair.points))
    row_of = {group.index: rows[group.name] for group in surface.vertex_groups if group.name in rows}
    painted = yield from _pairs(surface.data, row_of)
    return painted.of(np.repeat(nearest_vertices(hair), each))


def _pairs(mesh: bpy.types.Mesh, row_of: Mapping[int, int]) -> Generator[None, None, Pairs]:
    count, parts = len(mesh.vertices), [Pairs.none(0)]
    for start in range(0, count, VERTICES):
        counts, pairs = list[int](), list[tuple[int, float]]()
        for number in range(start, min(start + VERTICES, count)):
            own = [(row_of[g.group], g.weight) for g in mesh.vertices[number].groups if g.group in row_of]
            own = [pair for pair in own if pair[1] > 0]
            if sum(weight for _, weight in own) <= NO_WEIGHT:
                own = []
            counts.append(len(own))
            pairs += own
        rows, shares = np.array([row for row, _ in pairs], np.int64), np.array([share for _, share in pairs])
        parts.append(Pairs(np.array(counts, np.int64), rows, shares.astype(np.float64)))
        yield
    return Pairs.one_behind_the_other(parts)


def joined(weights: Sequence[Pairs]) -> tuple[np.ndarray, np.ndarray]:
    """Rows (V,K) int32 and shares (V,K) float64, which add up to 1, of all meshes; no vertex may be without."""
    pairs = Pairs.one_behind_the_other(weights)
    owners = np.repeat(np.arange(len(pairs.counts)), pairs.counts)
    columns = np.arange(len(owners)) - np.repeat(np.cumsum(pairs.counts) - pairs.counts, pairs.counts)
    indices = np.zeros((len(pairs.counts), int(pairs.counts.max())), np.int32)
    values = np.zeros(indices.shape, np.float64)
    indices[owners, columns], values[owners, columns] = pairs.rows, pairs.weights
    return indices, values / values.sum(axis=1, keepdims=True)


def group_weights(rest: RestMesh, names: Sequence[str] | None = None) -> Generator[None, None, dict[str, np.ndarray]]:
    """Weights (V,) float32 of vertex groups of a mesh, 0 outside: of `names`, or of our own (`ani3d_*`); read in
    steps."""
    wanted = {
        group.index: group.name
        for group in rest.item.vertex_groups
        if (group.name.startswith("ani3d_") if names is None else group.name in names)
    }
    result = {name: np.zeros(len(rest.mesh.vertices), np.float32) for name in wanted.values()}
    if wanted:
        for number, vertex in enumerate(rest.mesh.vertices, start=1):
            if number % VERTICES == 0:
                yield
            for member in vertex.groups:
                if member.group in wanted and member.weight > 0:  # a weight may be no number
                    result[wanted[member.group]][vertex.index] = member.weight
    return result
