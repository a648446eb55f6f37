"""What a shot says a character does, beside what Blender shows of it."""

from __future__ import annotations

import bpy
import numpy as np
import rigs
from mathutils.kdtree import KDTree


def shown_by_blender(shot, frames=None) -> np.ndarray:
    """(T,V,3) world vertices of the shot's objects as Blender evaluates them, in the shot's order."""
    meta = rigs.meta(shot)
    rows = []
    for frame in range(meta["frame_start"], meta["frame_end"] + 1):
        bpy.context.scene.frame_set(frame)
        rows.append(np.concatenate([rigs.evaluated_vertices(bpy.data.objects[o["name"]]) for o in meta["objects"]]))
    return np.stack(rows)


def posed(shot) -> np.ndarray:
    """(T,V,3) world vertices as a reader of the shot gets them: skinned, or as recorded."""
    meta = rigs.meta(shot)
    frames = len(shot["bone_pose"])
    points = np.stack([rigs.skinned(shot, t) for t in range(frames)])
    start = 0
    for item in meta["objects"]:
        if item.get("motion") == "recorded":
            end = start + item["vertex_count"]
            rows = slice(item["vertex_start"], item["vertex_start"] + item["vertex_count"])
            points[:, rows] = shot["recorded_vertices"][:, start:end]
            start = end
    return points + np.array(meta["origin"])


def nearest(points, targets) -> np.ndarray:
    """Distance (N,) of each of `points` to the nearest of `targets`."""
    tree = KDTree(len(targets))
    for row, target in enumerate(targets):
        tree.insert(target, row)
    tree.balance()
    return np.array([tree.find(point)[2] for point in points])


def names(shot) -> list[str]:
    return [item["name"] for item in rigs.meta(shot)["objects"]]


def export(part, rig, **options):
    warnings = []
    shot = part("export").export_shot(bpy.context, rig, on_warning=warnings.append, **options)
    return shot, warnings


def assert_as_blender_shows(shot, tolerance=1.5e-4) -> None:
    assert np.abs(posed(shot) - shown_by_blender(shot)).max() < tolerance


def ball(name: str, place) -> bpy.types.Object:
    bpy.ops.mesh.primitive_uv_sphere_add(radius=0.1, location=place, segments=8, ring_count=6)
    bpy.context.object.name = name
    return bpy.context.object


def on_bone(item: bpy.types.Object, rig: bpy.types.Object, bone: str) -> None:
    world = item.matrix_world.copy()
    item.parent, item.parent_type, item.parent_bone = rig, "BONE", bone
    item.matrix_world = world
    bpy.context.view_layer.update()
