# SPDX-License-Identifier: GPL-3.0-or-later
"""Which objects belong to a character: all that visibly moves with its armature, and why others are left out.

Members are found from the armature outwards: objects that an Armature modifier of it deforms, that are parented to it,
to one of its bones or to another member, that a constraint ties to one, or that a modifier makes follow one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

import bpy
import numpy as np

from ani3d_formats.errors import Ani3DError

from ..properties import object_group
from ..sentence import said
from .guides import guides
from .hair import is_thread

SHAPES = frozenset(("MESH", "CURVE", "SURFACE", "FONT", "META", "CURVES"))  # what has, or can become, a surface
UNSUPPORTED = {"POINTCLOUD": "a point cloud", "VOLUME": "a volume", "GREASEPENCIL": "Grease Pencil"}
TYING = frozenset(
    ("CHILD_OF", "COPY_TRANSFORMS", "COPY_LOCATION", "ARMATURE")
)  # constraints that carry an object along
# modifiers by which an object follows another one, and the property that names it
FOLLOWING = {
    "ARMATURE": "object", "SURFACE_DEFORM": "target", "MESH_DEFORM": "object", "LATTICE": "object", "HOOK": "object",
    "CURVE": "object",
}  # fmt: skip
NEAR, NEAR_SIZES = 50.0, 30.0  # metres, and sizes of the character: so far from the world's origin nothing is lost
FARTHEST_PLACE = 1e9  # metres; there Blender's numbers are 64 m apart


@dataclass(frozen=True)
class Member:
    """One object of a character.

    Attributes:
        item: the object.
        bone: name of the armature's bone that it hangs on, directly or through others; "" for none.
        instancers: the objects that instance the collections it lies in, outermost first.
        origin: world metres; places are relative to it, since numbers far from zero are coarse.
        hair: number of the head of hair of the object that this is, see `strands.read_strands`; -1: its mesh.
        roots: where its strands grow on a surface that should move them, and `carried`: that surface does, since
            Blender leaves them behind.
    """

    item: bpy.types.Object
    bone: str = ""
    instancers: tuple[bpy.types.Object, ...] = ()
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0)
    hair: int = -1
    roots: Roots | None = field(default=None, compare=False, repr=False)
    carried: bool = field(default=False, compare=False)

    @property
    def name(self) -> str:
        """The object's name, with a word for the hair that grows on it."""
        return f"{self.item.name} hair" if self.hair >= 0 and self.item.type == "MESH" else self.item.name

    def world(self, depsgraph: bpy.types.Depsgraph) -> np.ndarray:
        """(4,4) float64 object to world, as evaluated now, relative to `origin`.

        Raises:
            Ani3DError: ``character.not_finite`` where that is no place in the world.
        """
        matrix = np.array(self.item.evaluated_get(depsgraph).matrix_world, np.float64)
        for instancer in reversed(self.instancers):
            matrix[:3, 3] -= np.array(instancer.instance_collection.instance_offset, np.float64)
            matrix = np.array(instancer.evaluated_get(depsgraph).matrix_world, np.float64) @ matrix
        matrix[:3, 3] -= self.origin
        if not np.abs(matrix).max() < FARTHEST_PLACE:  # or no number
            raise no_place(said("'{name}' has", name=self.name), depsgraph.scene)
        return matrix


class Roots(Protocol):
    """Where strands grow: `roots.Roots`."""

    @property
    def surface(self) -> Member: ...

    @property
    def begins(self) -> np.ndarray: ...

    def carried(self, points: np.ndarray, depsgraph: bpy.types.Depsgraph) -> np.ndarray | None:
        """Strands (S,P,3) of their object's space where the surface has them now, world metres."""
        ...

    def where(self, depsgraph: bpy.types.Depsgraph) -> np.ndarray | None:
        """(S,3) where the surface has the roots now, world metres."""
        ...


