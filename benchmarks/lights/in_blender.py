"""One character under one light in Blender: its shot, and what Cycles makes of some frames, pass by pass.

python -m benchmarks.lights.in_blender BLEND|sleeve|tresses LIGHT FOLDER ZIP
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any, cast

os.environ["BLENDER_USER_RESOURCES"] = tempfile.mkdtemp(prefix="ani3d-lights-")  # before bpy is imported

import bpy
import numpy as np
from mathutils import Vector

SIZE, SAMPLES, PICTURES, ROW = (240, 360), 96, 3, 5  # pictures spread over the shot; and of frames in a row
PASSES = {"diffuse_direct": "DiffDir", "diffuse_indirect": "DiffInd", "diffuse_color": "DiffCol"}
PASSES |= {"glossy_direct": "GlossDir", "glossy_indirect": "GlossInd", "glossy_color": "GlossCol"}
PASSES |= {"transmission_direct": "TransDir", "transmission_indirect": "TransInd", "transmission_color": "TransCol"}
_WORDS = {"Diff": "Diffuse", "Gloss": "Glossy", "Trans": "Transmission"}
_PARTS = {"Dir": "Direct", "Ind": "Indirect", "Col": "Color"}
LONG = {short: f"{_WORDS[short[:-3]]} {_PARTS[short[-3:]]}" for short in PASSES.values()}


def sleeve() -> None:
    """A torso and an arm in a wide sleeve with folds, which swings in front of it."""
    scene = bpy.context.scene
    scene.frame_start, scene.frame_end = 1, 12
    armature = bpy.data.armatures.new("Rig")
    rig = bpy.data.objects.new("Rig", armature)
    scene.collection.objects.link(rig)
    bpy.context.view_layer.objects.active = rig
    bpy.ops.object.mode_set(mode="EDIT")
    for name, head, tail in (("spine", (0, 0, 0.8), (0, 0, 1.6)), ("upper_arm.L", (0.2, 0, 1.4), (0.85, 0, 1.4))):
        bone: Any = armature.edit_bones.new(name)
        bone.head, bone.tail = head, tail
    bpy.ops.object.mode_set(mode="OBJECT")
    _tube("Body", "spine", ((0, 0, 0.7), (0, 0, 1.65)), (0.2, 0.15), rig, (0.6, 0.4, 0.3, 1))
    _tube("Hand", "upper_arm.L", ((0.2, 0, 1.4), (0.9, 0, 1.4)), (0.05, 0.05), rig, (0.7, 0.5, 0.4, 1))
    _tube("Sleeve", "upper_arm.L", ((0.2, 0, 1.4), (0.75, 0, 1.38)), (0.09, 0.2), rig, (0.25, 0.35, 0.7, 1), folds=0.03)
    pose: Any = rig.pose.bones["upper_arm.L"]
    pose.rotation_mode = "XYZ"
    for frame, angles in ((1, (0.0, 0.0, 0.1)), (6, (-0.5, 0.0, -0.9)), (12, (-0.3, 0.0, -1.5))):
        pose.rotation_euler = angles
        pose.keyframe_insert("rotation_euler", frame=frame)


def _tube(
    name: str, bone: str, ends: tuple[tuple[float, ...], tuple[float, ...]], radii: tuple[float, float],
    rig: bpy.types.Object, color: tuple[float, ...], folds: float = 0.0,
) -> None:  # fmt: skip
    (start, end), (first, last) = ends, radii
    along = Vector(end) - Vector(start)
    turn = np.array(along.to_track_quat("Z", "Y").to_matrix())
    around, rings = 96, 48
    angles = np.arange(around) * 2 * np.pi / around
    points = []
    for share in np.linspace(0, 1, rings):
        radius = (first + (last - first) * share) + folds * share * np.sin(9 * angles + 4 * share)
        local = np.stack([radius * np.cos(angles), radius * np.sin(angles), np.full(around, share * along.length)], 1)
        points.append(local @ turn.T + start)
    faces: list[tuple[int, ...]] = [
        (r * around + a, r * around + (a + 1) % around, (r + 1) * around + (a + 1) % around, (r + 1) * around + a)
        for r in range(rings - 1) for a in range(around)
    ]  # fmt: skip
    if not folds:
        faces += [tuple(range(around))[::-1], tuple(range((rings - 1) * around, rings * around))]
    mesh: Any = bpy.data.meshes.new(name)
    mesh.from_pydata(np.concatenate(points).tolist(), [], faces)
    mesh.polygons.foreach_set("use_smooth", [len(face) == 4 for face in faces])
    mesh.materials.append(_paint(name, color, 0.6))
    item: Any = bpy.data.objects.new(name, mesh)
    bpy.context.scene.collection.objects.link(item)
    item.parent = rig
    item.modifiers.new("Armature", "ARMATURE").object = rig
    item.vertex_groups.new(name=bone).add(range(len(mesh.vertices)), 1.0, "REPLACE")


def tresses() -> None:
    """A head that turns, with 6,000 strands of brown hair that hang from it."""
    scene = bpy.context.scene
    scene.frame_start, scene.frame_end = 1, 12
    armature = bpy.data.armatures.new("Rig")
    rig = bpy.data.objects.new("Rig", armature)
    scene.collection.objects.link(rig)
    bpy.context.view_layer.objects.active = rig
    bpy.ops.object.mode_set(mode="EDIT")
    bone: Any = armature.edit_bones.new("head")
    bone.head, bone.tail = (0, 0, 1.4), (0, 0, 1.7)
    bpy.ops.object.mode_set(mode="OBJECT")
    _tube("Neck", "head", ((0, 0, 1.2), (0, 0, 1.62)), (0.05, 0.085), rig, (0.6, 0.4, 0.3, 1))
    rng = np.random.default_rng(0)
    strands, points = 6000, 14
    turn, up = rng.uniform(0, 2 * np.pi, strands), rng.uniform(-0.2, 1, strands)
    flat = np.sqrt(1 - up**2)
    out = np.stack([flat * np.cos(turn), flat * np.sin(turn), up], axis=1)
    along = np.linspace(0, 1, points)[None, :, None]
    fall = np.array([0, 0, -1.0]) * along**1.5 * rng.uniform(0.25, 0.4, (strands, 1, 1))
    wave = (
        0.006
        * np.sin(7 * along + 9 * turn[:, None, None])
        * along
        * np.stack([-out[:, 1], out[:, 0], 0 * up], 1)[:, None]
    )
    lines = (0, 0, 1.6) + out[:, None] * (0.09 + 0.07 * np.sqrt(along) * (0.3 + flat[:, None, None])) + fall + wave
    data: Any = bpy.data.hair_curves.new("Hair")
    data.add_curves([points] * strands)
    data.points.foreach_set("position", lines.astype(np.float32).ravel())
    radius = data.attributes.get("radius") or data.attributes.new("radius", "FLOAT", "POINT")
    radius.data.foreach_set("value", np.full(strands * points, 0.0007, np.float32))
    data.materials.append(_paint("Hair", (0.12, 0.05, 0.02, 1), 0.35))
    item = bpy.data.objects.new("Hair", data)
    scene.collection.objects.link(item)
    item.parent, item.parent_type, item.parent_bone = rig, "BONE", "head"
    bpy.context.view_layer.update()
    item.matrix_world = np.eye(4).tolist()
    pose: Any = rig.pose.bones["head"]
    pose.rotation_mode = "XYZ"
    for frame, angle in ((1, -0.4), (12, 0.5)):
        pose.rotation_euler = (0, angle, 0)
        pose.keyframe_insert("rotation_euler", frame=frame)


def _paint(name: str, color: tuple[float, ...], roughness: float) -> Any:
    material: Any = bpy.data.materials.new(name)
    if material.node_tree is None:
        material.use_nodes = True
    shader = next(node for node in material.node_tree.nodes if node.type == "BSDF_PRINCIPLED")
    shader.inputs["Base Color"].default_value, shader.inputs["Roughness"].default_value = color, roughness
    return material


MADE = {"sleeve": sleeve, "tresses": tresses}
VIEWS = {"sleeve": ((0.9, -3.0, 1.7), (0.25, 0, 1.2), 60.0), "tresses": ((0.3, -1.6, 1.6), (0, 0, 1.45), 70.0)}


def look(scene: Any, name: str) -> None:
    """A camera on a scene that was made here."""
    place, target, focal = VIEWS[name]
    lens = bpy.data.cameras.new("View")
    camera = bpy.data.objects.new("View", lens)
    scene.collection.objects.link(camera)
    scene.camera, lens.lens = camera, focal
    camera.location = place
    camera.rotation_euler = (Vector(target) - camera.location).to_track_quat("-Z", "Y").to_euler()


def lamp(kind: str, energy: float, place: tuple[float, ...], target: tuple[float, ...], **settings: Any) -> None:
    data: Any = cast(Any, bpy.data.lights).new(kind.title(), kind)
    item = bpy.data.objects.new(kind.title(), data)
    bpy.context.scene.collection.objects.link(item)
    item.location = place
    item.rotation_euler = (Vector(target) - Vector(place)).to_track_quat("-Z", "Y").to_euler()
    data.energy = energy
    for name, value in settings.items():
        setattr(data, name, value)


def light(name: str) -> None:
    """Replace the scene's light by the one of this name; "sun" leaves a scene that has light as it is."""
    scene: Any = bpy.context.scene
    lights = [item for item in scene.objects if item.type == "LIGHT"]
    if name == "sun" and lights:
        return
    for item in lights:
        bpy.data.objects.remove(item)
    scene.world = bpy.data.worlds.new("World")
    if scene.world.node_tree is None:
        scene.world.use_nodes = True
    tree: Any = scene.world.node_tree
    background = next(node for node in tree.nodes if node.type == "BACKGROUND")
    background.inputs["Color"].default_value = (0.08, 0.09, 0.1, 1)
    if name == "sun":
        background.inputs["Color"].default_value = (0.5, 0.5, 0.55, 1)
        lamp("SUN", 2.5, (1.5, -2, 3), (0, 0, 1), angle=0.07)
    elif name == "area":
        lamp("AREA", 150, (-1.3, -1.6, 2.4), (0, 0, 1.1), shape="RECTANGLE", size=1.2, size_y=0.8)
    elif name == "spot":
        lamp("SPOT", 500, (1.2, -2.2, 2.6), (0.1, 0, 1.1), spot_size=0.8, spot_blend=0.3, shadow_soft_size=0.1)
    else:
        links, nodes = tree.links, tree.nodes
        texture = nodes.new("ShaderNodeTexEnvironment")
        texture.image = _studio()
        links.new(texture.outputs["Color"], background.inputs["Color"])


