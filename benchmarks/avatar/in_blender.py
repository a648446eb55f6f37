"""Blender's own pictures of the demo's dancer, inside Blender: python -m benchmarks.avatar.in_blender BLEND OUT.

Frames of the walk by the scene's camera, and the rest pose by cameras around it, with Cycles, the Standard view
transform and nothing behind; `rest.json` has the camera-to-world matrices of the latter.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import bpy
import numpy as np
from mathutils import Matrix, Vector

FRAMES = (4, 12, 20, 28, 36, 44)
AROUND = ((10, 5), (100, 10), (190, 0), (280, 20), (330, -10))  # degrees: azimuth, elevation
DISTANCE = 3.7  # metres


def main(blend: Path, out: Path) -> None:
    bpy.ops.wm.open_mainfile(filepath=str(blend.resolve()))
    scene = bpy.context.scene
    scene.render.engine, scene.cycles.samples, scene.cycles.use_denoising = "CYCLES", 32, True
    scene.view_settings.view_transform, scene.view_settings.look = "Standard", "None"
    scene.render.film_transparent = True
    settings = scene.render.image_settings
    settings.file_format, settings.color_mode, settings.color_depth = "PNG", "RGBA", "16"
    for frame in FRAMES:
        scene.frame_set(frame)
        _render(scene, out / f"f_{frame:02d}.png")
    next(item for item in scene.objects if item.type == "ARMATURE").data.pose_position = "REST"
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
    main(Path(sys.argv[1]), Path(sys.argv[2]))
    sys.stdout.flush()
    os._exit(0)
