"""Bodies for the built characters: skeletons from tables, meshes grown around them, clothes and motion. In Blender."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

import bpy
import numpy as np
from mathutils import Matrix, Vector
from mathutils.kdtree import KDTree

FRAMES = 20
Bones = Mapping[str, tuple[Sequence[float], Sequence[float], str]]  # name -> head, tail, parent's name or ""

# A human of 1.75 m in A-pose, facing -Y; sides are mirrored from the left ones (+X).
_MIDDLE: Bones = {
    "hips": ((0, 0, 0.96), (0, 0, 1.06), ""),
    "spine": ((0, 0, 1.06), (0, 0, 1.2), "hips"),
    "chest": ((0, 0, 1.2), (0, 0, 1.42), "spine"),
    "neck": ((0, 0, 1.42), (0, -0.01, 1.5), "chest"),
    "head": ((0, -0.01, 1.5), (0, -0.01, 1.72), "neck"),
}
_LEFT: Bones = {
    "shoulder.L": ((0.03, 0, 1.4), (0.16, 0, 1.4), "chest"),
    "upper_arm.L": ((0.16, 0, 1.4), (0.36, 0, 1.22), "shoulder.L"),
    "forearm.L": ((0.36, 0, 1.22), (0.54, -0.03, 1.04), "upper_arm.L"),
    "hand.L": ((0.54, -0.03, 1.04), (0.62, -0.05, 0.95), "forearm.L"),
    "thigh.L": ((0.1, 0, 0.94), (0.11, -0.01, 0.5), "hips"),
    "shin.L": ((0.11, -0.01, 0.5), (0.11, 0.02, 0.09), "thigh.L"),
    "foot.L": ((0.11, 0.02, 0.09), (0.11, -0.12, 0.03), "shin.L"),
}
_RADII = {
    "hips": 0.13, "spine": 0.11, "chest": 0.12, "neck": 0.05, "head": 0.1, "shoulder": 0.07, "upper_arm": 0.05,
    "forearm": 0.04, "hand": 0.03, "thigh": 0.085, "shin": 0.055, "foot": 0.045,
}  # fmt: skip


def _mirrored(left: Bones) -> Bones:
    def other(name: str) -> str:
        return name.replace(".L", ".R")

    def across(point: Sequence[float]) -> tuple[float, ...]:
        return (-point[0], *point[1:])

    return {other(n): (across(head), across(tail), other(parent)) for n, (head, tail, parent) in left.items()}


HUMAN: Bones = {**_MIDDLE, **_LEFT, **_mirrored(_LEFT)}
_LEG: Bones = {
    "front_upper.L": ((0.09, -0.3, 0.5), (0.09, -0.28, 0.28), "chest"),
    "front_lower.L": ((0.09, -0.28, 0.28), (0.09, -0.3, 0.02), "front_upper.L"),
    "hind_upper.L": ((0.09, 0.3, 0.52), (0.09, 0.26, 0.28), "hips"),
    "hind_lower.L": ((0.09, 0.26, 0.28), (0.09, 0.32, 0.02), "hind_upper.L"),
}
DOG: Bones = {
    "hips": ((0, 0.32, 0.55), (0, 0.1, 0.57), ""),
    "chest": ((0, 0.1, 0.57), (0, -0.3, 0.6), "hips"),
    "neck": ((0, -0.3, 0.6), (0, -0.42, 0.75), "chest"),
    "head": ((0, -0.42, 0.75), (0, -0.62, 0.74), "neck"),
    "tail": ((0, 0.34, 0.56), (0, 0.62, 0.72), "hips"),
    **_LEG,
    **_mirrored(_LEG),
}


def renamed(bones: Bones, names: Mapping[str, str]) -> Bones:
    """The same bones by other names; those that `names` lacks keep theirs."""
    new = {name: names.get(name, name) for name in bones} | {"": ""}
    return {new[name]: (head, tail, new[parent]) for name, (head, tail, parent) in bones.items()}


def centaur() -> Bones:
    """The upper half of a human on a dog twice as large."""
    legs = {n: bone for n, bone in DOG.items() if n not in ("neck", "head")}
    lower: dict[str, Any] = {n: (np.multiply(h, 2), np.multiply(t, 2), p) for n, (h, t, p) in legs.items()}
    upper = {n: v for n, v in HUMAN.items() if not n.startswith(("hips", "thigh", "shin", "foot"))}
    up = np.array((0, -0.62, 0.2))
    names = {"chest": "upper_chest"}
    for name, (head, tail, parent) in upper.items():
        root = "chest" if parent == "hips" else names.get(parent, parent)
        lower[names.get(name, name)] = (np.add(head, up), np.add(tail, up), root)
    return lower


def armature(name: str, bones: Bones) -> bpy.types.Object:
    """An armature object of these bones in the scene."""
    rig = bpy.data.objects.new(name, bpy.data.armatures.new(name))
    bpy.context.scene.collection.objects.link(rig)
    bpy.context.view_layer.objects.active = rig
    bpy.ops.object.mode_set(mode="EDIT")
    for bone, (head, tail, parent) in bones.items():
        edit = rig.data.edit_bones.new(bone)
        edit.head, edit.tail = head, tail
        if parent:
            edit.parent = rig.data.edit_bones[parent]
    bpy.ops.object.mode_set(mode="OBJECT")
    return rig


def grown(name: str, bones: Bones, size: float = 1.0) -> bpy.types.Object:
    """A body around the bones: one rounded piece a limb, joined and remeshed into one closed skin."""
    bpy.ops.object.select_all(action="DESELECT")
    parts = []
    for bone, (head, tail, _) in bones.items():
        start, end = Vector(head), Vector(tail)
        radius = size * _RADII.get(bone.split(".")[0], 0.06)
        for share in np.linspace(0, 1, max(2, int((end - start).length / radius) + 1)):
            bpy.ops.mesh.primitive_ico_sphere_add(subdivisions=2, radius=radius, location=start.lerp(end, share))
            parts.append(bpy.context.object)
    for part in parts:
        part.select_set(True)
    bpy.context.view_layer.objects.active = parts[0]
    bpy.ops.object.join()
    body = bpy.context.object
    body.name = body.data.name = name
    body.data.transform(body.matrix_world)
    body.matrix_world = Matrix.Identity(4)
    remesh = cast(bpy.types.RemeshModifier, body.modifiers.new("Remesh", "REMESH"))
    remesh.mode, remesh.voxel_size, remesh.use_smooth_shade = "VOXEL", 0.022 * size, True
    bpy.ops.object.modifier_apply(modifier=remesh.name)
    smooth = cast(bpy.types.SmoothModifier, body.modifiers.new("Smooth", "SMOOTH"))
    smooth.iterations = 4
    bpy.ops.object.modifier_apply(modifier=smooth.name)
    for polygon in body.data.polygons:
        polygon.use_smooth = True
    paint(body, "Skin", (0.62, 0.36, 0.25))
    return body


def bind(body: bpy.types.Object, rig: bpy.types.Object) -> None:
    """Parent With Automatic Weights."""
    bpy.ops.object.select_all(action="DESELECT")
    body.select_set(True)
    rig.select_set(True)
    bpy.context.view_layer.objects.active = rig
    bpy.ops.object.parent_set(type="ARMATURE_AUTO")


def follow(item: bpy.types.Object, body: bpy.types.Object, rig: bpy.types.Object) -> None:
    """Give `item` the weights of the nearest vertices of `body`, and its armature."""
    tree = KDTree(len(body.data.vertices))
    for vertex in body.data.vertices:
        tree.insert((body.matrix_world @ vertex.co)[:], vertex.index)
    tree.balance()
    groups = [item.vertex_groups.new(name=group.name) for group in body.vertex_groups]
    for vertex in item.data.vertices:
        source = body.data.vertices[tree.find((item.matrix_world @ vertex.co)[:])[1]]
        for member in source.groups:
            groups[member.group].add([vertex.index], member.weight, "REPLACE")
    item.parent = rig
    cast(bpy.types.ArmatureModifier, item.modifiers.new("Armature", "ARMATURE")).object = rig


def mesh(name: str, points: Iterable[Sequence[float]], faces: Sequence[Sequence[int]]) -> bpy.types.Object:
    """A smooth mesh object in the scene."""
    data = bpy.data.meshes.new(name)
    data.from_pydata([tuple(map(float, p)) for p in points], [], [tuple(map(int, f)) for f in faces])
    data.polygons.foreach_set("use_smooth", [True] * len(data.polygons))
    item = bpy.data.objects.new(name, data)
    bpy.context.scene.collection.objects.link(item)
    return item


def dress(low: float = 0.52, high: float = 1.1, waist: float = 0.145, hem: float = 0.34) -> bpy.types.Object:
    """A skirt around the waist of the human; its faces are named by their material."""
    rings, around = 22, 48
    angles = np.linspace(0, 2 * np.pi, around, endpoint=False)
    points = [
        (
            (hem + (waist - hem) * u**0.7) * np.cos(a),
            0.9 * (hem + (waist - hem) * u**0.7) * np.sin(a),
            low + u * (high - low),
        )
        for u in np.linspace(0, 1, rings)
        for a in angles
    ]
    faces = [
        (r * around + i, r * around + (i + 1) % around, (r + 1) * around + (i + 1) % around, (r + 1) * around + i)
        for r in range(rings - 1)
        for i in range(around)
    ]
    item = mesh("Skirt", points, faces)
    paint(item, "Skirt fabric", (0.06, 0.16, 0.45))
    return item


def paint(item: bpy.types.Object, name: str, color: Sequence[float]) -> None:
    """A plain Principled material."""
    material = bpy.data.materials.new(name)
    if material.node_tree is None:
        material.use_nodes = True
    shader: Any = next(n for n in material.node_tree.nodes if n.type == "BSDF_PRINCIPLED")
    shader.inputs["Base Color"].default_value = (*color, 1)
    shader.inputs["Roughness"].default_value = 0.6
    item.data.materials.clear()
    item.data.materials.append(material)


def wave(rig: bpy.types.Object, amounts: Mapping[str, Sequence[float]], root: str = "", stride: float = 0.0) -> None:
    """Keyed motion of `FRAMES` frames: bones turn by `amounts` (radians about their axes), the rig travels."""
    for number, (name, amount) in enumerate(amounts.items()):
        bone = rig.pose.bones[name]
        bone.rotation_mode = "XYZ"
        for frame in range(1, FRAMES + 1, 3):
            phase = 2 * np.pi * (frame - 1) / 16 + 0.7 * number
            bone.rotation_euler = np.multiply(amount, np.sin(phase)).tolist()
            bone.keyframe_insert("rotation_euler", frame=frame)
    for frame in (1, FRAMES) if stride else ():
        rig.location.y = -stride * (frame - 1) / (FRAMES - 1)
        rig.keyframe_insert("location", frame=frame)