@dataclass
class Members:
    """A character's objects with a surface, its armatures (the chosen one first), and what was left out and why.

    `with_hair`: particle hair and curves belong to it too.
    """

    armature: Member
    shapes: list[Member] = field(default_factory=list)
    rigs: list[Member] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)
    with_hair: bool = True

    @property
    def objects(self) -> list[bpy.types.Object]:
        """The objects of `shapes`."""
        return [member.item for member in self.shapes]


def find_members(armature: bpy.types.Object, view_layer: bpy.types.ViewLayer) -> Members:
    """The members of `armature`'s character among what `view_layer` shows, by name.

    An armature that is not in the view layer is looked for in the collections that objects of it instance. Places are
    relative to the world's origin, or to where the bones are now when that is far away.
    """
    view_layer.update()  # objects linked a moment ago are not listed before
    instancers, universe = _surroundings(armature, view_layer)
    origin = _origin(Member(armature, "", instancers), view_layer.depsgraph)
    found = Members(Member(armature, "", instancers, origin))
    found.rigs.append(found.armature)
    bones = {armature: ""}  # each member so far, and the bone of the chosen armature that it hangs on
    growing = True
    while growing:
        growing = False
        for item in universe:
            if item not in bones and (bone := _hangs_on(item, bones, armature)) is not None:
                bones[item] = bone
                growing = True
    replaced = {object_group(o).source for o in bpy.data.objects if object_group(o).kind != "NONE"}
    leading = guides(universe)
    for item in sorted(bones, key=lambda o: o.name):
        if item in leading and is_thread(item):
            found.left_out.append((item.name, "something else goes along it, and it has no thickness"))
        elif item != armature:
            _sort_in(found, Member(item, bones[item], instancers, origin), replaced)
    return found


def _origin(armature: Member, depsgraph: bpy.types.Depsgraph) -> tuple[float, float, float]:
    """What places are relative to, metres: the middle of the bones where that is far away, in powers of two."""
    world, evaluated = armature.world(depsgraph), armature.item.evaluated_get(depsgraph)
    heads = np.array([bone.head[:] for bone in evaluated.pose.bones] or [(0, 0, 0)], np.float64)
    heads = heads @ world[:3, :3].T + world[:3, 3]
    middle, size = heads.mean(0), max(float(np.ptp(heads, axis=0).max()), 1e-6)
    if not (np.abs(heads) < FARTHEST_PLACE).all() or np.linalg.norm(middle) <= min(NEAR, NEAR_SIZES * size):
        return (0.0, 0.0, 0.0)
    step = 2.0 ** np.floor(np.log2(size))
    x, y, z = (np.round(middle / step) * step).tolist()
    return (x, y, z)


def no_place(what: str, scene: bpy.types.Scene) -> Ani3DError:
    """The error for something that has no finite place now; `what` as "'Body' has"."""
    return Ani3DError(
        "character.not_finite",
        said(
            "{what} no finite place at frame {frame}, or one a million kilometres away.",
            what=what,
            frame=scene.frame_current,
        ),
        "A key, a driver or a simulation breaks there: repair it, or choose other frames.",
    )


def owner_of(item: bpy.types.Object) -> bpy.types.Object | None:
    """The armature whose character `item` is part of, by what deforms or carries it, or is in what it instances."""
    if item.type == "ARMATURE":
        return item
    if (armature := item.find_armature()) is not None:
        return armature
    if item.instance_type == "COLLECTION" and item.instance_collection is not None:
        inside = [o for _, collection in _instances([item]) for o in collection.all_objects]
        armatures = [o for o in inside if o.type == "ARMATURE"]
        return max(armatures, key=lambda a: sum(o.find_armature() == a for o in inside), default=None)
    return owner_of(item.parent) if item.parent is not None else None


def _surroundings(
    armature: bpy.types.Object, view_layer: bpy.types.ViewLayer
) -> tuple[tuple[bpy.types.Object, ...], list[bpy.types.Object]]:
    """The instancers around the armature, and the objects that may belong to its character."""
    if armature.name in view_layer.objects and view_layer.objects[armature.name] == armature:
        return (), list(view_layer.objects)
    for chain, collection in _instances(view_layer.objects):
        if armature in list(collection.all_objects):
            return chain, list(collection.all_objects)
    return (), [armature]


