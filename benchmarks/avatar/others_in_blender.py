"""A character that is not the demo's, in Blender: its shot, and Cycles' pictures of two frames.

python -m benchmarks.avatar.others_in_blender NAME FOLDER ZIP CHARACTERS
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from benchmarks.characters.in_blender import add_view  # before bpy: it gives Blender a folder of its own

# isort: split
import bpy

from benchmarks.characters import others
from benchmarks.characters.bodies import FRAMES

from . import rigs

PICTURES = (6, 15)
SAMPLES = 16


def main(name: str, folder: Path, archive: Path, characters: Path) -> None:
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.extensions.package_install_files(filepath=str(archive), repo="user_default", enable_on_install=True)
    chosen = rigs.build(name, folder) if name in rigs.RIGS else others.load(f"{name}_1", characters)
    scene = bpy.context.scene
    scene.frame_start, scene.frame_end, scene.render.fps = 1, FRAMES, 24
    add_view(range(1, FRAMES + 1))
    scene.frame_set(1)
    bpy.ops.object.select_all(action="DESELECT")
    chosen.select_set(True)
    bpy.context.view_layer.objects.active = chosen
    bpy.ops.ani3d.bind_character()
    bpy.ops.ani3d.export_shot(filepath=str(folder / "shot.npz"))
    scene.render.engine, scene.cycles.samples, scene.cycles.use_denoising = "CYCLES", SAMPLES, True
    scene.cycles.device, scene.render.film_transparent = "CPU", True
    scene.view_settings.view_transform, scene.view_settings.look = "Standard", "None"
    settings = scene.render.image_settings
    settings.file_format, settings.color_mode, settings.color_depth = "PNG", "RGBA", "16"
    for frame in PICTURES:
        scene.frame_set(frame)
        path = (folder / f"f_{frame:02d}.png").resolve()
        scene.render.filepath = str(path)
        if not path.exists():
            bpy.ops.render.render(write_still=True)


if __name__ == "__main__":
    main(sys.argv[1], *map(Path, sys.argv[2:5]))
    sys.stdout.flush()
    os._exit(0)
