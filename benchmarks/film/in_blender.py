"""In Blender: in_blender WHAT OUT BLEND RESULT [FRAME ...] renders pictures of a result for benchmarks.film.

WHAT is `film` (merged frames beside Cycles' pictures of the mesh, a cube in front and a wall behind) or `gaussians`
(the result's Gaussians as Blender itself draws them). OUT gets EXR files.
"""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from typing import Any

import bpy
from mathutils import Vector

ENGINE = f"{Path('.venv/bin/python').absolute()} -m engine"
SAMPLES = 64
SPLAT_SAMPLES = 128  # Cycles throws a die at every splat that a ray meets


def part(name: str) -> Any:
    """A module of the installed extension."""
    return importlib.import_module(f"bl_ext.user_default.ani3dhuman.{name}")


def main(what: str, out: Path, blend: Path, folder: Path, frames: list[int]) -> None:
    package = os.environ["ANI3D_EXTENSION"]
    bpy.ops.extensions.package_install_files(filepath=package, repo="user_default", enable_on_install=True)
    bpy.ops.wm.open_mainfile(filepath=str(blend.resolve()))
    scene: Any = bpy.context.scene
    bpy.ops.ani3d.import_result(directory=str(folder.resolve()))  # type: ignore[attr-defined]
    name = folder.name.removesuffix(".ani3d")
    part("cycles").use_cycles(scene, SAMPLES)
    scene.view_settings.view_transform, scene.view_settings.look = "Standard", "None"
    settings = scene.render.image_settings
    if hasattr(settings, "media_type"):
        settings.media_type = "IMAGE"
    settings.file_format, settings.color_mode, settings.color_depth = "OPEN_EXR", "RGBA", "32"
    if what == "film":
        for frame in frames:
            _film(scene, out, name, frame)
    else:
        (out / "version.txt").write_text(bpy.app.version_string.split()[0])
        scene.render.film_transparent = True
        for kind, shown in (("mesh", "MESH"), ("gaussians", "GAUSSIANS")):
            part("results_shown").show_as(name, shown)
            scene.cycles.use_denoising = kind == "mesh"  # which would smear what splats make fine
            drawn = SPLAT_SAMPLES if part("compat").draws_splats() else SAMPLES
            scene.cycles.samples = SAMPLES if kind == "mesh" else drawn
            for frame in frames:
                _render(scene, out / f"{kind}_{frame:04d}.exr", frame)


def _film(scene: Any, out: Path, name: str, frame: int) -> None:
    cube, wall = _props(scene, frame)
    scene.cycles.use_denoising = True
    scene.render.film_transparent = False
    for label, blurred in (("still", False), ("blurred", True)):
        scene.render.use_motion_blur, scene.render.motion_blur_shutter = blurred, 1.0
        part("results_shown").show_as(name, part("results_shown").MESH)
        _render(scene, out / f"mesh_{label}_{frame:04d}.exr", frame)
        files = _shot(out / "frames" / label, name, frame)
        part("film_nodes").set_up(scene, name, files, range(frame, frame + 1))
        part("results_shown").show_as(name, part("results_shown").FILM)
        _render(scene, out / f"merged_{label}_{frame:04d}.exr", frame)
        part("film_nodes").switch(name, False)
        part("results_shown").show_as(name, part("results_shown").MESH)
        scene.render.film_transparent = True
        cube.hide_render = wall.hide_render = True
        _shot(out / "uncut" / label, name, frame)
        _render(scene, out / f"matte_{label}_{frame:04d}.exr", frame)
        cube.hide_render = wall.hide_render = False
        scene.render.film_transparent = False
    scene.render.use_motion_blur = False
    scene.render.film_transparent = True
    part("results_shown").show_as(name, part("results_shown").ORIGINAL)
    hidden = [item for item in scene.objects if item.type == "MESH" and item != cube and not item.hide_render]
    for item in hidden:
        item.hide_render = True
    scene.cycles.use_denoising = False
    _render(scene, out / f"cube_{frame:04d}.exr", frame)
    for item in hidden:
        item.hide_render = False
    for item in (cube, wall):
        bpy.data.objects.remove(item)


def _shot(out: Path, name: str, frame: int) -> list[Path]:
    film = part("film.shoot")
    steps = film.shoot(bpy.context, film.Wanted(name, range(frame, frame + 1), 64, ENGINE, out.resolve()))
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def _props(scene: Any, frame: int) -> tuple[bpy.types.Object, bpy.types.Object]:
    """A cube in front of the character's one side, and a wall behind her, as the camera sees it at the frame."""
    scene.frame_set(frame)
    camera = scene.camera.matrix_world
    aim = Vector((0.0, 0.0, 0.9))
    body = next(item for item in scene.objects if item.name.endswith("Ani3D") and item.type == "MESH")
    corners = [body.matrix_world @ Vector(corner) for corner in body.bound_box]
    aim = sum(corners, Vector()) / 8
    right = camera.to_quaternion() @ Vector((1, 0, 0))
    away = (aim - camera.translation).normalized()
    cube = _box(scene, "Cube", aim - 0.8 * away + 0.18 * right, (0.3, 0.3, 0.5))
    cube.rotation_euler = (0.3, 0.2, 0.5)
    wall = _box(scene, "Wall", aim + 1.5 * away, (4, 4, 0.05))
    wall.rotation_euler = away.to_track_quat("Z", "Y").to_euler()
    bpy.context.view_layer.update()
    return cube, wall


def _box(scene: Any, name: str, place: Vector, size: tuple[float, float, float]) -> bpy.types.Object:
    mesh = bpy.data.meshes.new(name)
    corners = [(i * size[0] / 2, j * size[1] / 2, k * size[2] / 2) for i in (-1, 1) for j in (-1, 1) for k in (-1, 1)]
    mesh.from_pydata(corners, [], [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)])
    material: Any = bpy.data.materials.new(name)
    tree: Any = part("compat").node_tree(material)
    tree.nodes["Principled BSDF"].inputs["Base Color"].default_value = (
        (0.1, 0.4, 0.7, 1) if name == "Cube" else (0.6,) * 4
    )
    mesh.materials.append(material)
    item = bpy.data.objects.new(name, mesh)
    item.location = place
    scene.collection.objects.link(item)
    return item


def _render(scene: Any, path: Path, frame: int) -> None:
    scene.frame_set(frame)
    scene.render.filepath = str(path.resolve())
    bpy.ops.render.render(write_still=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4]), [int(text) for text in sys.argv[5:]])
    sys.stdout.flush()
    os._exit(0)
