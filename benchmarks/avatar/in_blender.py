"""The demo's dancer in Blender: python -m benchmarks.avatar.in_blender BLEND OUT ZIP.

Her shot, then Blender's own pictures: frames of the walk by the scene's camera, and the rest pose by cameras around it,
with Cycles, the Standard view transform and nothing behind; `rest.json` has the camera-to-world matrices of the latter.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from importlib import import_module
from pathlib import Path

os.environ["BLENDER_USER_RESOURCES"] = tempfile.mkdtemp(prefix="ani3d-avatar-")  # before bpy is imported

import bpy
import numpy as np
from mathutils import Matrix, Vector

FRAMES = tuple(range(4, 49, 4))
AROUND = ((10, 5), (100, 10), (190, 0), (280, 20), (330, -10))  # degrees: azimuth, elevation
DISTANCE = 3.7  # metres


def main(blend: Path, out: Path, archive: Path) -> None:
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.extensions.package_install_files(filepath=str(archive), repo="user_default", enable_on_install=True)
    bpy.ops.wm.open_mainfile(filepath=str(blend.resolve()))
    scene = bpy.context.scene
    rig = next(item for item in scene.objects if item.type == "ARMATURE")
    export = import_module("bl_ext.user_default.ani3dhuman.export")
    np.savez(out / "shot.npz", **export.export_shot(bpy.context, rig, on_warning=print))
    scene.render.engine, scene.cycles.samples, scene.cycles.use_denoising = "CYCLES", 32, True
    scene.view_settings.view_transform, scene.view_settings.look = "Standard", "None"
    scene.render.film_transparent = True
    settings = scene.render.image_settings
    settings.file_format, settings.color_mode, settings.color_depth = "PNG", "RGBA", "16"
    for frame in FRAMES:
        scene.frame_set(frame)
        _render(scene, out / f"f_{frame:02d}.png")
    rig.data.pose_position = "REST"
    scene.frame_set(scene.frame_start)
    camera = scene.camera
    camera.parent = None
    for constraint in list(camera.constraints):
        constraint.mute = True
    camera.animation_data_clear()
    body = scene.objects["Body"].evaluated_get(bpy.context.evaluated_depsgraph_get())
    points = np.array([body.matrix_world @ vertex.co for vertex in body.data.vertices])
    centre, places = Vector((points.min(0) + points.max(0)) / 2), []
    for number, (azimuth, elevation) in enumerate(np.radians(AROUND)):
        flat = np.cos(elevation)
        away = Vector((flat * np.sin(azimuth), -flat * np.cos(azimuth), np.sin(elevation)))
        turn = (-away).to_track_quat("-Z", "Y").to_matrix().to_4x4()
        camera.matrix_world = Matrix.Translation(centre + DISTANCE * away) @ turn
        bpy.context.view_layer.update()
        _render(scene, out / f"r_{number}.png")
        places.append(np.array(camera.matrix_world).tolist())
    (out / "rest.json").write_text(json.dumps(places))


def _render(scene: bpy.types.Scene, path: Path) -> None:
    if not path.exists():
        scene.render.filepath = str(path.resolve())
        bpy.ops.render.render(write_still=True)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
    sys.stdout.flush()
    os._exit(0)
