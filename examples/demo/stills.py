"""Stills of the demo's result for a title page, rendered by Cycles after `make demo`.

    .venv-blender/bin/python examples/demo/stills.py --out out/demo/still.jpg
    .venv-blender-5.3.0/bin/python examples/demo/stills.py --splats --out out/demo/splats.jpg

The result's meshes at one frame on an evening terrace: a warm key, a rim from behind, lamps far behind out of focus;
strands of hair along the result's locks. With --splats the result's Gaussians instead, as Blender 5.3 draws them
itself, in the suns that the engine lit them by, with things in front of them and behind.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

os.environ["BLENDER_USER_RESOURCES"] = tempfile.mkdtemp(prefix="ani3d-still-")  # before bpy is imported

import bpy
import numpy as np
from mathutils import Matrix, Vector

sys.path.insert(0, str(Path(__file__).parent))

from hair import CAP_COLUMNS, CAP_RINGS, LOCK_COLUMNS, LOCK_ROWS

FRAME = 32
AZIMUTH, DISTANCE, HEIGHT = -2.0, 5.6, 0.62  # of the camera about her: degrees, metres
AIM, SEEN = 0.88, 1.92  # metres: the height that it looks at, and how much of her is in the picture
STRANDS_OF_LOCK, STRANDS_OF_CAP = 90, 4200
STRAND_RADIUS = 0.00016
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


def strands(hair: bpy.types.Object) -> None:
    """Curves along the columns of the hair's mesh as it stands now: many across each lock, and over the cap."""
    mesh = hair.evaluated_get(bpy.context.evaluated_depsgraph_get()).to_mesh()
    points = np.array([hair.matrix_world @ vertex.co for vertex in mesh.vertices])
    rng = np.random.default_rng(2)
    cap = points[: CAP_RINGS * CAP_COLUMNS].reshape(CAP_RINGS, CAP_COLUMNS, 3)
    locks = points[CAP_RINGS * CAP_COLUMNS :].reshape(-1, LOCK_ROWS, LOCK_COLUMNS, 3)
    middle = cap.reshape(-1, 3).mean(0)
    lines = []
    at = rng.uniform(0, CAP_COLUMNS, STRANDS_OF_CAP)
    low, blend = at.astype(int), (at % 1)[:, None, None]
    line = cap[:, low].transpose(1, 0, 2) * (1 - blend) + cap[:, (low + 1) % CAP_COLUMNS].transpose(1, 0, 2) * blend
    out = line - middle
    lift = rng.uniform(-0.001, 0.0028, STRANDS_OF_CAP)[:, None, None] * np.sin(np.linspace(0.1, 3, CAP_RINGS))[:, None]
    lines.append(_wavy(line + out / np.linalg.norm(out, axis=2, keepdims=True) * lift, 0.0009, rng))
    for lock in locks:
        across = rng.uniform(0, LOCK_COLUMNS - 1.001, STRANDS_OF_LOCK)
        low, blend = across.astype(int), (across % 1)[:, None, None]
        line = lock[:, low].transpose(1, 0, 2) * (1 - blend) + lock[:, low + 1].transpose(1, 0, 2) * blend
        side, along = lock[:, -1] - lock[:, 0], np.gradient(lock.mean(1), axis=0)
        thick = np.cross(side, along)
        thick /= np.maximum(np.linalg.norm(thick, axis=1, keepdims=True), 1e-9)
        line = line + thick * rng.normal(0, 0.0024, STRANDS_OF_LOCK)[:, None, None]
        lines.append(_wavy(line, 0.0022, rng))
    curves: Any = bpy.data.hair_curves.new("Strands")
    counts = [line.shape[1] for block in lines for line in [block] for _ in range(len(block))]
    curves.add_curves(counts)
    curves.attributes["position"].data.foreach_set(
        "vector", np.concatenate([b.reshape(-1, 3) for b in lines]).ravel().astype(np.float32)
    )
    taper = np.concatenate([np.tile(np.linspace(1, 0.35, b.shape[1]), len(b)) for b in lines])
    radius = curves.attributes.get("radius") or curves.attributes.new("radius", "FLOAT", "POINT")
    radius.data.foreach_set("value", (STRAND_RADIUS * taper).astype(np.float32))
    material, shader = node_material("Strands", "ShaderNodeBsdfHairPrincipled")
    shader.parametrization = "MELANIN"
    shader.inputs["Melanin"].default_value, shader.inputs["Melanin Redness"].default_value = 0.62, 0.62
    shader.inputs["Roughness"].default_value, shader.inputs["Radial Roughness"].default_value = 0.28, 0.4
    curves.materials.append(material)
    link(bpy.data.objects.new("Strands", curves))


def _wavy(lines: np.ndarray, depth: float, rng: np.random.Generator) -> np.ndarray:
    """Strands (S,K,3) twice as finely, with waves of `depth` metres that grow towards their tips."""
    count, rows, _ = lines.shape
    fine = np.linspace(0, rows - 1, 2 * rows)
    low = np.minimum(fine.astype(int), rows - 2)
    blend = (fine - low)[:, None]
    before, after = lines[:, np.maximum(low - 1, 0)], lines[:, np.minimum(low + 2, rows - 1)]
    a, b = lines[:, low], lines[:, low + 1]
    t = blend
    smooth = (
        a
        + t * (0.5 * (b - before))
        + t**2 * (before - 2.5 * a + 2 * b - 0.5 * after)
        + t**3 * (0.5 * (after - before) + 1.5 * (a - b))
    )
    phase, pace = rng.uniform(0, 6.3, (2, count, 1, 3))
    grown = np.linspace(0, 1, 2 * rows)[None, :, None]
    return smooth + depth * grown * np.sin(phase + (2 + pace) * 2.2 * grown)


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


def still(parts: list[Any], frame: int, splats: bool, size: tuple[int, int]) -> None:
    """The scene of the still around a result's parts."""
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
    strands(next(item for item in meshes if item.name.startswith("Hair")))
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
    if options.splats:
        bpy.ops.wm.open_mainfile(filepath=str((options.demo / "demo.blend").resolve()))
        imported(options.demo / "result" / "Rig.ani3d")
    else:
        bpy.ops.wm.open_mainfile(filepath=str((options.demo / "demo_result.blend").resolve()))
    collections: Any = bpy.data.collections
    parts = list(next(each for each in collections if "ani3d_result" in each).objects)
    still(parts, options.frame, options.splats, tuple(options.size))
    render(options.out, options.samples)


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    os._exit(0)
