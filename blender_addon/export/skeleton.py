# SPDX-License-Identifier: GPL-3.0-or-later
"""The rows of a shot's skeleton: the deforming bones, then objects that move as a whole; at rest and at a frame.

Helper bones of a rig are left out; a bone's parent is its nearest ancestor that has a row. Matrices may stretch and
shear.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property

import bpy
import numpy as np

from ..sentence import said
from .members import FARTHEST_PLACE, Member, no_place

OBJECT = "object:"  # begins the name of a row that is an object


@dataclass(frozen=True)
class Rig:
    """Rows of the skeleton.

    Attributes:
        names, parents: of each row; parent -1 for a root.
        rest: (B,4,4) float64 world matrices at rest, and `lengths` (B,) in metres.
        bones: the armature and the bone's name of each of the first rows; `objects` are those of the others.
    """

    names: tuple[str, ...]
    parents: tuple[int, ...]
    rest: np.ndarray
    lengths: np.ndarray
    bones: tuple[tuple[Member, str], ...]
    objects: tuple[Member, ...]

    def row_of(self, armature: bpy.types.Object) -> dict[str, int]:
        """The rows of the deforming bones of `armature` by name."""
        return {
            bone: row
            for row, (rig, bone) in enumerate(self.bones)
            if rig.item == armature and armature.data.bones[bone].use_deform
        }

    def object_row(self, member: Member) -> int:
        """The row of an object."""
        return len(self.bones) + self.objects.index(member)

    def with_objects(self, objects: Sequence[Member], places: Sequence[np.ndarray], sizes: Sequence[float]) -> Rig:
        """The same skeleton with a row for each of `objects`: `places` (4,4) at rest, `sizes` in metres."""
        main = self.bones[0][0] if self.bones else None
        rows = {bone: row for row, (rig, bone) in enumerate(self.bones) if rig is main}
        names = list(self.names)
        for member in objects:
            names.append(unused(OBJECT + member.name, names))
        return Rig(
            names=tuple(names),
            parents=(*self.parents, *(rows.get(member.bone, -1) for member in objects)),
            rest=np.concatenate([self.rest, *(place[None] for place in places)]),
            lengths=np.concatenate([self.lengths, sizes]),
            bones=self.bones,
            objects=tuple(objects),
        )

    def pose(self, depsgraph: bpy.types.Depsgraph) -> np.ndarray:
        """World matrices (B,4,4) as evaluated now, float64.

        Raises:
            Ani3DError: ``character.not_finite`` where a bone has no place in the world.
        """
        matrices = np.empty((len(self.names), 4, 4))
        for rig, (rows, numbers) in self._numbers.items():
            bones = rig.item.evaluated_get(depsgraph).pose.bones
            values = np.empty(16 * len(bones), np.float32)
            bones.foreach_get("matrix", values)  # column by column
            local = values.reshape(-1, 4, 4).transpose(0, 2, 1)[numbers]
            matrices[rows] = rig.world(depsgraph) @ local.astype(np.float64)
        for row, member in enumerate(self.objects, start=len(self.bones)):
            matrices[row] = member.world(depsgraph)
        if not np.abs(matrices).max(initial=0.0) < FARTHEST_PLACE:  # or no number
            lost = ~(np.abs(matrices) < FARTHEST_PLACE).all(axis=(1, 2))
            raise no_place(said("The bone '{name}' has", name=self.names[int(np.argmax(lost))]), depsgraph.scene)
        return matrices

    @cached_property
    def _numbers(self) -> dict[Member, tuple[np.ndarray, np.ndarray]]:
        """By armature its rows, and which of its pose's bones each of them is."""
        found = {}
        for rig in dict.fromkeys(rig for rig, _ in self.bones):
            places = {bone.name: number for number, bone in enumerate(rig.item.pose.bones)}
            rows = [(row, places[bone]) for row, (other, bone) in enumerate(self.bones) if other is rig]
            found[rig] = tuple(np.array(rows).T)
        return found


def read_rig(rigs: Sequence[Member], carrying: Set[str], places: Mapping[Member, np.ndarray]) -> Rig:
    """The bones of a character, without objects.

    Args:
        rigs: its armatures, the chosen one first.
        carrying: bones of the first one that get a row although they deform nothing, since objects hang on them.
        places: (4,4) world matrices of the armatures at rest.
    """
    names: list[str] = []
    parents: list[int] = []
    rest, lengths, bones = [], [], []
    for rig in rigs:
        first = rig is rigs[0]
        rows: dict[str, int] = {}
        for bone in rig.item.data.bones:  # parents before children
            if bone.use_deform or (first and bone.name in carrying):
                parent = next((rows[each.name] for each in bone.parent_recursive if each.name in rows), -1)
                rows[bone.name] = len(names)
                names.append(unused(bone.name if first else f"{rig.item.name}:{bone.name}", names))
                parents.append(parent)
                rest.append(places[rig] @ np.array(bone.matrix_local, np.float64))
                vector = np.array(bone.tail_local - bone.head_local, np.float64)
                lengths.append(float(np.linalg.norm(places[rig][:3, :3] @ vector)))
                bones.append((rig, bone.name))
    matrices = np.array(rest, np.float64).reshape(-1, 4, 4)
    return Rig(tuple(names), tuple(parents), matrices, np.array(lengths, np.float64), tuple(bones), ())


def unused(name: str, names: Sequence[str]) -> str:
    """`name`, with a number where it is taken."""
    number, free = 1, name
    while free in names:
        number += 1
        free = f"{name} {number}"
    return free