def _studio() -> Any:
    """A dark room with a large window, a warm lamp, and a floor that sends some light back."""
    image: Any = bpy.data.images.new("Studio", 256, 128, float_buffer=True)
    pixels = np.ones((128, 256, 4), np.float32)
    pixels[..., :3] = 0.15, 0.15, 0.17
    pixels[:50, :, :3] = 0.3, 0.25, 0.2
    pixels[66:100, 150:200, :3] = 5.0, 5.5, 6.5
    pixels[72:80, 40:50, :3] = 25, 16, 8
    image.pixels.foreach_set(pixels.ravel())
    image.pack()
    return image


def render(scene: Any, path: Path, read_channels: Any, write_layers: Any) -> dict[str, np.ndarray]:
    """Passes of the current frame by name, (H,W,3) float32 and "alpha" (H,W), linear; "Combined" alone is denoised."""
    layer: Any = scene.view_layers[0]
    layer.use_pass_position = layer.use_pass_normal = True
    for name in PASSES:
        setattr(layer, f"use_pass_{name}", True)
    scene.render.engine, cycles = "CYCLES", scene.cycles
    cycles.device, cycles.samples, cycles.use_adaptive_sampling, cycles.use_denoising = "CPU", SAMPLES, False, True
    scene.render.film_transparent, scene.render.use_file_extension = True, False
    scene.render.resolution_x, scene.render.resolution_y, scene.render.resolution_percentage = *SIZE, 100
    write_layers(scene.render.image_settings)
    scene.render.image_settings.color_depth = "32"
    scene.render.filepath = str(path)
    bpy.ops.render.render(write_still=True, scene=scene.name)
    channels = read_channels(path)

    def of(names: tuple[str, ...], letters: str) -> np.ndarray:
        for name in names:
            found = {k[-1]: v for k, v in channels.items() if k.rsplit(".", 2)[-2] == name}
            if all(letter in found for letter in letters):
                return np.stack([found[letter] for letter in letters], axis=-1).astype(np.float32)
        raise KeyError(names)

    passes = {short: of((short, LONG[short]), "RGB") for short in PASSES.values()}
    passes |= {"Combined": of(("Combined",), "RGB"), "alpha": of(("Combined",), "A")[..., 0]}
    return passes | {"Position": of(("Position",), "XYZ"), "Normal": of(("Normal",), "XYZ")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scene")
    parser.add_argument("light")
    parser.add_argument("folder", type=Path)
    parser.add_argument("zip", type=Path)
    options = parser.parse_args()
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.extensions.package_install_files(filepath=str(options.zip), repo="user_default", enable_on_install=True)
    if options.scene in MADE:
        MADE[options.scene]()
        look(bpy.context.scene, options.scene)
    else:
        bpy.ops.wm.open_mainfile(filepath=options.scene)
    light(options.light)
    scene: Any = bpy.context.scene
    extension = "bl_ext.user_default.ani3dhuman"
    export, exr, compat = (import_module(f"{extension}.{name}") for name in ("export", "views.exr", "compat"))
    scene.render.resolution_x, scene.render.resolution_y, scene.render.resolution_percentage = *SIZE, 100
    rig = next(item for item in scene.objects if item.type == "ARMATURE")
    for item in scene.objects:
        for modifier in item.modifiers:
            modifier.show_render = modifier.show_viewport = modifier.type not in ("CLOTH", "SOFT_BODY", "COLLISION")
    shot = export.export_shot(bpy.context, rig, on_warning=print)
    np.savez(options.folder / "shot.npz", **shot)
    frames = np.linspace(scene.frame_start, scene.frame_end, PICTURES + 2)[1:-1].astype(int)
    for frame in sorted({*frames, *range(frames[PICTURES // 2], frames[PICTURES // 2] + ROW)}):
        if (options.folder / f"{frame:04d}.npz").exists():
            continue
        scene.frame_set(int(frame))
        passes = render(scene, options.folder / "passes.exr", exr.read_channels, compat.write_layers)
        np.savez(options.folder / f"{frame:04d}.npz", **cast(Any, passes))
    (options.folder / "passes.exr").unlink(missing_ok=True)
    sys.stdout.flush()
    os._exit(0)  # Blender as a module may hang when it ends


if __name__ == "__main__":
    main()
