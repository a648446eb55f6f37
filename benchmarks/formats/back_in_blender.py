"""In Blender: a file that the engine wrote is imported, rigged where it has no rig, and exported as a shot again.

python -m benchmarks.formats.back_in_blender EXTENSION.zip FILE SHOT FIRST FRAMES
"""

from __future__ import annotations

import importlib
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

os.environ["BLENDER_USER_RESOURCES"] = tempfile.mkdtemp(prefix="ani3d-back-")  # before bpy: never the user's own

import bpy as blender

from ani3d_formats.shot import save_arrays

bpy: Any = blender


def imported(path: Path, first: int) -> None:
    """What the file holds into an empty scene."""
    bpy.context.scene.render.fps = 24
    if path.suffix == ".glb":
        bpy.ops.import_scene.gltf(filepath=str(path), merge_vertices=True)
        for action in bpy.data.actions:  # its clips begin at 0
            bags = [bag for layer in action.layers for strip in layer.strips for bag in strip.channelbags]
            for point in (point for bag in bags for curve in bag.fcurves for point in curve.keyframe_points):
                point.co.x += first
    elif path.suffix == ".abc":
        bpy.ops.wm.alembic_import(filepath=str(path), as_background_job=False)
    else:
        bpy.ops.wm.usd_import(filepath=str(path))


def rig() -> Any:
    """The armature that carries the meshes: that of the file, or one that stands still and each mesh is parented to."""
    meshes = [item for item in bpy.data.objects if item.type == "MESH"]
    bound = {m.object for item in meshes for m in item.modifiers if m.type == "ARMATURE"}
    if bound:
        return bound.pop()
    scene = bpy.context.scene
    still = bpy.data.objects.new("Still", bpy.data.armatures.new("Still"))
    scene.collection.objects.link(still)
    bpy.context.view_layer.objects.active = still
    bpy.ops.object.mode_set(mode="EDIT")
    bone = still.data.edit_bones.new("Root")
    bone.tail = (0, 0, 1)
    bpy.ops.object.mode_set(mode="OBJECT")
    for item in meshes:
        world = item.matrix_world.copy()
        item.parent, item.parent_type, item.parent_bone = still, "BONE", "Root"
        item.matrix_world = world
    return still


def main() -> None:
    path, target, first, count = Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5])
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.extensions.package_install_files(filepath=sys.argv[1], repo="user_default", enable_on_install=True)
    shot = importlib.import_module("bl_ext.user_default.ani3dhuman.export.shot")
    imported(path, first)
    scene = bpy.context.scene
    view = bpy.data.objects.new("View", bpy.data.cameras.new("View"))
    scene.collection.objects.link(view)
    scene.camera, view.location, view.rotation_euler = view, (0, -6, 1), (1.57, 0, 0)
    scene.frame_set(first)
    arrays = shot.export_shot(bpy.context, rig(), first, first + count - 1, on_warning=print, evaluate=True)
    save_arrays(target, arrays)


if __name__ == "__main__":
    main()
