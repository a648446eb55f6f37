"""Stills of the demo's result for a title page, rendered by Cycles after `make demo`.

    .venv-blender/bin/python examples/demo/stills.py --out out/demo/still.jpg
    .venv-blender-5.3.0/bin/python examples/demo/stills.py --splats --out out/demo/splats.jpg

The result's meshes at one frame on an evening terrace: a warm key, a rim from behind, lamps far behind out of focus;
thin hairs in the result's strands. With --splats the result's Gaussians instead, as Blender 5.3 draws them
itself, in the suns that the engine lit them by, with things in front of them and behind.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import struct
import sys
import tempfile
from pathlib import Path
from typing import Any

os.environ["BLENDER_USER_RESOURCES"] = tempfile.mkdtemp(prefix="ani3d-still-")  # before bpy is imported

import bpy
import numpy as np
from mathutils import Matrix, Vector

sys.path.insert(0, str(Path(__file__).parent))

from build_scene import bundle_nodes

FRAME = 32
AZIMUTH, DISTANCE, HEIGHT = -2.0, 5.6, 0.62  # of the camera about her: degrees, metres
AIM, SEEN = 0.88, 1.92  # metres: the height that it looks at, and how much of her is in the picture
HAIRS, THIN = 60, 0.065  # thin hairs in a strand, and how thick they are over it
CORAL, MUSTARD, TEAL, CREAM = (0.75, 0.12, 0.08), (0.80, 0.44, 0.07), (0.02, 0.09, 0.13), (0.85, 0.76, 0.60)
KEY, RIM, FILL = (1.0, 0.80, 0.60), (1.0, 0.62, 0.42), (0.55, 0.66, 1.0)
BOKEH = ((1.0, 0.55, 0.20), (1.0, 0.72, 0.38), (1.0, 0.40, 0.22), (0.35, 0.62, 0.85))


def link(item: bpy.types.Object) -> None:
    """Put an object into the scene."""
    scene: Any = bpy.context.scene
    scene.collection.objects.link(item)


def node_material(name: str, kind: str = "ShaderNodeBsdfPrincipled") -> tuple[bpy.types.Material, Any]:
    """A new material and its one shader node."""
    material: Any = bpy.data.materials.new(name)
    if material.node_tree is None:
        material.use_nodes = True
    nodes = material.node_tree.nodes
    nodes.clear()
    shader, output = nodes.new(kind), nodes.new("ShaderNodeOutputMaterial")
    material.node_tree.links.new(shader.outputs[0], output.inputs["Surface"])
    return material, shader


def across(away: Vector) -> Vector:
    """The unit vector to the right of a level one."""
    return Vector((away.y, -away.x, 0)).normalized()


def lamp(name: str, place: Vector, aim: Vector, size: float, watts: float, colour: tuple[float, float, float]) -> None:
    """A square area lamp that looks at a point."""
    data: Any = bpy.data.lights.new(name, "AREA")
    data.size, data.energy, data.color = size, watts, colour
    item = bpy.data.objects.new(name, data)
    item.location = place
    item.rotation_euler = (aim - place).to_track_quat("-Z", "Y").to_euler()
    link(item)


def plane(name: str, corners: list[tuple[float, float, float]], material: bpy.types.Material) -> None:
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata(corners, [], [(0, 1, 2, 3)])
    mesh.materials.append(material)
    link(bpy.data.objects.new(name, mesh))


def terrace(her: Vector, away: Vector) -> None:
    """A dark polished floor, and behind it lamps in rows, far enough to be discs of light."""
    material, shader = node_material("Floor")
    shader.inputs["Base Color"].default_value = (0.030, 0.022, 0.026, 1)
    shader.inputs["Roughness"].default_value = 0.22
    tree: Any = material.node_tree
    noise, ramp = tree.nodes.new("ShaderNodeTexNoise"), tree.nodes.new("ShaderNodeMapRange")
    noise.inputs["Scale"].default_value = 3.0
    ramp.inputs["To Min"].default_value, ramp.inputs["To Max"].default_value = 0.16, 0.34
    tree.links.new(noise.outputs[0], ramp.inputs["Value"])
    tree.links.new(ramp.outputs[0], shader.inputs["Roughness"])
    plane("Floor", [(-40, -40, 0), (40, -40, 0), (40, 40, 0), (-40, 40, 0)], material)
    rng = np.random.default_rng(4)
    right = across(away)
    bpy.ops.mesh.primitive_ico_sphere_add(subdivisions=2, radius=0.045)
    first: Any = bpy.context.object
    shape = first.data
    bpy.data.objects.remove(first)
    meshes = []
    for number, colour in enumerate(BOKEH):
        glow, emission = node_material(f"Glow {number}", "ShaderNodeEmission")
        emission.inputs["Color"].default_value, emission.inputs["Strength"].default_value = (*colour, 1), 60.0
        meshes.append(shape.copy())
        meshes[-1].materials.append(glow)
    for _ in range(64):
        depth = rng.uniform(7, 15)
        item = bpy.data.objects.new("Lamp", meshes[rng.choice(4, p=(0.4, 0.3, 0.18, 0.12))])
        item.location = her + away * depth + right * rng.uniform(-0.33, 0.33) * (depth + 5)
        item.location.z = 0.25 + rng.gamma(2.0, 0.75)
        item.scale = [rng.uniform(0.5, 1.15)] * 3
        link(item)


def evening(zenith: tuple[float, float, float], horizon: tuple[float, float, float], strength: float) -> None:
    """A sky that goes from a warm horizon to a dark zenith."""
    world: Any = bpy.data.worlds.new("Evening")
    if world.node_tree is None:
        world.use_nodes = True
    nodes, join = world.node_tree.nodes, world.node_tree.links.new
    place, split, ramp = (nodes.new(f"ShaderNode{kind}") for kind in ("TexCoord", "SeparateXYZ", "ValToRGB"))
    join(place.outputs["Generated"], split.inputs[0])
    join(split.outputs["Z"], ramp.inputs[0])
    ramp.color_ramp.elements[0].color, ramp.color_ramp.elements[1].color = (*horizon, 1), (*zenith, 1)
    ramp.color_ramp.elements[1].position = 0.42
    join(ramp.outputs[0], nodes["Background"].inputs["Color"])
    nodes["Background"].inputs["Strength"].default_value = strength
    scene: Any = bpy.context.scene
    scene.world = world


def look(her: Vector, away: Vector, size: tuple[int, int]) -> None:
    """A long lens near the ground, wide open, focused on her."""
    scene: Any = bpy.context.scene
    lens: Any = bpy.data.cameras.new("Still")
    camera = bpy.data.objects.new("Still", lens)
    link(camera)
    camera.location = her - away * DISTANCE + Vector((0, 0, HEIGHT))
    aim = her + Vector((0, 0, AIM))
    camera.rotation_euler = (aim - camera.location).to_track_quat("-Z", "Y").to_euler()
    lens.sensor_fit, lens.lens = "VERTICAL", 24 * DISTANCE / SEEN
    lens.dof.use_dof, lens.dof.focus_distance, lens.dof.aperture_fstop = True, DISTANCE - 0.1, 0.9
    scene.camera = camera
    scene.render.resolution_x, scene.render.resolution_y = size


def strands(cache: Path, frame: int) -> None:
    """Thin hairs in the strands as the result's `cache` has them, ribbons in `Strands.pc2`."""
    manifest = json.loads((cache / "manifest.json").read_text(encoding="utf-8"))
    head = (cache / "Strands.pc2").read_bytes()[:32]
    _, _, count, _, _, samples = struct.unpack("<12siiffi", head)
    values = np.memmap(cache / "Strands.pc2", "<f4", "r", 32, (samples, count // 2, 2, 3))
    middle = values[frame - manifest["frame_start"]].mean(1) + np.array(manifest.get("origin", (0.0, 0, 0)))
    source: Any = bpy.data.objects["Strands"].data
    wide: np.ndarray = np.empty(len(source.points), np.float32)
    source.attributes["radius"].data.foreach_get("value", wide)
    wide = wide.reshape(len(source.curves), -1)
    points = len(middle) // len(wide)
    ticks = np.linspace(0, 1, points)
    radii = np.stack([np.interp(ticks, np.linspace(0, 1, wide.shape[1]), row) for row in wide])
    curves: Any = bpy.data.hair_curves.new("Hairs")
    curves.add_curves([points] * len(wide))
    curves.points.foreach_set("position", middle.astype(np.float32).ravel())
    radius = curves.attributes.get("radius") or curves.attributes.new("radius", "FLOAT", "POINT")
    radius.data.foreach_set("value", radii.astype(np.float32).ravel())
    material, shader = node_material("Hairs", "ShaderNodeBsdfHairPrincipled")
    shader.parametrization = "MELANIN"
    shader.inputs["Melanin"].default_value, shader.inputs["Melanin Redness"].default_value = 0.62, 0.62
    shader.inputs["Roughness"].default_value, shader.inputs["Radial Roughness"].default_value = 0.28, 0.4
    curves.materials.append(material)
    item = bpy.data.objects.new("Hairs", curves)
    link(item)
    bundles: Any = item.modifiers.new("Hairs", "NODES")
    bundles.node_group = bundle_nodes(HAIRS, THIN)


def dress_up(items: list[bpy.types.Object]) -> None:
    """Smooth meshes, skin that light enters, woven cloth."""
    for item in items:
        smooth: Any = item.modifiers.new("Smooth", "SUBSURF")
        smooth.levels, smooth.render_levels = 0, 2 if "Dress" in item.name else 1
        for slot in item.material_slots:
            material: Any = slot.material
            shader = next((node for node in material.node_tree.nodes if node.type == "BSDF_PRINCIPLED"), None)
            if shader is None:
                continue
            name = material.name.split(".")[0]
            if name in ("Skin", "Head"):
                shader.inputs["Subsurface Weight"].default_value = 0.22
                shader.inputs["Subsurface Radius"].default_value = (1.0, 0.35, 0.2)
                shader.inputs["Subsurface Scale"].default_value = 0.012
                shader.inputs["Roughness"].default_value = 0.42
                _bump(material, shader, 900.0, 0.08)
            elif name == "Dress":
                shader.inputs["Sheen Weight"].default_value = 0.25
                shader.inputs["Roughness"].default_value = 0.6
                _bump(material, shader, 1400.0, 0.15)
            elif name == "Eyes":
                shader.inputs["Coat Weight"].default_value = 1.0


def _bump(material: Any, shader: Any, scale: float, strength: float) -> None:
    nodes, join = material.node_tree.nodes, material.node_tree.links.new
    place, noise, bump = (nodes.new(f"ShaderNode{kind}") for kind in ("TexCoord", "TexNoise", "Bump"))
    noise.inputs["Scale"].default_value, bump.inputs["Strength"].default_value = scale, strength
    bump.inputs["Distance"].default_value = 0.001
    join(place.outputs["UV"], noise.inputs["Vector"])
    join(noise.outputs[0], bump.inputs["Height"])
    join(bump.outputs[0], shader.inputs["Normal"])


def studio(her: Vector, away: Vector) -> None:
    """A seamless backdrop, solids around her, one of them in front; the suns are the demo's own."""
    right, up = across(away), Vector((0, 0, 1))
    wall, shader = node_material("Backdrop")
    shader.inputs["Base Color"].default_value, shader.inputs["Roughness"].default_value = (0.80, 0.42, 0.30, 1), 0.9
    depth = np.concatenate([[-8.0, 1.6], 1.6 + 1.6 * np.sin(np.linspace(0.1, 1.57, 12)), [3.2]])
    height = np.concatenate([[0, 0], 1.6 - 1.6 * np.cos(np.linspace(0.1, 1.57, 12)), [9.0]])
    rows = [her + away * float(d) + up * float(h) for d, h in zip(depth, height, strict=True)]
    points = [(row + right * side).to_tuple() for row in rows for side in (-14, 14)]
    mesh = bpy.data.meshes.new("Backdrop")
    mesh.from_pydata(points, [], [(2 * k, 2 * k + 1, 2 * k + 3, 2 * k + 2) for k in range(len(rows) - 1)])
    mesh.shade_smooth()
    mesh.materials.append(wall)
    link(bpy.data.objects.new("Backdrop", mesh))
    solids = (
        (
            "uv_sphere",
            dict(radius=0.26, segments=64, ring_count=32),
            -0.78 * away - 0.50 * right + 0.26 * up,
            CORAL,
            0.25,
        ),
        (
            "uv_sphere",
            dict(radius=0.13, segments=64, ring_count=32),
            -0.95 * away + 0.42 * right + 0.13 * up,
            MUSTARD,
            0.2,
        ),
        ("cylinder", dict(radius=0.46, depth=0.5, vertices=96), 1.15 * away + 0.85 * right + 0.25 * up, TEAL, 0.4),
        ("uv_sphere", dict(radius=0.30, segments=64, ring_count=32), 1.15 * away + 0.85 * right + 0.8 * up, CREAM, 0.3),
        ("cylinder", dict(radius=0.30, depth=1.5, vertices=96), 1.5 * away - 0.85 * right + 0.75 * up, CREAM, 0.5),
        (
            "torus",
            dict(major_radius=0.95, minor_radius=0.09, major_segments=96),
            1.45 * away + 1.02 * up,
            MUSTARD,
            0.25,
        ),
    )
    for kind, shape, place, colour, roughness in solids:
        getattr(bpy.ops.mesh, f"primitive_{kind}_add")(location=her + place, **shape)
        item: Any = bpy.context.object
        if kind != "cylinder":
            item.data.shade_smooth()
        if kind == "torus":
            item.rotation_euler = away.to_track_quat("Z", "Y").to_euler()
        paint, shader = node_material(kind)
        shader.inputs["Base Color"].default_value, shader.inputs["Roughness"].default_value = (*colour, 1), roughness
        item.data.materials.append(paint)


def imported(folder: Path) -> None:
    """Import a result with the extension that `make demo` has built and installed for its own Blender."""
    archive = next(Path("dist").glob("ani3dhuman-*.zip"))
    bpy.ops.extensions.package_install_files(
        filepath=str(archive.resolve()), repo="user_default", enable_on_install=True
    )
    operators: Any = bpy.ops
    operators.ani3d.import_result(directory=str(folder.resolve()))


def still(parts: list[Any], cache: Path, frame: int, splats: bool, size: tuple[int, int]) -> None:
    """The scene of the still around a result's parts, whose frames are in the folder `cache`."""
    scene: Any = bpy.context.scene
    scene.frame_set(frame)
    meshes = [item for item in parts if item.type == "MESH"]
    for item in meshes:
        item.hide_viewport = False
    body = next(item for item in meshes if item.name.startswith("Body"))
    seen_now = body.evaluated_get(bpy.context.evaluated_depsgraph_get())
    corners = np.array([body.matrix_world @ vertex.co for vertex in seen_now.data.vertices])
    her = Vector((*((corners.min(0) + corners.max(0)) / 2)[:2], 0.0))
    ahead = her - scene.camera.matrix_world.translation
    away = (Matrix.Rotation(math.radians(AZIMUTH), 3, "Z") @ Vector((ahead.x, ahead.y, 0))).normalized()
    for item in list(scene.objects):
        if item.type == "LIGHT" and not splats:
            bpy.data.objects.remove(item)
        elif item.type != "LIGHT":
            item.hide_render = (item not in parts) or (item in meshes) == splats
    look(her, away, size)
    settings = scene.view_settings
    if splats:
        studio(her, away)
        settings.view_transform, settings.look = "Standard", "None"
        return
    right, up = across(away), Vector((0, 0, 1))
    face = her + 1.35 * up
    lamp("Key", her - 2.2 * away - 2.1 * right + 2.9 * up, face, 1.3, 230.0, KEY)
    lamp("Rim", her + 2.4 * away + 1.9 * right + 2.5 * up, face, 0.9, 330.0, RIM)
    lamp("Edge", her + 1.9 * away - 2.3 * right + 1.7 * up, face, 0.7, 150.0, RIM)
    lamp("Fill", her - 3.0 * away + 2.8 * right + 1.2 * up, her + 0.9 * up, 2.5, 45.0, FILL)
    terrace(her, away)
    evening((0.010, 0.012, 0.030), (0.22, 0.075, 0.055), 1.0)
    strands(cache, frame)
    dress_up(meshes)
    settings.view_transform, settings.look = "AgX", "AgX - Medium High Contrast"


def render(path: Path, samples: int) -> None:
    scene: Any = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.cycles.device, scene.cycles.samples, scene.cycles.use_denoising = "CPU", samples, True
    scene.cycles.use_adaptive_sampling, scene.cycles.adaptive_threshold = True, 0.01
    scene.cycles.max_bounces, scene.cycles.sample_clamp_indirect = 6, 4.0
    scene.render.film_transparent, scene.render.use_motion_blur = False, False
    settings: Any = scene.render.image_settings
    if hasattr(settings, "media_type"):
        settings.media_type = "IMAGE"
    settings.file_format, settings.quality, settings.color_mode = "JPEG", 90, "RGB"
    scene.render.filepath = str(path.resolve())
    bpy.ops.render.render(write_still=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--demo", type=Path, default=Path("out/demo"))
    parser.add_argument("--out", type=Path, default=Path("out/demo/still.jpg"))
    parser.add_argument("--frame", type=int, default=FRAME)
    parser.add_argument("--splats", action="store_true", help="the Gaussians, in Blender 5.3")
    parser.add_argument("--samples", type=int, default=32)
    parser.add_argument("--size", type=int, nargs=2, default=(480, 600))
    options = parser.parse_args()
    cache = options.demo / "result" / "Rig.ani3d"
    bpy.ops.wm.open_mainfile(filepath=str((options.demo / "demo.blend").resolve()))
    imported(cache)
    collections: Any = bpy.data.collections
    parts = list(next(each for each in collections if "ani3d_result" in each).objects)
    still(parts, cache, options.frame, options.splats, tuple(options.size))
    render(options.out, options.samples)


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    os._exit(0)
