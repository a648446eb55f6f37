# SPDX-License-Identifier: GPL-3.0-or-later
"""A character at rest: each object's mesh as Blender shows it with all bones in rest position, after its modifiers.

Vertex groups go through modifiers with the vertices, so mirrored, subdivided and thickened meshes keep their weights.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, cast

import bpy
import numpy as np

from ani3d_formats.errors import Ani3DError

from ..background import beside
from ..sentence import said
from .hair import Strands, read_strands, ribbon_mesh
from .members import Member, Members, repeats
from .modifiers import switched_off
from .roots import find_roots
from .triangles import Faces

WHY_NO_INSTANCES = {  # by whether they are particles
    False: "its Geometry Nodes do not make them part of the mesh; end them with a Realize Instances node",
    True: "objects that particles show are no part of the mesh; Make Instances Real makes objects of them",
}
FARTHEST = 1e6  # times the median distance of a mesh's vertices from its origin
SIMULATED = frozenset(("CLOTH", "SOFT_BODY", "FLUID", "EXPLODE", "DYNAMIC_PAINT"))  # they have no state at rest


@dataclass(frozen=True)
class RestMesh:
    """One object at rest.

    Attributes:
        member: the object.
        mesh: its evaluated mesh, a temporary data block of this file in object space.
        world: (4,4) float64 object to world at rest.
        vertices: (V,3) float64, world metres.
        triangles, corners: (F,3) vertices and face corners; faces of mirrored objects are turned outwards.
        slots: (F,) material slots.
        strands: the hair that it is made of, as ribbons; None for a mesh.
    """

    member: Member
    mesh: bpy.types.Mesh
    world: np.ndarray
    vertices: np.ndarray
    triangles: np.ndarray
    corners: np.ndarray
    slots: np.ndarray
    strands: Strands | None = None

    @property
    def item(self) -> bpy.types.Object:
        return self.member.item

    @property
    def carrier(self) -> bpy.types.Object:
        """The object whose weights move it: what its strands grow on, where that deforms them, else itself."""
        if self.member.roots is not None:
            return self.member.roots.surface.item
        return self.strands.surface if self.strands and self.strands.surface and self.strands.follows else self.item


_held: set[int] = set()  # session_uid of the armatures' data that are held at rest by us


def is_held(armature: bpy.types.Object) -> bool:
    """Whether work on its character holds the armature in rest position just now."""
    return armature.data.session_uid in _held


@contextmanager
def at_rest(found: Members, view_layer: bpy.types.ViewLayer) -> Iterator[None]:
    """Hold the character's armatures in rest position meanwhile, with its simulations off."""
    datas = {rig.item.data for rig in found.rigs}
    held = {data.session_uid for data in datas}
    before = {data: data.pose_position for data in datas}
    rigs = {rig.item for rig in found.rigs}
    off = [
        modifier
        for item in found.objects
        for modifier in item.modifiers
        if modifier.show_viewport
        and (modifier.type in SIMULATED or (modifier.type == "ARMATURE" and getattr(modifier, "object", None) in rigs))
    ]
    with switched_off(off):
        _held.update(held)
        try:
            for data in datas:
                data.pose_position = "REST"
            view_layer.update()
            yield
        finally:
            _held.difference_update(held)
            for data, position in before.items():
                with suppress(ReferenceError):  # deleted meanwhile
                    data.pose_position = position
            view_layer.update()


@contextmanager
def rest_meshes(found: Members, depsgraph: bpy.types.Depsgraph) -> Iterator[Generator[None, None, list[RestMesh]]]:
    """Steps to the meshes of a character as evaluated now, those with faces; these are removed again afterwards. Call
    it inside `at_rest`.

    What has no faces is added to what is left out of `found`.
    """
    with ExitStack() as stack:
        yield _rest_meshes(found, depsgraph, stack)


def _rest_meshes(
    found: Members, depsgraph: bpy.types.Depsgraph, stack: ExitStack
) -> Generator[None, None, list[RestMesh]]:
    meshes = []
    for member in found.shapes:
        mesh = new_mesh(member.item, depsgraph)
        if mesh is not None:
            stack.callback(bpy.data.meshes.remove, mesh)
        yield
        hair = list(_read_hair(member, depsgraph)) if found.with_hair else []
        if mesh is not None and len(mesh.polygons):
            if not hair or member.item.show_instancer_for_render:
                meshes.append((yield from _read(member, mesh, member.world(depsgraph))))
        elif member.item.type != "META" and not hair:  # all metaballs of a family are in the mesh of the first
            found.left_out.append((member.name, "it has no faces"))
        for rest in hair:
            stack.callback(bpy.data.meshes.remove, rest.mesh)
        meshes += hair
        yield
    found.left_out += instanced(found, depsgraph)
    return meshes


