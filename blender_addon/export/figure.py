# SPDX-License-Identifier: GPL-3.0-or-later
"""All of a character at rest, joined into one: geometry, skeleton, skin weights, regions, pins and surfaces."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import bpy
import numpy as np

from ani3d_formats.errors import Ani3DError
from ani3d_formats.pins import PIN_GROUP
from ani3d_formats.regions import is_loose

from ..background import at_once, beside
from ..regions.guess import Piece
from ..regions.parts import slot_names
from ..sentence import said
from . import weights
from .cloth_settings import cloth_pins, outer_thickness, wishes_of
from .hair import POINTS
from .members import Member, Members
from .regions import Labelling
from .rest import RestMesh
from .skeleton import Rig, read_rig, unused


@dataclass(frozen=True)
class Figure:
    """A character at rest, in world space and metres.

    Attributes:
        rig: the skeleton.
        members: the objects, and `starts` (O+1,) where the vertices of each begin.
        preserve_volume: which objects blend dual quaternions.
        vertices: (V,3) float64; `faces` (F,3).
        weight_indices, weight_values: (V,K) rows of the skeleton and shares.
        labelling: what the regions are told from; `region_ids` (V,).
        pin_weights: (V,), -1 where nobody painted, or None.
    """

    rig: Rig
    members: tuple[Member, ...]
    starts: np.ndarray
    preserve_volume: tuple[bool, ...]
    vertices: np.ndarray
    faces: np.ndarray
    weight_indices: np.ndarray
    weight_values: np.ndarray
    labelling: Labelling
    region_ids: np.ndarray
    pin_weights: np.ndarray | None

    def rows(self, number: int) -> slice:
        """The vertices of an object."""
        return slice(int(self.starts[number]), int(self.starts[number + 1]))

    @property
    def height(self) -> float:
        """The largest extent of the character at rest, metres."""
        return float(np.ptp(self.vertices, axis=0).max())

    @property
    def names(self) -> list[str]:
        """A name for each object, none twice: an object that is instanced again is told by its instancer."""
        names: list[str] = []
        for member in self.members:
            known = member.name in names
            told = "/".join([o.name for o in member.instancers] + [member.name]) if known else member.name
            names.append(unused(told, names))
        return names

    def labelled(self, scene: bpy.types.Scene) -> Figure:
        """The same with the regions that the list of parts of `scene` has now."""
        return replace(self, region_ids=self.labelling.region_ids(scene))

    def entries(self, recorded: frozenset[int]) -> list[dict[str, Any]]:
        """The objects as a shot's metadata has them; those whose numbers are `recorded` are not skinned."""
        entries: list[dict[str, Any]] = []
        loose = [bool(is_loose(self.region_ids[self.rows(number)]).any()) for number in range(len(self.members))]
        body = [member.item for member, moves in zip(self.members, loose, strict=True) if not moves]
        around = max((outer_thickness(item) for item in body), default=0.0)
        for number, name in enumerate(self.names):
            rows = self.rows(number)
            entry = {"name": name, "vertex_start": rows.start, "vertex_count": rows.stop - rows.start}
            if number in recorded:
                entry["motion"] = "recorded"
            elif self.preserve_volume[number]:
                entry["preserve_volume"] = True
            if self.members[number].hair >= 0:
                entry["strands"] = POINTS
            entries.append(entry | wishes_of(self.members[number].item, around if loose[number] else 0.0))
        return entries


def read_figure(
    scene: bpy.types.Scene, found: Members, meshes: Sequence[RestMesh], depsgraph: bpy.types.Depsgraph
) -> Figure:
    """`figure_steps` all at once."""
    return at_once(figure_steps(scene, found, meshes, depsgraph))


