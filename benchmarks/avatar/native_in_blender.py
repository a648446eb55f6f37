"""In Blender 5.3: native_in_blender BLEND FOLDER FRAME SAMPLES renders mesh.png, and native.png of splats.npz."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import bpy
import numpy as np

KINDS = {"position": "FLOAT_VECTOR", "scale": "FLOAT_VECTOR", "rotation": "QUATERNION", "radiance:base": "FLOAT4"}


def main(blend: Path, out: Path, frame: int, samples: int) -> None:
    bpy.ops.wm.open_mainfile(filepath=str(blend.resolve()))
    scene: Any = bpy.context.scene
    scene.frame_set(frame)
    scene.render.engine, scene.cycles.samples, scene.cycles.use_denoising = "CYCLES", samples, False
    scene.cycles.use_adaptive_sampling = False
    scene.view_settings.view_transform, scene.view_settings.look = "Standard", "None"
    scene.render.film_transparent = True
    settings = scene.render.image_settings
    settings.media_type = "IMAGE"
    settings.file_format, settings.color_mode, settings.color_depth = "PNG", "RGBA", "16"
    for item in scene.objects:
        for modifier in item.modifiers:
            modifier.show_render = modifier.type not in ("CLOTH", "SOFT_BODY", "COLLISION")
    scene.cycles.use_denoising = True
    _render(scene, out / "mesh.png")
    scene.cycles.use_denoising = False  # it would smear what splats make fine
    for item in scene.objects:
        if item.type in ("MESH", "LIGHT"):
            item.hide_render = True
    splats = np.load(out / "splats.npz")
    cloud: Any = bpy.data.pointclouds.new("Splats")
    cloud.resize(len(splats["position"]))
    cloud.type = "GAUSSIAN_SPLAT"
    for name, kind in KINDS.items():
        attribute = cloud.attributes.get(name) or cloud.attributes.new(name, kind, "POINT")
        attribute.data.foreach_set("value" if kind == "QUATERNION" else "vector", splats[name].ravel())
    scene.collection.objects.link(bpy.data.objects.new("Splats", cloud))
    _render(scene, out / "native.png")


def _render(scene: Any, path: Path) -> None:
    scene.render.filepath = str(path.resolve())
    bpy.ops.render.render(write_still=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
    sys.stdout.flush()
    os._exit(0)