def _instances(
    objects: Iterable[bpy.types.Object], chain: tuple[bpy.types.Object, ...] = ()
) -> Iterator[tuple[tuple[bpy.types.Object, ...], bpy.types.Collection]]:
    """Every instanced collection among `objects`, and in those: the instancers, outermost first, and the collection."""
    for item in objects:
        if item.instance_type == "COLLECTION" and item.instance_collection is not None and item not in chain:
            inner = (*chain, item)
            yield inner, item.instance_collection
            yield from _instances(item.instance_collection.all_objects, inner)


def _hangs_on(item: bpy.types.Object, members: dict[bpy.types.Object, str], armature: bpy.types.Object) -> str | None:
    """The chosen armature's bone that `item` hangs on ("": on no single one), or None where it follows no member."""
    if object_group(item).kind != "NONE":  # parts of a result are no characters
        return None
    carrier: bpy.types.Object | None
    carrier, bone = item.parent, item.parent_bone if item.parent_type == "BONE" else ""
    if carrier not in members:
        carrier, bone = next(((o, b) for o, b in _ties(item) if o in members), (None, ""))
    if carrier is None:
        return None
    return bone if carrier == armature else members[carrier]


def _ties(item: bpy.types.Object) -> Iterator[tuple[bpy.types.Object | None, str]]:
    """What carries `item` besides its parent, by constraints, modifiers or as hair: objects, and bones of them."""
    for constraint in item.constraints:
        if constraint.type in TYING and not constraint.mute and constraint.influence > 0:
            for target in getattr(constraint, "targets", None) or [constraint]:
                yield getattr(target, "target", None), getattr(target, "subtarget", "")
    for modifier in item.modifiers:
        if modifier.type in FOLLOWING and is_used(modifier):
            yield getattr(modifier, FOLLOWING[modifier.type]), ""
    if item.type == "CURVES":
        yield cast(Any, item.data).surface, ""


def is_used(modifier: bpy.types.Modifier) -> bool:
    """Whether a modifier takes part in what is exported: where it is shown, in the viewport or in renders alone."""
    return modifier.show_viewport or (modifier.type == "ARMATURE" and modifier.show_render)


def repeats(item: bpy.types.Object) -> bool:
    """Whether an object shows its children at each of its vertices or faces, instead of where they are."""
    return item.type == "MESH" and item.instance_type in ("VERTS", "FACES")


def _sort_in(found: Members, member: Member, replaced: set[bpy.types.Object]) -> None:
    """Put a member where it belongs: among the shapes, the rigs, or what is left out."""
    item = member.item
    if item.type == "ARMATURE":
        found.rigs.append(member)
    elif item.type in UNSUPPORTED:
        found.left_out.append((member.name, said("it is {kind}", kind=said(UNSUPPORTED[item.type]))))
    elif item.type in SHAPES and item.hide_render and item not in replaced:
        found.left_out.append((member.name, "it is hidden in renders"))
    elif repeats(item) and not item.show_instancer_for_render:
        found.left_out.append((member.name, "it is not rendered itself, it repeats its children"))
    elif item.parent is not None and repeats(item.parent):
        why = said(
            "'{name}' repeats it at its vertices or faces; Make Instances Real makes objects of it",
            name=item.parent.name,
        )
        found.left_out.append((member.name, why))
    elif item.type in SHAPES:
        found.shapes.append(member)
    elif item.instance_type == "COLLECTION" and item.instance_collection is not None:
        for chain, collection in _instances([item]):
            inside = [
                Member(o, member.bone, (*member.instancers, *chain), member.origin) for o in collection.all_objects
            ]
            found.shapes += [m for m in inside if m.item.type in SHAPES and not m.item.hide_render]
