"""Sequences of the hard set as Blender scenes: python -m benchmarks.cloth.scene SHOT.npz OUT.blend, in Blender.

The armature is keyed in every frame, meshes follow it, what the shot pins is in the vertex group `ani3d_pin`, and
colliders have Blender's Collision physics. How far Blender's meshes are from the shot's is said.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import cast

import bpy
import numpy as np
from mathutils import Matrix

from ani3d_formats.regions import is_loose
from ani3d_formats.shot import Shot
from ani3d_formats.skinning import skin


def build(shot: Shot) -> list[bpy.types.Object]:
    """Fill the empty scene; returns the meshes in the order of the shot's objects."""
    scene = bpy.context.scene
    scene.frame_start, scene.frame_end = 1, shot.frames
    scene.render.fps = round(shot.meta.fps)
    rig = _armature(shot)
    _key(rig, shot)
    parts = []
    for item in shot.meta.objects:
        own = (shot["faces"] >= item.rows.start) & (shot["faces"] < item.rows.stop)
        thing = _mesh(item.name, shot["vertices"][item.rows], shot["faces"][own.all(1)] - item.rows.start)
        _weigh(thing, shot, item.rows)
        modifier = cast(bpy.types.ArmatureModifier, thing.modifiers.new("Armature", "ARMATURE"))
        modifier.object, thing.parent = rig, rig
        parts.append(thing)
    for number, collider in enumerate(shot.meta.colliders):
        faces = shot["collider_faces"]
        inside = (faces >= collider.rows.start) & (faces < collider.rows.stop)
        thing = _mesh(
            collider.name, shot["collider_vertices"][collider.rows], faces[inside.all(1)] - collider.rows.start
        )
        thing.matrix_world = Matrix(
            shot["collider_poses"].reshape(-1, len(shot.meta.colliders), 4, 4)[0, number].tolist()
        )
        thing.modifiers.new("Collision", "COLLISION")
    return parts


def _armature(shot: Shot) -> bpy.types.Object:
    rig = bpy.data.objects.new("Rig", bpy.data.armatures.new("Rig"))
    bpy.context.scene.collection.objects.link(rig)
    bpy.context.view_layer.objects.active = rig
    bpy.ops.object.mode_set(mode="EDIT")
    for name, parent, rest, length in zip(
        shot.meta.bones, shot["bone_parents"], shot["bone_rest"], shot["bone_lengths"], strict=True
    ):
        bone = rig.data.edit_bones.new(name)
        bone.head, bone.tail = (0, 0, 0), (0, float(length), 0)
        bone.matrix = Matrix(rest.tolist())
        if parent >= 0:
            bone.parent = rig.data.edit_bones[shot.meta.bones[parent]]
    bpy.ops.object.mode_set(mode="OBJECT")
    return rig


def _key(rig: bpy.types.Object, shot: Shot) -> None:
    """Every bone's own motion against its parent, in every frame."""
    rest, pose = shot["bone_rest"].astype(np.float64), shot["bone_pose"].astype(np.float64)
    for number, (name, parent) in enumerate(zip(shot.meta.bones, shot["bone_parents"], strict=True)):
        bone = rig.pose.bones[name]
        bone.rotation_mode = "QUATERNION"
        still = rest[number] if parent < 0 else np.linalg.inv(rest[parent]) @ rest[number]
        for t in range(shot.frames):
            moved = pose[t, number] if parent < 0 else np.linalg.inv(pose[t, parent]) @ pose[t, number]
            bone.matrix_basis = Matrix((np.linalg.inv(still) @ moved).tolist())
            bone.keyframe_insert("rotation_quaternion", frame=t + 1)
            bone.keyframe_insert("location", frame=t + 1)


def _mesh(name: str, vertices: np.ndarray, faces: np.ndarray) -> bpy.types.Object:
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata(vertices.tolist(), [], faces.tolist())
    thing = bpy.data.objects.new(name, mesh)
    bpy.context.scene.collection.objects.link(thing)
    return thing


def _weigh(thing: bpy.types.Object, shot: Shot, rows: slice) -> None:
    indices, values = shot["weight_indices"][rows], shot["weight_values"][rows]
    groups = {bone: thing.vertex_groups.new(name=shot.meta.bones[bone]) for bone in np.unique(indices[values > 0])}
    for vertex, (bones, weights) in enumerate(zip(indices.tolist(), values.tolist(), strict=True)):
        for bone, weight in zip(bones, weights, strict=True):
            if weight > 0:
                groups[bone].add([vertex], weight, "ADD")
    if is_loose(shot["region_ids"][rows]).all():
        pins = thing.vertex_groups.new(name="ani3d_pin")
        for vertex, weight in enumerate(shot["pin_weights"][rows].tolist()):
            if weight >= 0:
                pins.add([vertex], weight, "REPLACE")


def furthest(shot: Shot, parts: list[bpy.types.Object], t: int) -> float:
    """Metres between Blender's meshes and the shot's in frame `t`, the furthest vertex."""
    bpy.context.scene.frame_set(t + 1)
    moves = shot.skinning_transforms()[t : t + 1]
    points = skin(shot["vertices"], shot["weight_indices"], shot["weight_values"], moves, shot.preserve_volume)[0]
    graph, worst = bpy.context.evaluated_depsgraph_get(), 0.0
    for thing, item in zip(parts, shot.meta.objects, strict=True):
        found = np.empty(3 * item.vertex_count, np.float32)
        thing.evaluated_get(graph).data.vertices.foreach_get("co", found)
        worst = max(worst, float(np.abs(found.reshape(-1, 3) - points[item.rows]).max()))
    return worst


def main() -> None:
    shot = Shot.load(Path(sys.argv[1]))
    bpy.ops.wm.read_factory_settings(use_empty=True)
    parts = build(shot)
    worst = max(furthest(shot, parts, t) for t in (0, shot.frames // 2, shot.frames - 1))
    print(f"{shot.name}: Blender's meshes are within {worst:.1e} m of the shot's")
    bpy.ops.wm.save_as_mainfile(filepath=str(Path(sys.argv[2]).resolve()))
    sys.stdout.flush()
    os._exit(0)  # Blender may hang while it takes itself down


if __name__ == "__main__":
    main()
