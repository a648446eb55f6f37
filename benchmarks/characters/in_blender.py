"""One character in Blender: built or opened, bound, exported, compared with Blender's own meshes, drawn by Cycles.

python -m benchmarks.characters.in_blender NAME FOLDER ZIP [--characters FOLDER]
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, cast

_resources = tempfile.mkdtemp(prefix="ani3d-characters-")
os.environ["BLENDER_USER_RESOURCES"] = _resources  # before bpy is imported: never the user's own

import bpy  # noqa: E402
import numpy as np  # noqa: E402
from mathutils import Vector  # noqa: E402
from mathutils.kdtree import KDTree  # noqa: E402

from ani3d_formats.pc2 import read_pc2  # noqa: E402
from ani3d_formats.shot import Shot  # noqa: E402
from ani3d_formats.skinning import skin  # noqa: E402

from . import others, rigs  # noqa: E402
from .bodies import FRAMES  # noqa: E402

SIZE = (240, 320)
MODULE = "bl_ext.user_default.ani3dhuman"


def shown(depsgraph: bpy.types.Depsgraph) -> dict[str, np.ndarray]:
    """World vertices by name of every mesh that is drawn now, instances too."""
    found = {}
    for each in depsgraph.object_instances:
        if each.object.type in ("MESH", "CURVE", "FONT", "META", "SURFACE"):
            mesh = each.object.to_mesh()
            points = np.empty(len(mesh.vertices) * 3, np.float32)
            mesh.vertices.foreach_get("co", points)
            world = np.array(each.matrix_world, np.float64)
            found[each.object.name] = points.reshape(-1, 3) @ world[:3, :3].T + world[:3, 3]
            each.object.to_mesh_clear()
    return found


def posed(shot: Shot, t: int) -> np.ndarray:
    """World vertices (V,3) of a frame as the engine's rigid layer has them."""
    transforms = shot.skinning_transforms()[t : t + 1]
    points = skin(shot["vertices"], shot["weight_indices"], shot["weight_values"], transforms, shot.preserve_volume)[0]
    start = 0
    for item in shot.meta.objects:
        if item.motion == "recorded":
            points[item.rows] = shot["recorded_vertices"][t, start : start + item.vertex_count]
            start += item.vertex_count
    return points + np.array(shot.meta.origin)


def largest_error(shot: Shot) -> dict[str, float]:
    """By object the largest distance from Blender's evaluated mesh, as a share of the character's height."""
    height = float(np.ptp(shot["vertices"], axis=0).max())
    worst: dict[str, float] = {}
    for t in range(0, shot.frames, 3):
        bpy.context.scene.frame_set(shot.meta.frame_start + t)
        blender, ours = shown(bpy.context.evaluated_depsgraph_get()), posed(shot, t)
        for item in shot.meta.objects:
            points = blender.get(item.name)
            if item.strands or points is None:
                continue
            if len(points) == item.vertex_count:
                error = np.linalg.norm(points - ours[item.rows], axis=1).max()
            else:  # vertices that Blender merges in this pose: each of its own must be near one of ours
                error = _nearest(points, ours[item.rows]).max()
            worst[item.name] = max(worst.get(item.name, 0.0), float(error / height))
    return worst


def _nearest(points: np.ndarray, targets: np.ndarray) -> np.ndarray:
    tree = KDTree(len(targets))
    for row, target in enumerate(targets):
        tree.insert(target, row)
    tree.balance()
    return np.array([tree.find(point)[2] for point in points])