def figure_steps(
    scene: bpy.types.Scene, found: Members, meshes: Sequence[RestMesh], depsgraph: bpy.types.Depsgraph
) -> Generator[None, None, Figure]:
    """Join the meshes of a character that is held at rest, a thousand vertices a step. `scene` lists its parts.

    Raises:
        Ani3DError: ``character.no_faces``.
    """
    if not meshes:
        names = ", ".join(f"'{item.name}'" for item in found.objects)
        raise Ani3DError(
            "character.no_faces",
            said("The meshes of the character have no faces: {names}.", names=names),
            "Bind a mesh with faces.",
        )
    rigs = [rig.item for rig in found.rigs]
    bones = read_rig(
        found.rigs, {rest.member.bone for rest in meshes}, {rig: rig.world(depsgraph) for rig in found.rigs}
    )
    pairs: list[weights.Pairs] = []
    for rest in meshes:
        deforming = weights.deforming_armature(rest.carrier, rigs)
        pairs.append((yield from weights.skin_weights(rest, bones.row_of(deforming) if deforming else {})))
        yield
    lacking = [number for number, each in enumerate(pairs) if (each.counts == 0).any()]  # vertices without bones
    own = [meshes[number] for number in lacking]
    sizes = [float(np.ptp(rest.vertices, axis=0).max()) for rest in own]
    rig = bones.with_objects([rest.member for rest in own], [rest.world for rest in own], sizes)
    for number in lacking:
        pairs[number] = pairs[number].filled(rig.object_row(meshes[number].member))
    indices, values = yield from beside(partial(weights.joined, pairs))
    starts = np.cumsum([0, *(len(rest.vertices) for rest in meshes)])
    groups: list[dict[str, np.ndarray]] = []
    for rest in meshes:
        groups.append((yield from weights.group_weights(rest)))
    modifiers = [weights.armature_modifier(rest.carrier, rigs) for rest in meshes]
    shares = zip(np.split(indices, starts[1:-1]), np.split(values, starts[1:-1]), strict=True)
    labelling = Labelling(
        [rest.item for rest in meshes],
        [_piece(rest, *own) for rest, own in zip(meshes, shares, strict=True)],
        rig.names,
        rig.parents,
        groups,
    )
    pins = yield from _pin_weights(meshes, groups)
    yield from beside(lambda: labelling.guesses)  # which are kept
    regions = labelling.region_ids(scene)
    yield
    return Figure(
        rig=rig,
        members=tuple(rest.member for rest in meshes),
        starts=starts,
        preserve_volume=tuple(bool(m and m.use_deform_preserve_volume) for m in modifiers),
        vertices=np.concatenate([rest.vertices for rest in meshes]),
        faces=np.concatenate([rest.triangles + start for rest, start in zip(meshes, starts, strict=False)]),
        weight_indices=indices,
        weight_values=values,
        labelling=labelling,
        region_ids=regions,
        pin_weights=pins,
    )


def _piece(rest: RestMesh, indices: np.ndarray, values: np.ndarray) -> Piece:
    simulated = any(modifier.type == "CLOTH" for modifier in rest.item.modifiers)
    names = slot_names(rest.item)
    return Piece(
        rest.member.name, names, rest.vertices, rest.triangles, rest.slots, indices, values, simulated,
        strands=rest.strands is not None,
    )  # fmt: skip


def _pin_weights(
    meshes: Sequence[RestMesh], groups: Sequence[dict[str, np.ndarray]]
) -> Generator[None, None, np.ndarray | None]:
    """(V,) of the group `ani3d_pin`, else of a Cloth modifier's; -1 on meshes without, None when no mesh has one.

    Strands are held at their roots, hair curves also where their points have an attribute of that name.
    """
    painted: list[np.ndarray | None] = []
    for rest, each in zip(meshes, groups, strict=True):
        if rest.strands:
            painted.append(rest.strands.pin_weights())
        else:
            painted.append(each[PIN_GROUP] if PIN_GROUP in each else (yield from cloth_pins(rest)))
    if all(each is None for each in painted):
        return None
    unpainted = (np.full(len(rest.vertices), -1.0, np.float32) for rest in meshes)
    return np.concatenate([none if each is None else each for each, none in zip(painted, unpainted, strict=True)])