def instanced(found: Members, depsgraph: bpy.types.Depsgraph) -> list[tuple[str, str]]:
    """What is put on a character's objects as instances, which are no part of their meshes, and why not."""
    instances = (each for each in depsgraph.object_instances if each.is_instance and each.object.type == "MESH")
    owners = {
        (each.parent.original, bool(each.particle_system))
        for each in instances
        if each.parent and not (each.parent.type != "MESH" and each.matrix_world == each.parent.matrix_world)
    }  # a text's own surface is an instance where it stands
    told = {(item.name, particles) for item, particles in owners if item in found.objects and not repeats(item)}
    return [(f"{name} ({'particles' if of else 'instances'})", WHY_NO_INSTANCES[of]) for name, of in sorted(told)]


def new_mesh(item: bpy.types.Object, depsgraph: bpy.types.Depsgraph) -> bpy.types.Mesh | None:
    """A new mesh data block of `item` as evaluated, with all its layers; None where it has no surface."""
    try:
        return bpy.data.meshes.new_from_object(
            item.evaluated_get(depsgraph), preserve_all_data_layers=True, depsgraph=depsgraph
        )
    except RuntimeError:  # "Object does not have geometry data", as of metaballs that another one shows
        return None


def _read(member: Member, mesh: bpy.types.Mesh, world: np.ndarray) -> Generator[None, None, RestMesh]:
    faces, slots = Faces.read(mesh), _slots(mesh)
    yield
    return (yield from beside(partial(_joined, member, mesh, world, faces, slots)))


def _joined(member: Member, mesh: bpy.types.Mesh, world: np.ndarray, faces: Faces, slots: np.ndarray) -> RestMesh:
    local = faces.points.astype(np.float64)
    distances = np.abs(local).max(axis=1)
    usual = distances[np.isfinite(distances) & (distances > 0)]  # many may be collapsed to the origin
    broken = ~(distances < FARTHEST * max(1e-6, float(np.median(usual)) if len(usual) else 0.0))
    if broken.any():
        raise Ani3DError(
            "character.not_finite",
            said(
                "Vertices of '{name}' ({count} of {total}) have no finite place at rest, or are a million times "
                "too far; one is vertex {vertex}.",
                name=member.name,
                count=broken.sum(),
                total=len(broken),
                vertex=np.argmax(broken),
            ),
            "Delete or move them, or repair the modifier or driver that puts them there.",
        )
    if not has_size(world):  # any place will do, as long as it can be inverted
        world = np.block([[np.eye(3), world[:3, 3:]], [np.zeros(3), 1]])
    corners, owners = faces.triangles()
    corners = corners[:, [0, 2, 1] if np.linalg.det(world[:3, :3]) < 0 else [0, 1, 2]]
    places = local @ world[:3, :3].T + world[:3, 3]
    return RestMesh(member, mesh, world, places, faces.corner_vertices[corners], corners, slots[owners])


def _read_hair(member: Member, depsgraph: bpy.types.Depsgraph) -> Iterator[RestMesh]:
    """The heads of hair of an object, as ribbons."""
    world = member.world(depsgraph)
    for number, hair in enumerate(read_strands(member.item, depsgraph)):
        local, faces = hair.ribbons(np.array(member.item.evaluated_get(depsgraph).matrix_world, np.float64))
        mesh = ribbon_mesh(hair, local, faces)
        corners = np.arange(faces.size, dtype=np.int32).reshape(-1, 3)
        slots = np.full(len(faces), hair.slot, np.int32)
        vertices = local @ world[:3, :3].T + world[:3, 3]
        grown = replace(member, hair=number, roots=find_roots(hair, member, depsgraph))
        yield RestMesh(grown, mesh, world, vertices, faces, corners, slots, hair)


def has_size(world: np.ndarray) -> bool:
    """Whether a matrix (4,4) can be inverted: no axis of it is scaled to zero."""
    stretch = np.linalg.svd(world[:3, :3], compute_uv=False)
    return bool(stretch[2] > 1e-6 * stretch[0] > 0)


def _slots(mesh: bpy.types.Mesh) -> np.ndarray:
    """(P,) material slots of the faces."""
    slots = np.zeros(len(mesh.polygons), np.int32)
    if "material_index" in mesh.attributes:
        cast(Any, mesh.attributes["material_index"]).data.foreach_get("value", slots)
    return slots