def add_view(frames: range) -> None:
    """A camera that sees all of the scene's meshes in these frames, a sun, and a grey world."""
    scene = bpy.context.scene
    scene.render.resolution_x, scene.render.resolution_y = SIZE
    scene.render.resolution_percentage = 100
    points = []
    for frame in frames[:: max(1, len(frames) // 5)]:
        scene.frame_set(frame)
        points += [p for p in shown(bpy.context.evaluated_depsgraph_get()).values() if len(p)]
    cloud = np.concatenate(points)
    low, high = cloud.min(0), cloud.max(0)
    middle, extent = (low + high) / 2, high - low
    camera = bpy.data.objects.new("View", bpy.data.cameras.new("View"))
    scene.collection.objects.link(camera)
    scene.camera, camera.data.lens = camera, 60.0
    need = 1.2 * max(extent[2], max(extent[:2]) * SIZE[1] / SIZE[0])
    far = need * camera.data.lens / 36.0 + extent.max() / 2
    way = np.array((np.sin(0.45), -np.cos(0.45), 0.12))
    camera.location = middle + far * way
    camera.rotation_euler = (Vector(middle) - camera.location).to_track_quat("-Z", "Y").to_euler()
    camera.data.clip_start, camera.data.clip_end = far / 1000, far * 10
    sun = bpy.data.objects.new("Sun", bpy.data.lights.new("Sun", "SUN"))
    sun.rotation_euler, sun.data.energy = (0.8, 0.1, 0.5), 3.0
    scene.collection.objects.link(sun)
    scene.world = bpy.data.worlds.new("Grey")
    scene.world.color = (0.25, 0.25, 0.25)
    if scene.world.node_tree:
        background: Any = next(n for n in scene.world.node_tree.nodes if n.type == "BACKGROUND")
        background.inputs["Color"].default_value = (0.25, 0.25, 0.25, 1)


def draw(path: Path, frame: int) -> None:
    """Cycles' picture of a frame, 24 samples."""
    scene: Any = bpy.context.scene
    scene.frame_set(frame)
    scene.render.engine, scene.cycles.samples, scene.cycles.use_denoising = "CYCLES", 24, False
    scene.cycles.device, scene.view_settings.view_transform = "CPU", "Standard"
    scene.render.image_settings.file_format, scene.render.filepath = "PNG", str(path)
    bpy.ops.render.render(write_still=True)


def bring_in(folder: Path) -> None:
    """Import the result into the saved scene; its meshes must stand where the cache says, at three frames."""
    bpy.ops.wm.open_mainfile(filepath=str(folder / "scene.blend"))
    bpy.ops.preferences.addon_enable(module=MODULE)
    cast(Any, bpy.ops).ani3d.import_result(directory=str(folder / "result"))
    objects: Any = bpy.data.objects
    copies = [item for item in objects if item.ani3d.kind == "MESH"]
    if not any(item.ani3d.kind == "GAUSSIANS" for item in objects):
        raise SystemExit("the result has no Gaussians in the scene")
    for frame in (1, FRAMES // 2, FRAMES):
        bpy.context.scene.frame_set(frame)
        depsgraph = bpy.context.evaluated_depsgraph_get()
        for copy in copies:
            played = next((m.filepath for m in copy.modifiers if m.type == "MESH_CACHE"), None)
            if played is None:  # hair, which the result hides and the Gaussians show
                continue
            points = read_pc2(Path(bpy.path.abspath(played))).vertices[frame - 1]
            evaluated = copy.evaluated_get(depsgraph)
            found = np.empty(len(evaluated.data.vertices) * 3, np.float32)
            evaluated.data.vertices.foreach_get("co", found)
            if np.abs(found.reshape(-1, 3) - points).max() > 1e-5 * max(1.0, float(np.abs(points).max())):
                raise SystemExit(f"{copy.name} does not stand where its cache says at frame {frame}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bring-in", action="store_true", help="import the result into the scene made before")
    parser.add_argument("name")
    parser.add_argument("folder", type=Path)
    parser.add_argument("zip", type=Path)
    parser.add_argument("--characters", type=Path, default=Path())
    options = parser.parse_args()
    folder, scene = options.folder, bpy.context.scene
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.extensions.package_install_files(filepath=str(options.zip), repo="user_default", enable_on_install=True)
    if options.bring_in:
        bring_in(folder)
        print("well")
        sys.stdout.flush()
        os._exit(0)
    if options.name in others.CLIPS:
        chosen = others.load(options.name, options.characters)
    else:
        chosen = rigs.build(options.name, folder)
    scene = bpy.context.scene
    scene.frame_start, scene.frame_end, scene.render.fps = 1, FRAMES, 24
    add_view(range(1, FRAMES + 1))
    scene.frame_set(1)
    bpy.ops.object.select_all(action="DESELECT")
    chosen.select_set(True)
    bpy.context.view_layer.objects.active = chosen
    figures: dict[str, Any] = {}
    started = time.monotonic()
    cast(Any, bpy.ops).ani3d.bind_character()
    figures["bind_s"] = time.monotonic() - started
    cast(Any, bpy.ops).ani3d.export_shot(filepath=str(folder / "shot.npz"))
    figures["export_s"] = time.monotonic() - started - figures["bind_s"]
    shot = Shot.load(folder / "shot.npz")
    figures["errors"] = largest_error(shot)
    figures["objects"] = {o.name: [o.motion, o.vertex_count] for o in shot.meta.objects}
    counts = np.bincount(shot["region_ids"], minlength=len(shot.meta.regions)).tolist()
    figures["regions"] = dict(zip(shot.meta.regions, counts, strict=True))
    draw(folder / "blender.png", FRAMES // 2)
    bpy.ops.wm.save_as_mainfile(filepath=str(folder / "scene.blend"))
    (folder / "export.json").write_text(json.dumps(figures, indent=1), encoding="utf-8")
    sys.stdout.flush()
    os._exit(0)  # Blender as a module may hang when it ends


if __name__ == "__main__":
    main()
